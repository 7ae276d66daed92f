package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Whatever a text holds, a line of it is read back as it was, with every delivery.
func TestLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.jsonl")
	for _, text := range []string{"a", "<b> & \"c\"\n\\", "🌍 \u2028", "\x00\x1f\x7f", "\ufffd"} {
		for _, d := range []delivery{unsent, failed, sending, perhapsSent, sent, blocked} {
			var line bytes.Buffer
			n, err := writeLine(&line, d, message{"@news", text})
			if err != nil || n != line.Len() || !strings.HasPrefix(line.String(), lineBegin+d.padded()+`"chat_id"`) {
				t.Fatalf("writeLine() = %d, %v, writes %q", n, err, &line)
			}
			if err := os.WriteFile(path, line.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			file, err := loadFile(path, nil, false)
			all := append(slices.Clone(file.messages), file.kept...)
			toSend, perhaps, _ := d.left()
			if toSend != (len(file.messages) == 1) || perhaps && !strings.Contains(err.Error(), "-resend sends them again") ||
				!toSend && !perhaps && !strings.Contains(err.Error(), "all of its messages are sent") {
				t.Errorf("%q is read as %v, %v", &line, file, err)
			}
			if len(all) == 1 && all[0].Text != text {
				t.Errorf("%q is read as %q", text, all[0].Text)
			}
			file, err = loadFile(path, nil, true)
			if (toSend || perhaps) != (err == nil) || err == nil && (file.messages[0].Text != text || file.perhaps[0] != perhaps) {
				t.Errorf("%q is read, to be sent again, as %v, %v", &line, file, err)
			}
		}
	}
	if _, err := load(t, "b.jsonl", `{"_delivery":"lost","chat_id":"1","text":"a"}`); err == nil || err.Error() != `b.jsonl: line 1: _delivery: "lost" is unknown` {
		t.Errorf("an unknown delivery is %v", err)
	}
}
