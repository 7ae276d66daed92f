package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// How many reasons are worth a line each, and how many chats of each are named.
const (
	listedReasons = 10
	listedChats   = 3
)

// writeFailures says which messages were given up, which were perhaps delivered, and why.
func (c *campaign) writeFailures(w io.Writer) {
	c.writeReasons(w, "failed", c.failures)
	c.writeReasons(w, "perhaps sent", c.unknown)
}

// writeReasons writes a line for each reason, not for each message: most fail for the same.
func (c *campaign) writeReasons(w io.Writer, what string, failures []failure) {
	var reasons []string
	chats := make(map[string][]string) // by reason
	byPlace := func(a, b failure) int { return a.index - b.index }
	for _, f := range slices.SortedFunc(slices.Values(failures), byPlace) {
		reason := plainText([]byte(f.err.Error()))
		if chats[reason] == nil {
			reasons = append(reasons, reason)
		}
		chats[reason] = append(chats[reason], c.messages[f.index].ChatID)
	}
	for i, reason := range reasons {
		if i == listedReasons {
			fmt.Fprintf(w, "... and for %s more\n", counted(len(reasons)-i, "reason"))
			return
		}
		fmt.Fprintf(w, "%s: %s to %s: %s\n", what, counted(len(chats[reason]), "message"), namedChats(chats[reason]), reason)
	}
}

// namedChats is "chat 7", or "chats 7, 8" and how many more.
func namedChats(ids []string) string {
	var different []string
	seen := make(map[string]bool)
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			different = append(different, id)
		}
	}
	switch n := len(different); {
	case n == 1:
		return "chat " + different[0]
	case n > listedChats:
		return fmt.Sprintf("chats %s and %d more", strings.Join(different[:listedChats], ", "), n-listedChats)
	}
	return "chats " + strings.Join(different, ", ")
}

// counted is "1 message" or "2 messages".
func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
