package engine

import (
	"context"
	"log/slog"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// news is a [backend.Change] for the loop, or a hold that the backend does not know.
type news struct {
	kind  backend.ChangeKind
	key   string
	until int64 // instant of the scheduler
	by    Holder

	// Of a turn: the limit's TAT and interval, and the reach of others.
	tat             int64
	interval, reach time.Duration
}

// Holder says who made a hold.
type Holder uint8

const (
	ByOthers  Holder = iota // another process, or a handler that holds its job's key
	ByHandler               // a handler that holds another key
	ByCaller                // a caller of Hold
)

// newsPatience is how long Run waits for the backend to report the holds in force, in which jobs
// without limits could start otherwise. If the backend doesn't answer by then, jobs start anyway.
const newsPatience = time.Second

// watch makes the backend report its news, if it can, until stop is called. It returns once the
// holds in force have been reported.
func (e *Engine) watch(ctx context.Context) (stop func()) {
	w := e.traits.Watcher
	if w == nil {
		return func() {}
	}
	current := make(chan struct{}, 1)
	stop = w.Watch(func(c backend.Change) {
		switch c.Kind {
		case backend.ChangeCurrent:
		case backend.ChangeParams:
			e.tellMixed(c)
			return
		default:
			e.hear(c)
			return
		}
		select {
		case current <- struct{}{}:
		default:
		}
	})
	patience := time.NewTimer(newsPatience)
	defer patience.Stop()
	select {
	case <-current:
	case <-patience.C:
	case <-ctx.Done():
	}
	return stop
}

// hear passes a change of the backend on to the loop.
func (e *Engine) hear(c backend.Change) {
	if c.Kind == backend.ChangeRetryAt && c.MemberID != e.member {
		return
	}
	n := news{kind: c.Kind, key: c.Key}
	if c.Kind == backend.ChangeHold || c.Kind == backend.ChangeRetryAt {
		n.until = int64(c.Until.Sub(*e.epoch))
	}
	if c.Kind == backend.ChangeRetryAt {
		n.tat, n.interval, n.reach = int64(c.TAT.Sub(*e.epoch)), c.Is, c.MinHorizon
	}
	e.tellNews(n)
}

// HeldUntil tells the loop that a key is held.
func (e *Engine) HeldUntil(key string, until int64, by Holder) {
	e.tellNews(news{kind: backend.ChangeHold, key: key, until: until, by: by})
}

func (e *Engine) tellNews(n news) {
	e.mu.Lock()
	last := len(e.inbox.news) - 1
	fresh := !e.over && (last < 0 || e.inbox.news[last] != n)
	if fresh {
		e.inbox.news = append(e.inbox.news, n)
		if n.kind == backend.ChangeHold {
			e.barFastPath()
		}
	}
	e.mu.Unlock()
	if fresh {
		e.signal()
	}
}

// learn takes in a piece of news.
func (l *loop) learn(now int64, n news) {
	switch n.kind {
	case backend.ChangeHold:
		l.sched.Hold(now, n.key, n.until)
		if n.by != ByOthers && n.until > now && len(l.uncheckedHolds) < mostUncheckedHolds {
			l.uncheckedHolds = append(l.uncheckedHolds, n)
		}
	case backend.ChangeRetryAt:
		l.reserver.TurnGiven(now, n.key, n.until, n.tat, n.interval, n.reach)
	case backend.ChangeRelease:
		l.sched.Invalidate(now, n.key)
		l.reserver.Outdated(n.key)
	case backend.ChangeClear:
		l.sched.Clear()
		l.reserver.Outdated()
	}
}

// mostUncheckedHolds is how many holds are kept for checkHeldKeys.
const mostUncheckedHolds = 16

// checkHeldKeys logs, at most once a minute, that a held key belongs to no job and no limit, because it
// may be misspelled. It is called when all jobs have been taken in.
func (l *loop) checkHeldKeys(now int64) {
	for _, n := range l.uncheckedHolds {
		if l.sched.Has(n.key) || l.unknownKeyAt > 0 && now-l.unknownKeyAt < int64(time.Minute) {
			continue
		}
		l.unknownKeyAt = now
		level, by := slog.LevelWarn, "RetryAfter"
		if n.by == ByCaller {
			level, by = slog.LevelInfo, "Hold"
		}
		l.e.LogSoon(level, "dispatcher: held key matches no job and no limit here",
			slog.String("key", n.key), slog.String("by", by))
	}
	l.uncheckedHolds = l.uncheckedHolds[:0]
}

// tellMixed logs that the params of a key go back and forth.
func (e *Engine) tellMixed(c backend.Change) {
	if e.mixed.Add(e.Clock(), c) {
		e.LogSoon(slog.LevelWarn, "dispatcher: limit used with different params, which slows all users down: use the same params, or one key prefix per program",
			slog.String("key", c.Key), slog.Duration("interval", c.Is), slog.Duration("other", c.Was))
	}
}
