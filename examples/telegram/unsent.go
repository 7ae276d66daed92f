package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// leftOver is what a campaign leaves to another one.
type leftOver struct {
	messages []message
	notSent  int // of them, never tried to the end: the campaign was stopped
	failed   int // of them, given up
}

// checkUnsent reports, before anything is sent, whether path can become the file
// of what is left over. A file that exists may hold what an earlier campaign left
// and nobody has sent; only the one that this campaign reads is replaced.
func checkUnsent(path, to string) error {
	if path == "" {
		return nil
	}
	if ext := filepath.Ext(path); ext != ".jsonl" && ext != ".ndjson" {
		return fmt.Errorf("-unsent is %s: must end in .jsonl or .ndjson, for -to to read it", path)
	}
	there, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	if read, err := os.Stat(to); err == nil && os.SameFile(there, read) {
		return nil
	}
	return fmt.Errorf("%s exists and may hold messages that were not sent: send them with -to %s, move it away, or name another file with -unsent",
		path, path)
}

// write says how much is left over. With a path it also writes the messages to a
// file that -to reads, so that the campaign can go on later. Without one, what
// failed is no news.
func (l leftOver) write(w io.Writer, path string) error {
	if l.notSent == 0 && (l.failed == 0 || path == "") {
		return nil
	}
	chats := make(map[string]bool)
	for _, m := range l.messages {
		chats[m.ChatID] = true
	}
	fmt.Fprintf(w, "\nleft over: %d messages to %d chats, %d not sent and %d failed\n",
		len(l.messages), len(chats), l.notSent, l.failed)
	if path == "" {
		return nil
	}
	if err := writeMessages(path, l.messages); err != nil {
		return err
	}
	fmt.Fprintf(w, "they are in %s: go on with -to %s\n", path, path)
	return nil
}

// writeMessages makes a file of JSON Lines, whole or not at all: until it is
// complete, what was there stays.
func writeMessages(path string, messages []message) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	out := bufio.NewWriter(f)
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	for _, m := range messages {
		if err := lines.Encode(map[string]string{"chat_id": m.ChatID, "text": m.Text}); err != nil {
			return err
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
