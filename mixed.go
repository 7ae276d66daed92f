package dispatcher

import (
	"log/slog"
	"sync"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// mixed notices keys whose params go to and fro: two programs that share a backend use
// them under different params, and each takes the limit away from the other. A change
// that is made once, in all programs or step by step, is none of its business.
type mixed struct {
	mu     sync.Mutex // guards what follows
	seen   map[mix]int
	until  time.Time // when seen is forgotten
	logged time.Time // when one was logged last
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
)

// add takes in a change, and reports whether it is one too many, once in mixedSpan.
func (m *mixed) add(now time.Time, c mix) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now.After(m.until) || len(m.seen) >= mostMixes {
		m.seen, m.until = make(map[mix]int), now.Add(mixedSpan)
	}
	m.seen[c]++
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
