package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// defaultUnsent is the file of unsent messages, if a file is sent and no other is named.
const defaultUnsent = "unsent.jsonl"

// unsentFile is the file of unsent messages, locked.
type unsentFile struct {
	path   string // "" for none
	isTo   bool   // it is the file of -to, and replaced
	locked *fileLock
}

// openUnsent finds the file of unsent messages and locks it, before the file of -to is read.
// Otherwise another copy could finish it meanwhile. It reports, before anything is sent, whether
// it can be written. A file that exists may hold what an earlier campaign left and nobody
// has sent; only the one that this campaign reads is replaced.
func openUnsent(o options) (unsentFile, error) {
	u := unsentFile{path: o.unsent}
	switch ours := isOurs(o.to); {
	case ours && o.unsent == "":
		u.path = o.to
	case ours && !sameFile(o.unsent, o.to):
		return unsentFile{}, fmt.Errorf("-unsent is %s: leave it out, since %s is itself a file of unsent messages, and will hold what is still not sent",
			o.unsent, o.to)
	case o.unsent == "" && o.to != "":
		u.path = defaultUnsent
	case o.unsent == "":
		return unsentFile{}, nil // the demo
	}
	if ext := filepath.Ext(u.path); ext != ".jsonl" && ext != ".ndjson" {
		return unsentFile{}, fmt.Errorf("-unsent is %s: must end in .jsonl or .ndjson, for -to to read it", u.path)
	}
	if sameFile(u.path, o.to) {
		u.isTo = true
		// Where it really is: else a link would be replaced, and the file stay.
		path, err := filepath.EvalSymlinks(o.to)
		if err != nil {
			return unsentFile{}, err
		}
		u.path = path
	}
	var err error
	u.locked, err = lock(u.path)
	if errors.Is(err, errLocked) {
		return unsentFile{}, fmt.Errorf("another copy of this program that is running keeps %s: name another file with -unsent", u.path)
	}
	if err != nil {
		return unsentFile{}, fmt.Errorf("%s, where what is not sent is kept, can't be written: %w", u.path, err)
	}
	there, err := os.Stat(u.path)
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && (u.isTo || there.Size() == 0 && there.Mode().IsRegular()):
		return u, nil
	case err == nil:
		err = fmt.Errorf("%s exists and may hold messages that were not sent: send them with -to %s, move it away, or name another file with -unsent",
			u.path, shellWord(u.path))
	}
	u.close()
	return unsentFile{}, err
}

// close lets others have the file.
func (u unsentFile) close() {
	if u.locked != nil {
		u.locked.unlock()
	}
}

// isOurs reports whether this program has written the file.
func isOurs(path string) bool {
	if path == "" || path == "-" {
		return false
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	if there, err := f.Stat(); err != nil || !there.Mode().IsRegular() {
		return false
	}
	begin := make([]byte, len(lineBegin))
	_, err = io.ReadFull(f, begin)
	return err == nil && bytes.Equal(begin, []byte(lineBegin))
}

func sameFile(a, b string) bool {
	first, err := os.Stat(a)
	if err != nil {
		return false
	}
	second, err := os.Stat(b)
	return err == nil && os.SameFile(first, second)
}

// shellWord writes a path as a shell takes it for one word.
func shellWord(path string) string {
	if strings.ContainsAny(path, " '\"\\$&;()<>|*?[]#~`!\t\n") {
		return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	}
	return path
}
