package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// writeUnsent says what was not sent. With a path it also writes these messages
// to a file that -to reads, so that the campaign can go on later.
func writeUnsent(w io.Writer, unsent []message, path string) error {
	chats := make(map[string]bool)
	for _, m := range unsent {
		chats[m.ChatID] = true
	}
	fmt.Fprintf(w, "\nnot sent: %d messages to %d chats\n", len(unsent), len(chats))
	if path == "" {
		return nil
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	out := bufio.NewWriter(f)
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	for _, m := range unsent {
		if err := lines.Encode(map[string]string{"chat_id": m.ChatID, "text": m.Text}); err != nil {
			return err
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	fmt.Fprintf(w, "they are in %s: go on with -to %s\n", path, path)
	return nil
}
