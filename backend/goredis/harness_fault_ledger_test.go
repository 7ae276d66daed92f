package goredis_test

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/goredis"
)

// slot is when a job of a key may start, in local time since its ledger was
// opened.
type slot struct {
	key string
	at  time.Duration
}

// ledger notes the slots that a backend grants.
type ledger struct {
	*goredis.Backend
	opened time.Time

	mu    sync.Mutex // guards what follows
	calls int        // of Reserve

	// tokens are the slots of each limit by the server's clock, without those that
	// were given back.
	tokens map[string][]int64

	// grants are the tokens of the slots of each key, which is the key of the first
	// limit of a request.
	grants map[slot][]int64
}

func newLedger(b *goredis.Backend) *ledger {
	return &ledger{
		Backend: b,
		opened:  time.Now(),
		tokens:  make(map[string][]int64),
		grants:  make(map[slot][]int64),
	}
}

func (l *ledger) slot(key string, at time.Time) slot { return slot{key, at.Sub(l.opened)} }

// Reserve implements [backend.Backend].
func (l *ledger) Reserve(ctx context.Context, reqs []backend.Request, decisions []backend.Decision) error {
	err := l.Backend.Reserve(ctx, reqs, decisions)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls++
	for i, req := range reqs {
		if d := &decisions[i]; err == nil && d.Granted {
			for _, limit := range req.Limits {
				l.tokens[limit.Key] = append(l.tokens[limit.Key], d.Token)
			}
			s := l.slot(req.Limits[0].Key, d.Slot)
			l.grants[s] = append(l.grants[s], d.Token)
		}
	}
	return err
}

// asked returns how often the backend was asked.
func (l *ledger) asked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.calls
}

// Release implements [backend.Releaser]. It takes the slot out of the ledger first:
// the server may grant it to another before it answers.
func (l *ledger) Release(ctx context.Context, limits []backend.Limit, token int64) error {
	l.mu.Lock()
	for _, limit := range limits {
		if i := slices.Index(l.tokens[limit.Key], token); i >= 0 {
			l.tokens[limit.Key] = slices.Delete(l.tokens[limit.Key], i, i+1)
		}
	}
	l.mu.Unlock()
	return l.Backend.Release(ctx, limits, token)
}

// use takes a slot out of the grants and returns its token, the latest if several
// have it.
func (l *ledger) use(s slot) (token int64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	tokens := l.grants[s]
	if len(tokens) == 0 {
		return 0, false
	}
	token = slices.Max(tokens)
	i := slices.Index(tokens, token)
	l.grants[s] = slices.Delete(tokens, i, i+1)
	return token, true
}

// merged returns the slots that several ledgers have of each limit, in their order.
func merged(ledgers ...*ledger) map[string][]int64 {
	all := make(map[string][]int64)
	for _, l := range ledgers {
		l.mu.Lock()
		for key, tokens := range l.tokens {
			all[key] = append(all[key], tokens...)
		}
		l.mu.Unlock()
	}
	for _, tokens := range all {
		slices.Sort(tokens)
	}
	return all
}
