package backend

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Watcher is an optional ability of a [Backend]: it tells those who use it what others,
// of this process or another, have changed. They act on it sooner than they would find
// out by asking.
//
// It is no more than news. A backend in another process may lose some of it, and tells
// all of it late; what may start is decided by Reserve alone.
type Watcher interface {
	// Watch calls f with each hold that is in force, then with a [ChangeCurrent],
	// and then with each [Change] that anyone makes, the caller included. A backend in
	// this process tells the holds before Watch returns. If the backend can't learn the
	// holds, it says ChangeCurrent without them; when news may have been lost, it says
	// it again. A change may be told more than once.
	//
	// f must not be nil. It may be called from several goroutines at once. It must be quick, and must not
	// call the backend. The news ends with a call of stop, which may be called again
	// and does nothing then. It waits until the backend has ended the goroutines that
	// it needs for the news; calls of f that are under way then it does not wait for.
	Watch(f func(Change)) (stop func())
}

// ChangeKind says what a [Change] is.
type ChangeKind uint8

// The kinds of changes.
const (
	ChangeHold    ChangeKind = iota + 1 // Key is held until Until
	ChangeRelease                       // the limit Key has got slots back, and may open earlier
	ChangeClear                         // all keys were forgotten
	ChangeParams                        // Key was used under other params than before
	ChangeCurrent                       // nothing: all that has gone before was told, as far as it is known
)

// Change is a piece of news of a [Watcher].
type Change struct {
	Kind  ChangeKind
	Key   string    // of all but a ChangeClear and a ChangeCurrent
	Until time.Time // of a ChangeHold: local time with a monotonic reading, not before the end of the hold

	// Of a ChangeParams: the interval under which the limit was charged before, and that of
	// a request that came now. It is told where the request was made.
	Was, Is time.Duration
}

// Watchers is a helper for a [Watcher]: the functions that Watch was called with. The
// zero value has none. It is safe for concurrent use.
type Watchers struct {
	mu   sync.Mutex // held while list is changed
	list atomic.Pointer[[]*func(Change)]
}

// Add adds a function, until remove is called. Remove may be called again.
func (w *Watchers) Add(f func(Change)) (remove func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	added := &f
	w.set(append(slices.Clone(w.all()), added))
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.set(slices.DeleteFunc(slices.Clone(w.all()), func(f *func(Change)) bool { return f == added }))
	}
}

// Tell calls all functions, one after another. It holds no lock meanwhile, and costs
// next to nothing if there are none.
func (w *Watchers) Tell(c Change) {
	for _, f := range w.all() {
		(*f)(c)
	}
}

// Len returns how many functions there are.
func (w *Watchers) Len() int { return len(w.all()) }

func (w *Watchers) all() []*func(Change) {
	if list := w.list.Load(); list != nil {
		return *list
	}
	return nil
}

func (w *Watchers) set(list []*func(Change)) {
	if len(list) == 0 {
		w.list.Store(nil)
		return
	}
	w.list.Store(&list)
}
