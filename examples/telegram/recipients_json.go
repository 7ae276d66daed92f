package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"unicode/utf8"
)

// maxLine is longer than any line with a text that Telegram takes: 4096
// characters, each written as a six-byte escape, with as much again for other fields.
const maxLine = 1 << 20

// readJSONLines reads one JSON object a line, as in
//
//	{"chat_id": 42, "text": "hello"}
//	{"chat_id": "@channel", "text": "hello"}
//
// and ignores other fields and blank lines. A line that is wrong gives an
// error, and reading goes on.
func readJSONLines(r io.Reader) iter.Seq2[message, error] {
	return func(yield func(message, error) bool) {
		in := bufio.NewScanner(r)
		in.Buffer(make([]byte, 0, 64<<10), maxLine)
		line := 0
		for in.Scan() {
			line++
			if len(bytes.TrimSpace(in.Bytes())) == 0 {
				continue
			}
			if !yield(jsonMessage(in.Bytes(), line)) {
				return
			}
		}
		switch err := in.Err(); {
		case errors.Is(err, bufio.ErrTooLong):
			yield(message{}, &lineError{line: line + 1, err: fmt.Errorf("is longer than %d bytes", maxLine)})
		case err != nil:
			yield(message{}, err)
		}
	}
}

func jsonMessage(b []byte, line int) (message, error) {
	// The decoder would put a mark in the place of bytes that are not UTF-8.
	if !utf8.Valid(b) {
		return message{}, &lineError{line: line, err: errUTF8}
	}
	var object struct {
		ChatID json.RawMessage `json:"chat_id"`
		Text   *string         `json:"text"`
	}
	if err := json.Unmarshal(b, &object); err != nil {
		return message{}, jsonError(err, line)
	}
	chatID, err := jsonChatID(object.ChatID)
	if err != nil {
		return message{}, &lineError{line, "chat_id", err}
	}
	if object.Text == nil {
		return message{}, &lineError{line, "text", errMissing}
	}
	m, field, err := newMessage(chatID, *object.Text)
	if err != nil {
		return message{}, &lineError{line, field, err}
	}
	return m, nil
}

// jsonChatID takes a number as it is written: a float64 would bend long ids.
func jsonChatID(raw json.RawMessage) (string, error) {
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return "", errMissing
	case raw[0] == '"':
		var s string
		err := json.Unmarshal(raw, &s)
		return s, err
	case raw[0] == '-' || '0' <= raw[0] && raw[0] <= '9':
		return string(raw), nil
	}
	return "", fmt.Errorf("%.20s is neither a number nor a string", raw)
}

func jsonError(err error, line int) error {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if e.Field == "" {
			return &lineError{line: line, err: fmt.Errorf("is a JSON %s, not an object", e.Value)}
		}
		return &lineError{line, e.Field, fmt.Errorf("is a %s, not a %s", e.Value, e.Type)}
	}
	return &lineError{line: line, err: fmt.Errorf("not JSON: %w", err)}
}
