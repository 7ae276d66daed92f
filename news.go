package dispatcher

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// news is a [backend.Change] for the loop, or a hold that the backend does not know.
type news struct {
	kind  backend.ChangeKind
	key   string
	until int64 // instant of the scheduler
	by    holder
}

// holder is who has made a hold.
type holder uint8

const (
	byOthers  holder = iota // or by a handler, of its job's key
	byHandler               // of another key
	byCaller                // of Hold
)

// newsPatience is how long Run waits for what the backend has to tell of before: jobs
// without limits could start in a hold otherwise. If the backend does not answer they
// are not kept for longer.
const newsPatience = time.Second

// watch has the backend tell its news, if it can, until stop is called. It returns when
// the holds that are in force have been told.
func (d *Dispatcher[T]) watch(ctx context.Context) (stop func()) {
	w, ok := d.backend.(backend.Watcher)
	if !ok {
		return func() {}
	}
	current := make(chan struct{}, 1)
	stop = w.Watch(func(c backend.Change) {
		switch c.Kind {
		case backend.ChangeCurrent:
		case backend.ChangeParams:
			d.tellMixed(c)
			return
		default:
			d.hear(c)
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

// hear passes a change at the backend on to the loop.
func (d *Dispatcher[T]) hear(c backend.Change) {
	n := news{kind: c.Kind, key: c.Key}
	if c.Kind == backend.ChangeHold {
		n.until = int64(c.Until.Sub(*d.epoch))
	}
	d.tellNews(n)
}

// heed has the loop hear of a hold.
func (d *Dispatcher[T]) heed(key string, until int64, by holder) {
	d.tellNews(news{backend.ChangeHold, key, until, by})
}

func (d *Dispatcher[T]) tellNews(n news) {
	d.mu.Lock()
	last := len(d.inbox.news) - 1
	fresh := !d.over && (last < 0 || d.inbox.news[last] != n)
	if fresh {
		d.inbox.news = append(d.inbox.news, n)
		if n.kind == backend.ChangeHold {
			d.stopExpress()
		}
	}
	d.mu.Unlock()
	if fresh {
		d.signal()
	}
}

// learn takes in a piece of news.
func (l *loop[T]) learn(now int64, n news) {
	switch n.kind {
	case backend.ChangeHold:
		l.sched.Hold(now, n.key, n.until)
		if n.by != byOthers && n.until > now && len(l.unlooked) < mostUnlooked {
			l.unlooked = append(l.unlooked, n)
		}
	case backend.ChangeRelease:
		l.sched.Doubt(now, n.key)
		l.asker.outdated(n.key)
	case backend.ChangeClear:
		l.sched.Clear()
		l.asker.outdated()
	}
}

// mostUnlooked is how many holds are kept for lookForHeld.
const mostUnlooked = 16

// lookForHeld logs, once a minute, that a key was held that neither a job nor a limit has:
// a mistake in its spelling, maybe. It is called when all jobs have been taken in.
func (l *loop[T]) lookForHeld(now int64) {
	for _, n := range l.unlooked {
		if l.sched.Has(n.key) || l.strangeAt > 0 && now-l.strangeAt < int64(time.Minute) {
			continue
		}
		l.strangeAt = now
		level, by := slog.LevelWarn, "RetryAfter"
		if n.by == byCaller {
			level, by = slog.LevelInfo, "Hold"
		}
		l.logSoon(level, "dispatcher: a key is held that no job and no limit has here",
			slog.String("key", n.key), slog.String("by", by))
	}
	l.unlooked = l.unlooked[:0]
}

// outdated notes that the answers that are on their way may be from before these limits
// got something back; with no keys, from before all was forgotten.
func (a *asker[T]) outdated(keys ...string) {
	for _, b := range a.batches {
		b.cleared = b.cleared || len(keys) == 0
		for _, key := range keys {
			if !slices.Contains(b.outdated, key) {
				b.outdated = append(b.outdated, key)
			}
		}
	}
}

// distrust has the backend asked again about what a batch may have told wrong.
func (a *asker[T]) distrust(now int64, b *batch[T]) {
	s := a.loop.sched
	for _, key := range b.outdated {
		s.Doubt(now, key)
	}
	if !b.cleared {
		return
	}
	for i := range b.requests {
		if b.decisions[i].Granted {
			continue
		}
		for _, l := range b.requests[i].Limits {
			s.Cleared(now, l.Key)
		}
		for _, key := range b.requests[i].HeldBy {
			s.Cleared(now, key)
		}
	}
}
