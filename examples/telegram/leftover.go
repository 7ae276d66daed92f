package main

import (
	"fmt"
	"io"
)

// leftOver is what a campaign leaves to another one.
type leftOver struct {
	notSent int // never tried to the end: the campaign was stopped
	failed  int // given up
	perhaps int // perhaps sent, by this campaign or an earlier one
	chats   int // of those not sent and failed
}

// leftOver counts the messages that may still be sent: not those whose user has blocked
// the bot.
func (c *campaign) leftOver() leftOver {
	l := leftOver{notSent: len(c.unsent), failed: len(c.failures), perhaps: len(c.unknown)}
	if c.ledger != nil {
		l.perhaps += len(c.ledger.kept)
	}
	chats := make(map[string]bool)
	for _, i := range c.unsent {
		chats[c.messages[i].ChatID] = true
	}
	for _, f := range c.failures {
		chats[c.messages[f.index].ChatID] = true
	}
	l.chats = len(chats)
	return l
}

// write says what is left over, and how to go on if it is in a file. Without one, what
// failed is no news.
func (l leftOver) write(w io.Writer, path string) {
	n := l.notSent + l.failed
	if n > 0 && (l.notSent > 0 || path != "") {
		fmt.Fprintf(w, "\nleft over: %s to %s, %d not sent and %d failed\n",
			counted(n, "message"), counted(l.chats, "chat"), l.notSent, l.failed)
		if path != "" {
			fmt.Fprintf(w, "go on with: -to %s\n", shellWord(path))
		}
	}
	if l.perhaps > 0 && path != "" {
		fmt.Fprintf(w, "\nperhaps sent: %s; %s has them too\nsend them again, if they have not arrived, with: -to %s -resend\n",
			counted(l.perhaps, "message"), path, shellWord(path))
	}
}

// finish ends the account of a campaign, and says what is left of it. The last resort of
// what can't be kept in a file is errs.
func (c *campaign) finish(out, errs io.Writer) error {
	path := ""
	if c.ledger != nil {
		path = c.ledger.path
		if err := c.ledger.finish(c.messages); err != nil {
			fmt.Fprintf(errs, "telegram: %v\ntelegram: don't use that file. What is not sent follows, to be saved in another one and sent with -to:\n", err)
			if err := c.ledger.writeLeft(errs, c.messages); err != nil {
				return err
			}
			return err
		}
	}
	c.leftOver().write(out, path)
	return nil
}
