package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"unicode/utf8"
)

// readCSV reads comma-separated values whose first line names the columns, of
// which chat_id and text are read and others ignored. Quoted texts may hold
// line breaks. A line that is wrong gives an error, and reading goes on; after
// a quote that is wrong it ends, since nobody can tell where the next line is.
func readCSV(r io.Reader) iter.Seq2[message, error] {
	return func(yield func(message, error) bool) {
		in := csv.NewReader(r)
		in.FieldsPerRecord = -1 // checked here, with better errors
		in.ReuseRecord = true

		header, err := in.Read()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			yield(message{}, csvError(err))
			return
		}
		chatID, err := column(header, "chat_id")
		if err != nil {
			yield(message{}, &lineError{1, "chat_id", err})
			return
		}
		text, err := column(header, "text")
		if err != nil {
			yield(message{}, &lineError{1, "text", err})
			return
		}

		for {
			record, err := in.Read()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(message{}, csvError(err))
				return
			}
			if !yield(csvMessage(in, record, chatID, text)) {
				return
			}
		}
	}
}

// column finds a column by its name in the header.
func column(header []string, name string) (int, error) {
	found := -1
	for i, field := range header {
		if !utf8.ValidString(field) {
			return 0, errUTF8
		}
		if !strings.EqualFold(strings.TrimSpace(field), name) {
			continue
		}
		if found >= 0 {
			return 0, errors.New("is the name of two columns")
		}
		found = i
	}
	if found < 0 {
		return 0, errors.New("no such column in the header")
	}
	return found, nil
}

// csvMessage makes a message of the record that in has just read.
func csvMessage(in *csv.Reader, record []string, chatID, text int) (message, error) {
	line, _ := in.FieldPos(0)
	for _, c := range []struct {
		index int
		name  string
	}{{chatID, "chat_id"}, {text, "text"}} {
		if c.index >= len(record) {
			return message{}, &lineError{line, c.name, errMissing}
		}
	}
	// A clone, or the text would keep the line's other columns in memory.
	m, field, err := newMessage(record[chatID], strings.Clone(record[text]))
	if err != nil {
		return message{}, &lineError{line, field, err}
	}
	return m, nil
}

func csvError(err error) error {
	if e, ok := errors.AsType[*csv.ParseError](err); ok {
		return &lineError{line: e.Line, err: fmt.Errorf("column %d: %w", e.Column, e.Err)}
	}
	return err
}
