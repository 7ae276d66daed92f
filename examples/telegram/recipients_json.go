package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
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
// in any order, where chatId and "Chat ID" will do too, and ignores other fields and blank lines. A line that is wrong gives an
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
			m, err := jsonMessage(in.Bytes(), line)
			if !yield(m, err) || errors.Is(err, errCSV) {
				return
			}
		}
		switch err := in.Err(); {
		case errors.Is(err, bufio.ErrTooLong):
			yield(message{}, &lineError{line: line + 1, err: fmt.Errorf("is longer than %d bytes; what follows is not read", maxLine)})
		case err != nil:
			yield(message{}, err)
		}
	}
}

func jsonMessage(b []byte, line int) (message, error) {
	wrong := func(field string, err error) (message, error) { return message{}, &lineError{line, field, err} }
	// The decoder would put a mark in the place of bytes that are not UTF-8.
	if !utf8.Valid(b) {
		return wrong("", errUTF8)
	}
	fields, field, err := jsonFields(b)
	if err != nil {
		if _, ok := headerSeparator(b); ok && line == 1 {
			err = errCSV
		}
		return wrong(field, err)
	}
	chatID, err := jsonChatID(fields["chatid"])
	if err != nil {
		return wrong("chat_id", err)
	}
	text, err := jsonText(fields["text"])
	if err != nil {
		return wrong("text", err)
	}
	m, field, err := newMessage(chatID, text)
	if err != nil {
		return wrong(field, err)
	}
	if raw, ok := fields[deliveryField]; ok {
		d := delivery(strings.Trim(string(raw), `"`))
		if _, _, ok := d.left(); !ok {
			return wrong(deliveryField, fmt.Errorf("%.20s is unknown", raw))
		}
		return m, &earlier{d}
	}
	return m, nil
}

// earlier is the error of a good message that an earlier campaign has had.
type earlier struct{ delivery delivery }

func (e *earlier) Error() string { return "an earlier campaign has left it " + string(e.delivery) }

// errCSV ends the reading: all lines are wrong in the same way.
var errCSV = errors.New("looks like CSV: give the file a name that ends in .csv")

// readFields are the fields that are looked at, by the one spelling of their names.
var readFields = map[string]string{columnName("chat_id"): "chat_id", columnName("text"): "text", deliveryField: deliveryField}

// jsonFields returns the fields of an object that are looked at. On an error it also
// names the field that is wrong.
func jsonFields(b []byte) (fields map[string]json.RawMessage, field string, err error) {
	var whole json.RawMessage
	if err := json.Unmarshal(b, &whole); err != nil {
		return nil, "", fmt.Errorf("not JSON: %w", err)
	}
	switch kind := jsonKind(whole); kind {
	case "object":
	case "array":
		return nil, "", errors.New("is a JSON array, not an object: write one object a line, without [ and ]")
	default:
		return nil, "", fmt.Errorf("is a JSON %s, not an object", kind)
	}
	in := json.NewDecoder(bytes.NewReader(whole))
	if _, err := in.Token(); err != nil { // {
		return nil, "", err
	}
	fields = make(map[string]json.RawMessage, len(readFields))
	for in.More() {
		name, err := in.Token()
		if err != nil {
			return nil, "", err
		}
		var value json.RawMessage
		if err := in.Decode(&value); err != nil {
			return nil, "", err
		}
		key := name.(string) // as all names are
		if key != deliveryField {
			key = columnName(key)
		}
		if readFields[key] == "" {
			continue
		}
		if _, ok := fields[key]; ok {
			return nil, readFields[key], errors.New("is there twice")
		}
		fields[key] = value
	}
	return fields, "", nil
}

// jsonKind names what a value is by how it begins.
func jsonKind(raw json.RawMessage) string {
	switch raw = bytes.TrimSpace(raw); {
	case len(raw) == 0 || raw[0] == 'n':
		return "null"
	case raw[0] == '{':
		return "object"
	case raw[0] == '[':
		return "array"
	case raw[0] == '"':
		return "string"
	case raw[0] == 't' || raw[0] == 'f':
		return "bool"
	}
	return "number"
}

// jsonChatID takes a number as it is written: a float64 would bend long ids.
func jsonChatID(raw json.RawMessage) (string, error) {
	switch jsonKind(raw) {
	case "null":
		return "", errMissing
	case "string":
		var s string
		err := json.Unmarshal(raw, &s)
		return s, err
	case "number":
		return string(raw), nil
	}
	return "", fmt.Errorf("%.20s is neither a number nor a string", raw)
}

// jsonText refuses half a surrogate pair, in whose place the decoder puts a mark: no
// text is to arrive other than it was written.
func jsonText(raw json.RawMessage) (string, error) {
	switch kind := jsonKind(raw); kind {
	case "null":
		return "", errMissing
	case "string":
	default:
		return "", fmt.Errorf("is a %s, not a string", kind)
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", err
	}
	const mark = "\ufffd"
	written := bytes.Count(raw, []byte(mark)) + bytes.Count(bytes.ToLower(raw), []byte(`\ufffd`))
	if strings.Count(s, mark) > written {
		return "", errors.New("has half a surrogate pair in it")
	}
	return s, nil
}
