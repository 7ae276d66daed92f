package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// separators are what programs put between the fields of a line: spreadsheets do
// as the country has it.
var separators = []rune{',', ';', '\t', '|'}

// dialect is how a CSV file is written.
type dialect struct {
	separator rune
	before    int // lines before the header
}

// findDialect looks at the first line, and reads it if it is of the kind that Excel
// understands: sep=;
func findDialect(in *bufio.Reader) (dialect, error) {
	line := firstLine(in)
	said := strings.Trim(strings.TrimRight(string(line), "\r\n"), `"`)
	if len(said) > 4 && strings.EqualFold(said[:4], "sep=") {
		separator, size := utf8.DecodeRuneInString(said[4:])
		if len(said) != 4+size || strings.ContainsRune("\"\r\n", separator) || separator == utf8.RuneError {
			return dialect{}, &lineError{line: 1, err: fmt.Errorf("%q is no separator: want one character after sep=", said[4:])}
		}
		in.Discard(len(line)) // it is in the buffer
		return dialect{separator, 1}, nil
	}
	if separator, ok := headerSeparator(line); ok {
		return dialect{separator: separator}, nil
	}
	if begin := bytes.TrimSpace(line); bytes.HasPrefix(begin, []byte("{")) || bytes.HasPrefix(begin, []byte("[")) {
		return dialect{}, &lineError{line: 1, err: errors.New("looks like JSON: give the file a name that ends in .jsonl")}
	}
	for _, separator := range separators {
		fields, ok := splitLine(line, separator)
		if !ok || len(fields) < 2 {
			continue
		}
		if _, err := parseChatID(fields[0]); err == nil {
			return dialect{}, &lineError{line: 1, err: fmt.Errorf("looks like a message: put the line chat_id%ctext before it", separator)}
		}
	}
	return dialect{separator: ','}, nil // whose header lacks a column
}

// headerSeparator finds what is between the columns of a line that names those of a
// message.
func headerSeparator(line []byte) (rune, bool) {
	for _, separator := range separators {
		header, ok := splitLine(line, separator)
		if !ok {
			continue
		}
		_, noChat := column(header, "chat_id")
		_, noText := column(header, "text")
		if noChat == nil && noText == nil {
			return separator, true
		}
	}
	return 0, false
}

func splitLine(line []byte, separator rune) (fields []string, ok bool) {
	in := csv.NewReader(bytes.NewReader(line))
	in.Comma = separator
	fields, err := in.Read()
	return fields, err == nil
}

// firstLine returns the first line, or what fits into the buffer of it, and leaves it
// to be read.
func firstLine(in *bufio.Reader) []byte {
	for n := 256; ; n *= 2 {
		begin, err := in.Peek(min(n, in.Size()))
		if i := bytes.IndexByte(begin, '\n'); i >= 0 {
			return begin[:i+1]
		}
		if err != nil || n >= in.Size() {
			return begin
		}
	}
}

// columnName is the one spelling of a column's name: ChatID and "Chat ID" are chat_id.
func columnName(s string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(" _-\t", r) {
			return -1
		}
		return r
	}, strings.ToLower(s))
}

// column finds a column by its name in the header.
func column(header []string, name string) (int, error) {
	found := -1
	for i, field := range header {
		if !utf8.ValidString(field) {
			return 0, errUTF8
		}
		if columnName(field) != columnName(name) {
			continue
		}
		if found >= 0 {
			return 0, errors.New("is the name of two columns")
		}
		found = i
	}
	if found < 0 {
		return 0, fmt.Errorf("no such column in the header, which has %s", quoted(header))
	}
	return found, nil
}

// quoted lists the first of some names.
func quoted(names []string) string {
	const most = 8
	var all []string
	for i, name := range names {
		if i == most {
			all = append(all, "...")
			break
		}
		all = append(all, fmt.Sprintf("%.30q", strings.TrimSpace(name)))
	}
	return strings.Join(all, ", ")
}
