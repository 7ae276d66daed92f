package main

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
)

// readCSV reads values with commas or one of the other separators in between. The
// first line names the columns, of which chat_id and text are read and others ignored.
// Quoted texts may hold line breaks. A line that is wrong gives an error, and reading
// goes on; after a quoted text with a quote that is wrong it ends, since nobody can
// tell where the next line is.
func readCSV(r io.Reader) iter.Seq2[message, error] {
	return func(yield func(message, error) bool) {
		buffered := bufio.NewReaderSize(r, 64<<10)
		d, err := findDialect(buffered)
		if err != nil {
			yield(message{}, err)
			return
		}
		in := &csvFile{Reader: csv.NewReader(buffered), dialect: d}
		in.Comma = d.separator
		in.FieldsPerRecord = -1 // checked here, with better errors
		in.ReuseRecord = true
		if err := in.readHeader(); err != nil {
			if !errors.Is(err, io.EOF) {
				yield(message{}, err)
			}
			return
		}
		for {
			record, err := in.Read()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				if !yield(message{}, in.wrong(err)) || !errors.Is(err, csv.ErrBareQuote) {
					return
				}
				continue
			}
			if !yield(in.message(record)) {
				return
			}
		}
	}
}

// csvFile is a file that is being read.
type csvFile struct {
	*csv.Reader
	dialect      dialect
	fields       int // of the header
	chatID, text int // columns
}

// readHeader finds the columns.
func (f *csvFile) readHeader() error {
	header, err := f.Read()
	if err != nil {
		return f.wrong(err)
	}
	line := f.dialect.before + 1
	if f.chatID, err = column(header, "chat_id"); err != nil {
		return &lineError{line, "chat_id", err}
	}
	if f.text, err = column(header, "text"); err != nil {
		return &lineError{line, "text", err}
	}
	f.fields = len(header)
	return nil
}

// message makes a message of the record that has just been read. A record with more
// fields than the header has a text that was cut in two.
func (f *csvFile) message(record []string) (message, error) {
	line, _ := f.FieldPos(0)
	line += f.dialect.before
	if len(record) > f.fields {
		return message{}, &lineError{line: line, err: fmt.Errorf("has %d fields, the header %d: put quotes around a text with %q in it",
			len(record), f.fields, string(f.Comma))}
	}
	for _, c := range []struct {
		index int
		name  string
	}{{f.chatID, "chat_id"}, {f.text, "text"}} {
		if c.index >= len(record) {
			return message{}, &lineError{line, c.name, errMissing}
		}
	}
	// A clone, or the text would keep the line's other columns in memory.
	m, field, err := newMessage(record[f.chatID], strings.Clone(record[f.text]))
	if err != nil {
		return message{}, &lineError{line, field, err}
	}
	return m, nil
}

// wrong says what is wrong with a line that could not be read.
func (f *csvFile) wrong(err error) error {
	e, ok := errors.AsType[*csv.ParseError](err)
	if !ok {
		return err
	}
	reason := fmt.Errorf("column %d: %w", e.Column, e.Err)
	switch {
	case errors.Is(err, csv.ErrBareQuote):
		reason = fmt.Errorf("%w: put quotes around the text, and write each quote in it twice", reason)
	case errors.Is(err, csv.ErrQuote):
		reason = fmt.Errorf("%w: write each quote in the text twice; what follows is not read", reason)
	}
	return &lineError{line: f.dialect.before + e.Line, err: reason}
}
