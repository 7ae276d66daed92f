package freqlimit

import (
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// A limiter watches its backend to learn that a limit opens earlier than a refusal said. It
// watches only while somebody waits, because a limiter has no method that ends it.

// longWait is how long a wait must be to be worth a watch of a remote backend: a watch costs a
// connection.
const longWait = time.Second

// worthWatching reports whether a wait is reason to begin a watch. It requires that mu is held.
func (f *Limiter) worthWatching(wait time.Duration) bool {
	return f.watcher != nil && !f.watching && (!f.remote || wait >= longWait)
}

// watch begins to watch the backend.
func (f *Limiter) watch() {
	f.mu.Lock()
	if f.watching {
		f.mu.Unlock()
		return
	}
	f.watching = true
	f.mu.Unlock()
	stop := f.watcher.Watch(f.hear)
	f.mu.Lock()
	f.stop = stop
	stop = f.unwatch()
	f.mu.Unlock()
	f.end(stop)
}

// unwatch returns what ends the watch if nobody waits, else nil. The caller passes it to end
// when it has unlocked mu, which must be held.
func (f *Limiter) unwatch() (stop func()) {
	if f.stop == nil || f.keys.Len() > 0 {
		return nil
	}
	stop = f.stop
	f.watching, f.stop = false, nil
	return stop
}

// end ends a watch. mu must not be held, for the backend runs.
func (f *Limiter) end(stop func()) {
	switch {
	case stop == nil:
	case f.remote:
		go stop() // it may wait for the network
	default:
		stop()
	}
}

// hear takes in a change at the backend. It is called by the watch.
func (f *Limiter) hear(c backend.Change) {
	switch c.Kind {
	case backend.ChangeRelease:
		f.mu.Lock()
		defer f.mu.Unlock()
		if l, ok := f.keys.Get(c.Key); ok {
			l.askAgain()
		}
	case backend.ChangeCurrent, backend.ChangeClear:
		// Changes before ChangeCurrent may not have been reported.
		f.askAgain()
	}
}

// askAgain makes the waiters at all counters ask the backend again.
func (f *Limiter) askAgain() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range f.keys.All() {
		l.askAgain()
	}
}

// askAgain makes the waiter at the counter ask again. It requires that Limiter.mu is held.
func (l *line) askAgain() {
	l.outdated = l.asking // the request may be older than the change
	l.again = time.Time{}
	if l.counter != nil {
		l.counter.Value.(*waiter).notify()
	}
}
