package dispatcher

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// mixed notices keys whose params go to and fro: two programs that share a backend use
// them under different params, and each takes the limit away from the other. A change
// that is made once, in all programs or step by step, is none of its business.
//
// The program with the longer interval would never start a job: an event of the other one,
// measured in that interval, always puts its slot off. So it may take a slot far ahead of
// time, once it has waited for slowPatience of them: see [asker.reach].
type mixed struct {
	slower atomic.Bool // an interval has become longer

	mu     sync.Mutex // guards what follows
	seen   map[mix]int
	longer map[use]int // how often the interval of a key became this one from a shorter one
	until  time.Time   // when seen is forgotten
	logged time.Time   // when one was logged last
}

// use is a key with the interval of its params.
type use struct {
	key      string
	interval time.Duration
}

// putOff is what jobs have to bear under a limit that others may use at shorter intervals.
type putOff struct {
	interval time.Duration // of the jobs
	before   int           // changes before they had that
	last     int64         // their latest slot
}

// mix is a change of the params of a limit.
type mix struct {
	key     string
	was, is time.Duration // intervals
}

const (
	// So many equal changes within mixedSpan are too many.
	mixedMost = 3
	mixedSpan = time.Minute

	// mostMixes is how many changes are kept.
	mostMixes = 256

	// slowPatience is for how many intervals jobs wait under a limit that others use at
	// shorter ones, and mostReach how far ahead a slot may then be taken: for so long the
	// others wait, and a worker is set aside.
	slowPatience = 3
	mostReach    = 10 * time.Second
)

// add takes in a change, and reports whether it is one too many, once in mixedSpan.
func (m *mixed) add(now time.Time, c mix) bool {
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

// tellMixed logs that the params of a key go to and fro.
func (d *Dispatcher[T]) tellMixed(c backend.Change) {
	if d.mixed.add(d.instant(), mix{c.Key, c.Was, c.Is}) {
		d.logSoon(slog.LevelWarn, "dispatcher: a limit is used under different params, and each user slows the others down: use the same params, or a prefix for each program",
			slog.String("key", c.Key), slog.Duration("interval", c.Is), slog.Duration("other", c.Was))
	}
}

// changes returns how often the interval of a key became the given one from a shorter one.
func (m *mixed) changes(key string, interval time.Duration) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.longer[use{key, interval}]
}

// reach lengthens the horizon of a request whose limit others use at shorter intervals, if
// none of this program's jobs has had a slot there for long.
func (a *asker[T]) reach(now int64, r *backend.Request) {
	for i := range r.Limits {
		l := &r.Limits[i]
		interval := l.Params.Interval()
		if interval <= r.Horizon || interval > mostReach {
			continue
		}
		n, patience := a.loop.mixed.changes(l.Key, interval), slowPatience*int64(interval)
		p, ok := a.slow[l.Key]
		switch {
		case n == 0:
			continue
		case !ok || p.interval != interval || n < p.before:
			// This program may have changed the interval itself.
			if a.slow == nil || len(a.slow) == mostMixes {
				a.slow = make(map[string]putOff)
			}
			p = putOff{interval, n, now - patience}
			a.slow[l.Key] = p
		}
		if n-p.before >= mixedMost && now-p.last >= patience {
			r.Horizon = mostReach
		}
	}
}

// reached notes the slot of a request that was granted.
func (a *asker[T]) reached(limits []Limit, slot int64) {
	for i := range limits {
		if p, ok := a.slow[limits[i].Key]; ok {
			p.last = slot
			a.slow[limits[i].Key] = p
		}
	}
}
