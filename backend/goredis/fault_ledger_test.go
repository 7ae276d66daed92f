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

	// stamps are the slots of each limit by the server's clock, but for those that
	// were given back.
	stamps map[string][]int64

	// grants are the stamps of the slots of each key, which is that of the first
	// limit of a request.
	grants map[slot][]int64
}

func newLedger(b *goredis.Backend) *ledger {
	return &ledger{
		Backend: b,
		opened:  time.Now(),
		stamps:  make(map[string][]int64),
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
				l.stamps[limit.Key] = append(l.stamps[limit.Key], d.Stamp)
			}
			s := l.slot(req.Limits[0].Key, d.Slot)
			l.grants[s] = append(l.grants[s], d.Stamp)
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
func (l *ledger) Release(ctx context.Context, limits []backend.Limit, stamp int64) error {
	l.mu.Lock()
	for _, limit := range limits {
		if i := slices.Index(l.stamps[limit.Key], stamp); i >= 0 {
			l.stamps[limit.Key] = slices.Delete(l.stamps[limit.Key], i, i+1)
		}
	}
	l.mu.Unlock()
	return l.Backend.Release(ctx, limits, stamp)
}

// use takes a slot out of the grants and returns its stamp, the latest if several
// have it.
func (l *ledger) use(s slot) (stamp int64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	stamps := l.grants[s]
	if len(stamps) == 0 {
		return 0, false
	}
	stamp = slices.Max(stamps)
	i := slices.Index(stamps, stamp)
	l.grants[s] = slices.Delete(stamps, i, i+1)
	return stamp, true
}

// merged returns the slots that several ledgers have of each limit, in their order.
func merged(ledgers ...*ledger) map[string][]int64 {
	all := make(map[string][]int64)
	for _, l := range ledgers {
		l.mu.Lock()
		for key, stamps := range l.stamps {
			all[key] = append(all[key], stamps...)
		}
		l.mu.Unlock()
	}
	for _, stamps := range all {
		slices.Sort(stamps)
	}
	return all
}
