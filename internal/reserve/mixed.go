package reserve

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/guard"
)

// Mixed notices keys whose params go back and forth because two programs that share a backend use
// them with different params. It ignores a change that is made once, even program by program.
//
// The program with the longer interval would never start a job, because each event of the other
// program, measured in that interval, puts its slot off. So after it has waited for [guard.Patience]
// intervals, it may take a slot far ahead: see [Reserver.lengthenHorizon].
type Mixed struct {
	slower atomic.Bool // an interval has become longer

	mu     sync.Mutex // guards what follows
	seen   map[mix]int
	longer map[use]int // how often the interval of a key became this one from a shorter one
	until  time.Time   // when seen and longer are forgotten
	logged time.Time   // when a change was last logged
}

// use is a key with the interval of its params.
type use struct {
	key      string
	interval time.Duration
}

// putOff says how jobs fare under a limit that other programs may use at shorter intervals.
type putOff struct {
	interval time.Duration // of the jobs
	before   int           // changes before the jobs had this interval
	last     int64         // their latest slot
}

// mix is a change of the params of a limit.
type mix struct {
	key     string
	was, is time.Duration // intervals
}

const (
	// mixedMost equal changes within mixedSpan mean that params go back and forth.
	mixedMost = 3
	mixedSpan = time.Minute

	// mostMixes is how many changes are kept.
	mostMixes = 256
)

// Add notes a [backend.ChangeParams]. It reports whether there have been too many, at most once in
// mixedSpan.
func (m *Mixed) Add(now time.Time, change backend.Change) bool {
	c := mix{change.Key, change.Was, change.Is}
	m.mu.Lock()
	defer m.mu.Unlock()
	if now.After(m.until) || len(m.seen) >= mostMixes {
		m.seen, m.longer, m.until = make(map[mix]int), make(map[use]int), now.Add(mixedSpan)
	}
	m.seen[c]++
	if c.was < c.is {
		m.longer[use{c.key, c.is}]++
		m.slower.Store(true)
	}
	if m.seen[c] < mixedMost || !m.logged.IsZero() && now.Sub(m.logged) < mixedSpan {
		return false
	}
	m.logged = now
	return true
}

// changes returns how often the interval of a key became the given one from a shorter one.
func (m *Mixed) changes(key string, interval time.Duration) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.longer[use{key, interval}]
}

// lengthenHorizon lengthens the horizon of a request whose limit other programs use at shorter intervals, if
// no job of this program has had a slot of the limit for a long time.
func (r *Reserver) lengthenHorizon(now int64, req *backend.Request) {
	for i := range req.Limits {
		l := &req.Limits[i]
		interval := l.Params.Interval()
		if interval <= req.Horizon || interval > guard.MaxAhead {
			continue
		}
		n, patience := r.cfg.Mixed.changes(l.Key, interval), guard.Patience*int64(interval)
		p, ok := r.slow[l.Key]
		switch {
		case n == 0:
			continue
		case !ok || p.interval != interval || n < p.before:
			// This program may have changed the interval itself.
			if r.slow == nil || len(r.slow) == mostMixes {
				r.slow = make(map[string]putOff)
			}
			p = putOff{interval, n, now - patience}
			r.slow[l.Key] = p
		}
		if n-p.before >= mixedMost && now-p.last >= patience {
			req.Horizon = guard.MaxAhead
		}
	}
}

// noteSlot notes the slot of a request that was granted.
func (r *Reserver) noteSlot(limits []backend.Limit, slot int64) {
	for i := range limits {
		if p, ok := r.slow[limits[i].Key]; ok {
			p.last = slot
			r.slow[limits[i].Key] = p
		}
	}
}
