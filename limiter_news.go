package dispatcher

import (
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// Whoever waits in a FreqLimit wants to hear when the backend opens earlier than it has
// said. The backend tells while somebody waits, and no longer: a FreqLimit has no end at
// which that could stop.

// longWait is how long a wait must be for the news of a backend in another process: to
// be told costs a connection.
const longWait = time.Second

// worthWatching reports whether a wait needs the news and does not get it yet. It requires
// that mu is held.
func (f *FreqLimit) worthWatching(wait time.Duration) bool {
	return f.watcher != nil && !f.watching && (!f.remote || wait >= longWait)
}

// watch has the backend tell its news.
func (f *FreqLimit) watch() {
	f.mu.Lock()
	if f.watching {
		f.mu.Unlock()
		return
	}
	f.watching = true
	f.mu.Unlock()
	stop := f.watcher.Watch(f.hear)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stop = stop
	f.unwatch()
}

// unwatch ends the news if nobody waits. It requires that mu is held.
func (f *FreqLimit) unwatch() {
	if f.stop == nil || f.keys.Len() > 0 {
		return
	}
	if stop := f.stop; f.remote {
		go stop() // it may wait for the network
	} else {
		stop()
	}
	f.watching, f.stop = false, nil
}

// hear takes in a change at the backend.
func (f *FreqLimit) hear(c backend.Change) {
	switch c.Kind {
	case backend.ChangeRelease:
		f.mu.Lock()
		defer f.mu.Unlock()
		if l, ok := f.keys.Get(c.Key); ok {
			l.askAnew()
		}
	case backend.ChangeCurrent, backend.ChangeClear:
		// Before ChangeCurrent there may have been news that nobody has told.
		f.askAnew()
	}
}

// askAnew has all who are at a counter ask the backend again.
func (f *FreqLimit) askAnew() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range f.keys.All() {
		l.askAnew()
	}
}

// askAnew has the waiter at the counter ask again. FreqLimit.mu is held.
func (l *line) askAnew() {
	l.outdated = l.asking // the answer may be of before
	l.again = time.Time{}
	if l.counter != nil {
		l.counter.Value.(*waiter).tell()
	}
}
