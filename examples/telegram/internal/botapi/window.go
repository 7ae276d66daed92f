package botapi

import (
	"slices"
	"time"
)

// Window is a limit: at most Limit messages, 1 or more, in any half-open window
// of Length.
type Window struct {
	Limit  int
	Length time.Duration
}

// arrivals holds the instants of the accepted messages that can still share a
// window with the next one, oldest first: no more than the limit.
type arrivals []time.Duration

// wait is how long after now the next message would fit; 0 when it fits now.
// Instants never go back from one call to the next.
func (a *arrivals) wait(now time.Duration, w Window) time.Duration {
	// An arrival exactly Length ago is outside: no half-open window holds both.
	past := 0
	for past < len(*a) && now-(*a)[past] >= w.Length {
		past++
	}
	*a = slices.Delete(*a, 0, past)
	if len(*a) < w.Limit {
		return 0
	}
	return (*a)[len(*a)-w.Limit] + w.Length - now
}

// add counts a message that fits at now.
func (a *arrivals) add(now time.Duration) { *a = append(*a, now) }
