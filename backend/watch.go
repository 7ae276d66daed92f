package backend

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Watcher is an optional ability of a [Backend]: it reports what others, in this process or
// another, have changed. A dispatcher that watches acts on a change before its next request
// would show it.
//
// Reports are hints. A backend in another process may lose some of them and delivers all of
// them late. Only Reserve decides what may start.
type Watcher interface {
	// Watch calls f with each hold that is in force, then with a [ChangeCurrent], and then
	// with each [Change] that anyone makes, the caller included. A backend in this process
	// reports the holds before Watch returns. A backend that can't learn the holds reports
	// ChangeCurrent without them. After it may have lost reports, it reports the holds and
	// ChangeCurrent again. It may report a change more than once.
	//
	// f must not be nil. It may be called from several goroutines at once. It must be
	// quick, and must not call the backend. stop ends the calls; calling it again does
	// nothing. stop waits until the backend has ended the goroutines that it needs for
	// its reports, but not for calls of f that have already begun.
	Watch(f func(Change)) (stop func())
}

// ChangeKind says what a [Change] is about.
type ChangeKind uint8

// The kinds of changes.
const (
	ChangeHold    ChangeKind = iota + 1 // Key is held until Until
	ChangeRelease                       // the limit Key got slots back, and may open earlier
	ChangeClear                         // the backend forgot all keys
	ChangeParams                        // a request used Key with other params than the one before
	ChangeCurrent                       // nothing changed: the backend has reported all that it knows so far
	ChangeRetryAt                       // the member MemberID is to ask for the limit Key at Until: see Decision.RetryAt
)

// Change is one message from a [Watcher].
type Change struct {
	Kind  ChangeKind
	Key   string    // empty in a ChangeClear and a ChangeCurrent
	Until time.Time // in a ChangeHold: local time with a monotonic reading, no earlier than the end of the hold

	// In a ChangeRetryAt: the member that it is for (see [Request.MemberID]), the limit's
	// TAT, and what [Decision.MinHorizon] says. Is is the interval that the limit was
	// charged with.
	MemberID   uint32
	TAT        time.Time
	MinHorizon time.Duration

	// In a ChangeParams: the interval that the limit was charged with before, and the
	// interval of the new request. Only watchers of the backend value that made the request get it.
	Was, Is time.Duration
}

// Watchers helps to implement a [Watcher]: it holds the functions that Watch was called
// with. The zero value is empty and ready to use. It is safe for concurrent use.
type Watchers struct {
	mu   sync.Mutex // held while list is changed
	list atomic.Pointer[[]*func(Change)]
}

// Add adds a function until remove is called. Calling remove again does nothing.
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

// Tell calls all functions, one after another. It holds no lock while it does so, and costs
// next to nothing if there are no functions.
func (w *Watchers) Tell(c Change) {
	for _, f := range w.all() {
		(*f)(c)
	}
}

// Len returns the number of functions.
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
