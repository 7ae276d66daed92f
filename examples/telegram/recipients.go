package main

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxText is the most that Telegram takes in one message, in UTF-16 code units.
const maxText = 4096

// maxErrors is how many bad lines of a file are worth showing at once.
const maxErrors = 20

// message is one text for one chat.
type message struct {
	ChatID string // a number in decimal, or "@username" in lower case
	Text   string
}

// group reports whether the chat is under the limit for groups: its id is
// negative, or a name, which only channels and public groups have.
func (m message) group() bool {
	return strings.HasPrefix(m.ChatID, "-") || strings.HasPrefix(m.ChatID, "@")
}

// campaignFile is what a file of messages holds.
type campaignFile struct {
	messages []message // to be sent
	perhaps  []bool    // by message: it was perhaps sent before
	kept     []message // perhaps sent before, and not to be sent again
	ours     bool      // an earlier campaign has left it
}

// loadFile reads a whole file, or stdin when the path is "-", in the order of its lines.
// A file with any bad line gives no messages, and an error that shows the first of them
// and counts the others: half a campaign is harder to repair than none. With resend it
// takes messages that were perhaps sent for ones to be sent.
func loadFile(path string, stdin io.Reader, resend bool) (campaignFile, error) {
	name, read, err := format(path)
	if err != nil {
		return campaignFile{}, err
	}
	in := stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return campaignFile{}, err
		}
		defer f.Close()
		in = f
	}
	in, err = toUTF8(in)
	if err != nil {
		return campaignFile{}, fmt.Errorf("%s: %w", name, err)
	}

	var file campaignFile
	var bad []error
	more := 0
	for m, err := range read(in) {
		e, before := errors.AsType[*earlier](err)
		switch {
		case len(bad) == 0 && err == nil:
			file.add(m, unsent, resend)
		case len(bad) == 0 && before:
			file.add(m, e.delivery, resend)
			file.ours = true
		case err == nil || before: // none is sent
		case len(bad) < maxErrors:
			bad = append(bad, fmt.Errorf("%s: %w", name, err))
		default:
			more++
		}
	}
	if more > 0 {
		bad = append(bad, fmt.Errorf("%s: and %d more", name, more))
	}
	switch {
	case len(bad) > 0:
		return campaignFile{}, errors.Join(bad...)
	case len(file.messages) > 0:
		return file, nil
	case len(file.kept) > 0:
		return campaignFile{}, fmt.Errorf("%s: holds no messages but %d that were perhaps sent: -resend sends them again", name, len(file.kept))
	case file.ours:
		return campaignFile{}, fmt.Errorf("%s: all of its messages are sent: remove it", name)
	}
	return campaignFile{}, fmt.Errorf("%s: holds no messages", name)
}

func (f *campaignFile) add(m message, d delivery, resend bool) {
	toSend, perhaps, _ := d.left()
	switch {
	case perhaps && !resend:
		f.kept = append(f.kept, m)
	case toSend || perhaps:
		f.messages = append(f.messages, m)
		f.perhaps = append(f.perhaps, perhaps)
	}
}

// format picks the reader for a path, and the name for it in errors.
func format(path string) (name string, read func(io.Reader) iter.Seq2[message, error], err error) {
	if path == "-" {
		return "stdin", readJSONLines, nil
	}
	switch strings.ToLower(filepath.Ext(path)) {
	case ".csv", ".tsv":
		return path, readCSV, nil
	case ".jsonl", ".ndjson":
		return path, readJSONLines, nil
	}
	return "", nil, fmt.Errorf("%s: unknown kind of file: want .csv, .tsv, .jsonl or .ndjson", path)
}

// lineError says what is wrong with one line of a file.
type lineError struct {
	line  int    // from 1
	field string // "" when it is the whole line
	err   error
}

func (e *lineError) Error() string {
	if e.field == "" {
		return fmt.Sprintf("line %d: %v", e.line, e.err)
	}
	return fmt.Sprintf("line %d: %s: %v", e.line, e.field, e.err)
}

func (e *lineError) Unwrap() error { return e.err }

var (
	errMissing = errors.New("is missing")
	errEmpty   = errors.New("is empty")
	errUTF8    = errors.New("is not UTF-8: save the file as UTF-8")
)

// newMessage checks what was read, whatever the format. On an error it also
// names the field that is wrong.
func newMessage(chatID, text string) (m message, field string, err error) {
	if m.ChatID, err = parseChatID(chatID); err != nil {
		return message{}, "chat_id", err
	}
	if err = checkText(text); err != nil {
		return message{}, "text", err
	}
	m.Text = text
	return m, "", nil
}

// parseChatID returns the one spelling of an id that serves as a key, so that
// no chat gets twice its rate under two names.
func parseChatID(s string) (string, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return "", errEmpty
	}
	if name, ok := strings.CutPrefix(s, "@"); ok {
		if !isUsername(name) {
			return "", fmt.Errorf("%q is no username", s)
		}
		return strings.ToLower(s), nil
	}
	id, err := strconv.ParseInt(s, 10, 64)
	if err != nil || id == 0 {
		return "", fmt.Errorf("%q is neither a chat's number nor @username", s)
	}
	return strconv.FormatInt(id, 10), nil
}

// isUsername holds for 4 to 32 Latin letters, digits and underscores of which
// the first is a letter.
func isUsername(s string) bool {
	if len(s) < 4 || len(s) > 32 {
		return false
	}
	for i, r := range s {
		letter := 'a' <= r|0x20 && r|0x20 <= 'z'
		if !letter && (i == 0 || r != '_' && (r < '0' || r > '9')) {
			return false
		}
	}
	return true
}

func checkText(s string) error {
	if !utf8.ValidString(s) {
		return errUTF8
	}
	if strings.TrimSpace(s) == "" {
		return errEmpty
	}
	units := 0
	for _, r := range s {
		units += utf16.RuneLen(r)
	}
	if units > maxText {
		return fmt.Errorf("is %d characters long, Telegram takes %d", units, maxText)
	}
	return nil
}
