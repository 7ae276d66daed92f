package main

import (
	"fmt"
	"sync"
	"time"
)

// shortHold is how long a chat may be held without a word.
const shortHold = 5 * time.Second

// holds are the chats that the server has told to wait, and the messages that wait with
// them.
type holds struct {
	mu    sync.Mutex // guards what follows
	left  map[string]int
	until map[string]time.Time
}

func newHolds() *holds {
	return &holds{left: make(map[string]int), until: make(map[string]time.Time)}
}

// expect notes that messages are to be sent.
func (h *holds) expect(messages []message) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range messages {
		h.left[m.ChatID]++
	}
}

// hold notes that a chat is held. A hold only extends.
func (h *holds) hold(chat string, until time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if until.After(h.until[chat]) {
		h.until[chat] = until
	}
}

// done notes that a message of a chat needs nothing any more.
func (h *holds) done(chat string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.left[chat]--; h.left[chat] <= 0 {
		delete(h.left, chat)
		delete(h.until, chat)
	}
}

// held is what is held for longer than a moment.
type held struct {
	messages int
	chats    int
	last     string    // the chat that is held longest
	until    time.Time // and until when
}

func (h *holds) now() held {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all held
	now := time.Now()
	for chat, until := range h.until {
		switch left := until.Sub(now); {
		case left <= 0:
			delete(h.until, chat)
		case left >= shortHold:
			all.chats++
			all.messages += h.left[chat]
			if until.After(all.until) || until.Equal(all.until) && chat < all.last {
				all.last, all.until = chat, until
			}
		}
	}
	return all
}

// String reads like "1 held for chat 7 until 18:20:05".
func (h held) String() string {
	until := h.until.Format("15:04:05")
	if h.until.Format(time.DateOnly) != time.Now().Format(time.DateOnly) {
		until = h.until.Format("2 Jan 2006 15:04")
	}
	if h.chats == 1 {
		return fmt.Sprintf("%d held for chat %s until %s", h.messages, h.last, until)
	}
	return fmt.Sprintf("%d held for %d chats, for chat %s until %s", h.messages, h.chats, h.last, until)
}
