package main

import (
	"encoding/json"
	"io"
	"strings"
)

// writeLine writes a message as a line of JSON that readJSONLines reads.
func writeLine(w io.Writer, d delivery, m message) (n int, err error) {
	line := append([]byte(lineBegin), d.padded()...)
	line = append(line, `"chat_id":`...)
	line = appendJSON(line, m.ChatID)
	line = append(line, `,"text":`...)
	line = appendJSON(line, m.Text)
	return w.Write(append(line, "}\n"...))
}

// appendJSON appends a string as JSON, without escapes for HTML. Most strings need none at
// all: of a million messages that are to be written while the user waits.
func appendJSON(b []byte, s string) []byte {
	if isPlain(s) {
		b = append(b, '"')
		b = append(b, s...)
		return append(b, '"')
	}
	var out strings.Builder
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.Encode(s) // a string, into memory: it can't fail
	return append(b, strings.TrimSuffix(out.String(), "\n")...)
}

// isPlain reports whether a string is ASCII that JSON takes as it is.
func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
