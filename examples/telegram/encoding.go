package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// The byte order marks that programs put before a text.
const (
	markUTF8    = "\xef\xbb\xbf"
	markUTF16LE = "\xff\xfe"
	markUTF16BE = "\xfe\xff"
	markUTF32LE = "\xff\xfe\x00\x00"
	markUTF32BE = "\x00\x00\xfe\xff"
)

// toUTF8 drops byte order marks, of which files that were joined have several, and
// turns UTF-16 into UTF-8: spreadsheets and PowerShell write it.
func toUTF8(r io.Reader) (io.Reader, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	begin, _ := in.Peek(64) // what there is of it
	begins := func(mark string) bool { return bytes.HasPrefix(begin, []byte(mark)) }
	switch {
	case begins(markUTF32LE) || begins(markUTF32BE):
		return nil, errors.New("looks like UTF-32: save it as UTF-8")
	case begins(markUTF16LE):
		in = bufio.NewReaderSize(&utf16Reader{in: in, order: binary.LittleEndian}, 64<<10)
	case begins(markUTF16BE):
		in = bufio.NewReaderSize(&utf16Reader{in: in, order: binary.BigEndian}, 64<<10)
	case bytes.IndexByte(begin, 0) >= 0:
		return nil, errors.New("looks like UTF-16 without a byte order mark: save it as UTF-8")
	}
	for {
		if mark, _ := in.Peek(len(markUTF8)); string(mark) != markUTF8 {
			return in, nil
		}
		in.Discard(len(markUTF8)) // they are in the buffer
	}
}

// utf16Reader reads UTF-16 as UTF-8.
type utf16Reader struct {
	in    *bufio.Reader
	order binary.ByteOrder
	ready []byte // to be read next
	err   error  // then, and from then on: who peeks forgets it
}

func (u *utf16Reader) Read(p []byte) (int, error) {
	for u.err == nil && (len(u.ready) == 0 || len(u.ready) < len(p) && u.in.Buffered() >= 4) {
		var r rune
		if r, u.err = u.next(); u.err == nil {
			u.ready = utf8.AppendRune(u.ready, r)
		}
	}
	if len(u.ready) == 0 {
		return 0, u.err
	}
	n := copy(p, u.ready)
	u.ready = u.ready[:copy(u.ready, u.ready[n:])]
	return n, nil
}

// next reads a character.
func (u *utf16Reader) next() (rune, error) {
	first, err := u.unit()
	if err != nil || !utf16.IsSurrogate(first) {
		return first, err
	}
	second, err := u.unit()
	if errors.Is(err, io.EOF) {
		err = nil // and second is 0, which makes no pair
	}
	r := utf16.DecodeRune(first, second)
	if err == nil && r == utf8.RuneError {
		err = errors.New("is UTF-16 with half a surrogate pair in it")
	}
	return r, err
}

// unit reads half a pair, or a character that needs no pair.
func (u *utf16Reader) unit() (rune, error) {
	var b [2]byte
	_, err := io.ReadFull(u.in, b[:])
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("is UTF-16 that ends within a character")
	}
	return rune(u.order.Uint16(b[:])), err
}
