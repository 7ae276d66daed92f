package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOpenUnsent(t *testing.T) {
	t.Chdir(t.TempDir())
	line := `{"chat_id":"1","text":"a"}` + "\n"
	ours := lineBegin + unsent.padded() + line[1:]
	for name, content := range map[string]string{
		"to.csv": "x", "to.jsonl": line, "old.jsonl": line, "empty.jsonl": "", "ours.jsonl": ours, "ours too.jsonl": ours,
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"link.jsonl": "to.jsonl", "ourlink.jsonl": "ours.jsonl"} {
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		to, unsent string
		path       string // or else
		err        string
	}{
		{"", "", "", ""}, // the demo
		{"", "new.jsonl", "new.jsonl", ""},
		{"to.csv", "", "unsent.jsonl", ""},
		{"-", "", "unsent.jsonl", ""},
		{"to.csv", "new.ndjson", "new.ndjson", ""},
		{"to.csv", "empty.jsonl", "empty.jsonl", ""},
		{"to.jsonl", "to.jsonl", "to.jsonl", ""},
		{"to.jsonl", "./to.jsonl", "to.jsonl", ""},
		{"to.jsonl", "link.jsonl", "to.jsonl", ""}, // the link stays
		{"link.jsonl", "link.jsonl", "to.jsonl", ""},
		{"ours.jsonl", "", "ours.jsonl", ""},
		{"ourlink.jsonl", "", "ours.jsonl", ""},
		{"ours.jsonl", "new.jsonl", "", "leave it out, since ours.jsonl is itself"},
		{"to.jsonl", "old.jsonl", "", "old.jsonl exists"},
		{"-", "ours too.jsonl", "", "with -to 'ours too.jsonl'"},
		{"", "old.jsonl", "", "old.jsonl exists"},
		{"to.csv", "to.csv", "", "must end in .jsonl or .ndjson"},
	} {
		u, err := openUnsent(options{to: c.to, unsent: c.unsent})
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) || u.path != c.path {
			t.Errorf("-to %q -unsent %q: %q, %v, want %q, %q", c.to, c.unsent, u.path, err, c.path, c.err)
		}
		if err == nil && u.path != "" {
			if _, again := openUnsent(options{to: c.to, unsent: c.unsent}); again == nil || !strings.Contains(again.Error(), "another copy") {
				t.Errorf("-to %q -unsent %q, a second time: %v, want that another copy has it", c.to, c.unsent, again)
			}
		}
		u.close()
	}
	if files, err := filepath.Glob("*.lock"); err != nil || len(files) != 0 {
		t.Errorf("it leaves %q", files)
	}
}
