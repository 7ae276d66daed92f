package main

import (
	"time"

	"github.com/freqlimit/dispatcher/gcra"
)

// limits are what a campaign is sent under.
type limits struct {
	Overall  gcra.FreqLimitParams // all messages
	PerChat  gcra.FreqLimitParams // the messages to one chat
	PerGroup gcra.FreqLimitParams // the messages to one group, besides PerChat
}

// shortestTime is the least time from the first start of a campaign to its
// last that the limits allow, with any scheduler: what the tightest of them
// takes alone.
func shortestTime(messages []message, l limits) time.Duration {
	shortest := spanOf(len(messages), l.Overall)
	perChat := make(map[string]int)
	for _, m := range messages {
		perChat[m.ChatID]++
	}
	for chatID, n := range perChat {
		shortest = max(shortest, spanOf(n, l.PerChat))
		if (message{ChatID: chatID}).group() {
			shortest = max(shortest, spanOf(n, l.PerGroup))
		}
	}
	return shortest
}

// spanOf is the least time between the first and the last of n events: the
// first Burst of them share an instant, the others are an interval apart.
func spanOf(n int, p gcra.FreqLimitParams) time.Duration {
	return time.Duration(max(0, n-max(1, p.Burst))) * p.Interval()
}
