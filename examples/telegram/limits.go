package main

import (
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/gcra"
)

// used are the limits that the sender keeps. Telegram allows about 30 messages a
// second over all, 1 a second to a chat, and 20 a minute to a group.
//
// They leave a margin. The dispatcher spaces slots exactly, but the server counts
// arrivals: a message whose start or packet was late, followed by one that was
// not, arrives closer to it than their slots are. At exactly 30 a second the
// smallest lateness would put 31 arrivals into one second. So each limit is such
// that the messages it takes to break the server's are spread over more than the
// server's window, by the lateness that is to be forgiven:
//
//	28/s:       31 messages take 30/28 s, 71 ms more than the second
//	1/1.1s:      2 messages take 1.1 s, 100 ms more
//	20/63s:     21 messages take 63 s, 3 s more than the minute
//
// None has a burst: GCRA lets a burst through on top of the rate, and a window
// that begins with one would hold more than the server allows.
var used = limits{
	Overall:  gcra.PerSecond(28),
	PerChat:  gcra.Every(1100 * time.Millisecond),
	PerGroup: gcra.FreqLimitParams{Limit: 20, Period: 63 * time.Second},
}

// limitsOf returns the limits that a message is under. The chat's own is under
// the key of the job, so that a 429 for the chat holds it.
func (l limits) limitsOf(chat string, m message) []dispatcher.Limit {
	under := []dispatcher.Limit{
		{Key: "bot", Params: l.Overall},
		{Key: chat, Params: l.PerChat},
	}
	if m.group() {
		under = append(under, dispatcher.Limit{Key: "group:" + chat, Params: l.PerGroup})
	}
	return under
}
