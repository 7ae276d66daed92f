package main

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestCheckUnsent(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"old.jsonl", "to.jsonl", "to.csv"} {
		if err := os.WriteFile(in(name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(in("to.jsonl"), in("link.jsonl")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path, to string
		want     string // "" is nil
	}{
		{"", in("to.jsonl"), ""},
		{in("new.jsonl"), in("to.jsonl"), ""},
		{in("new.ndjson"), "-", ""},
		{in("to.jsonl"), in("to.jsonl"), ""},
		{in("link.jsonl"), in("to.jsonl"), ""},
		{in("old.jsonl"), in("to.jsonl"), in("old.jsonl") + " exists"},
		{in("old.jsonl"), in("missing.jsonl"), in("old.jsonl") + " exists"},
		{in("old.jsonl"), "-", in("old.jsonl") + " exists"},
		{in("old.jsonl"), "", in("old.jsonl") + " exists"},
		{in("to.csv"), in("to.csv"), "must end in .jsonl or .ndjson"},
	} {
		err := checkUnsent(c.path, c.to)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("checkUnsent(%q, %q) = %v, want %q", c.path, c.to, err, c.want)
		}
	}
}

func TestLeftOver(t *testing.T) {
	messages := []message{{"1", "a"}, {"1", "<b> & \"c\"\n"}, {"@news", "d"}}
	for _, c := range []struct {
		name            string
		notSent, failed int
		path            string
		want            string
	}{
		{"nothing", 0, 0, "left.jsonl", ""},
		{"stopped", 3, 0, "left.jsonl", "\nleft over: 3 messages to 2 chats, 3 not sent and 0 failed\nthey are in left.jsonl: go on with -to left.jsonl\n"},
		{"stopped, no path", 3, 0, "", "\nleft over: 3 messages to 2 chats, 3 not sent and 0 failed\n"},
		{"failed", 0, 3, "left.jsonl", "\nleft over: 3 messages to 2 chats, 0 not sent and 3 failed\nthey are in left.jsonl: go on with -to left.jsonl\n"},
		{"failed, no path", 0, 3, "", ""},
		{"both", 1, 2, "left.jsonl", "\nleft over: 3 messages to 2 chats, 1 not sent and 2 failed\nthey are in left.jsonl: go on with -to left.jsonl\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			left := leftOver{notSent: c.notSent, failed: c.failed}
			if c.notSent+c.failed > 0 {
				left.messages = messages
			}
			var said strings.Builder
			if err := left.write(&said, c.path); err != nil || said.String() != c.want {
				t.Errorf("write() = %v and says %q, want %q", err, said.String(), c.want)
			}
			files, err := filepath.Glob("*")
			if err != nil {
				t.Fatal(err)
			}
			if c.path == "" || c.want == "" {
				if len(files) != 0 {
					t.Errorf("it leaves the files %q, want none", files)
				}
				return
			}
			again, err := loadMessages(c.path, nil)
			if err != nil || !slices.Equal(again, messages) || len(files) != 1 {
				t.Errorf("read back %v, %v among the files %q, want %v alone", again, err, files, messages)
			}
		})
	}
}

// A file that can't be written leaves what was there, and no other.
func TestLeftOverThatCannotBeWritten(t *testing.T) {
	t.Chdir(t.TempDir())
	// A directory can't be replaced by a file.
	if err := os.MkdirAll("left.jsonl/inside", 0o700); err != nil {
		t.Fatal(err)
	}
	left := leftOver{messages: numbered("1", 3), notSent: 3}
	if err := left.write(io.Discard, "left.jsonl"); err == nil {
		t.Error("write() over a directory = nil, want an error")
	}
	if err := left.write(io.Discard, filepath.Join("missing", "left.jsonl")); err == nil {
		t.Error("write() to a directory that does not exist = nil, want an error")
	}
	if files, err := filepath.Glob("*"); err != nil || !slices.Equal(files, []string{"left.jsonl"}) {
		t.Errorf("it leaves %q, %v, want what was there", files, err)
	}
}
