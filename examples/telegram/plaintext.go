package main

import (
	"regexp"
	"strings"
	"unicode"
)

// maxPlain is as much of a text as a line has room for.
const maxPlain = 100

var (
	pageTitle = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title>`)
	pageTag   = regexp.MustCompile(`(?s)<[^>]*>?`)
)

// plainText makes a short line of what a server says: of a page its title.
func plainText(page []byte) string {
	if title := pageTitle.FindSubmatch(page); title != nil {
		page = title[1]
	}
	text := pageTag.ReplaceAllString(strings.ToValidUTF8(string(page), ""), " ")
	text = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if !unicode.IsPrint(r) { // it could do something to the terminal
			return -1
		}
		return r
	}, text)
	runes := []rune(strings.Join(strings.Fields(text), " "))
	if len(runes) > maxPlain {
		return string(runes[:maxPlain]) + "..."
	}
	return string(runes)
}
