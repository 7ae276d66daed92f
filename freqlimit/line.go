package freqlimit

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// line holds the waiters of a key, in the order of their calls. The first ones have a slot
// each, in order. The first without a slot is at the counter: it asks the backend for its own slot
// and for slots of the waiters behind it.
type line struct {
	waiters  list.List     // of *waiter
	counter  *list.Element // nil if all have slots
	asking   bool          // a request is under way: one at a time, so that answers come in order
	outdated bool          // the limit may have opened since that request
	again    time.Time     // when to ask again: the slot that the last refusal named; zero: at once
	refused  bool          // the waiter at the counter has been refused
	stop     func()        // cancels the request when nobody waits any more; nil if there is none
	since    time.Time     // the latest slot, or when the first waiter came

	asks sync.WaitGroup // the goroutines that ask a remote backend

	unused    []slot // to give back to the backend, the latest first
	releasing bool   // a goroutine gives them back, in that order
}

type waiter struct {
	slot   slot          // slot.at is zero if it has none
	failed error         // of the request that it made
	news   chan struct{} // holds a token if the waiter must look again
}

type slot struct {
	at    time.Time
	token int64 // by which the backend takes it back
}

// step is what a waiter does next.
type step int

const (
	goOn      step = iota // its slot has come
	askNow                // ask the backend
	waitUntil             // wait until an instant, or for news
	waitNews              // wait for news
	giveUp                // the request has failed
)

// look returns what a waiter does next, and when.
func (f *Limiter) look(l *line, e *list.Element) (do step, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := e.Value.(*waiter)
	now := time.Now()
	switch {
	case !w.slot.at.IsZero() && !now.Before(w.slot.at):
		return goOn, at
	case !w.slot.at.IsZero():
		return waitUntil, w.slot.at
	case w.failed != nil:
		return giveUp, at
	case e != l.counter || l.asking:
		return waitNews, at
	}
	_, lead := f.reach()
	if at = l.again.Add(-lead); now.Before(at) {
		return waitUntil, at
	}
	l.asking = true
	return askNow, at
}

// join puts a waiter at the end of its line.
func (f *Limiter) join(key string, w *waiter) (*line, *list.Element) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l, ok := f.keys.Get(key)
	if !ok {
		l = &line{since: time.Now()}
		f.keys.Set(key, l)
	}
	e := l.waiters.PushBack(w)
	if l.counter == nil {
		l.counter = e
	}
	return l, e
}

// leave removes a waiter that has used its slot.
func (f *Limiter) leave(key string, l *line, e *list.Element) {
	f.mu.Lock()
	last, stop := f.remove(key, l, e)
	f.mu.Unlock()
	f.end(stop)
	if last {
		l.asks.Wait() // no goroutine stays behind
	}
}

// cancel removes a waiter that does not use its slot. The waiters behind it that have slots move
// up by one slot, and the last slot goes to the waiter at the counter or back to the backend.
func (f *Limiter) cancel(ctx context.Context, key string, l *line, e *list.Element) {
	f.mu.Lock()
	unused := e.Value.(*waiter).slot
	if !unused.at.IsZero() {
		for next := e.Next(); next != nil && next != l.counter; next = next.Next() {
			n := next.Value.(*waiter)
			n.slot, unused = unused, n.slot
			n.notify()
		}
		l.give(unused)
	} else if l.counter == e {
		l.next()
	}
	last, stop := f.remove(key, l, e)
	f.mu.Unlock()
	f.end(stop)
	f.release(ctx, key, l)
	if last {
		l.asks.Wait()
	}
}

// remove removes a waiter, and reports whether it was the last one of its line. The caller passes stop
// to end when it has unlocked mu, which must be held.
func (f *Limiter) remove(key string, l *line, e *list.Element) (last bool, stop func()) {
	l.waiters.Remove(e)
	if l.waiters.Len() == 0 {
		f.keys.Delete(key)
		if l.stop != nil {
			l.stop()
		}
		return true, f.unwatch()
	}
	return false, nil
}

// give gives a slot to the waiter at the counter, or keeps it as unused if there is none. It
// requires that Limiter.mu is held.
func (l *line) give(s slot) {
	if l.counter == nil {
		l.unused = append(l.unused, s)
		return
	}
	w := l.counter.Value.(*waiter)
	w.slot = s
	w.notify()
	l.next()
}

// next moves the counter to the next waiter. It requires that Limiter.mu is held.
func (l *line) next() {
	l.refused = false
	if l.counter = l.counter.Next(); l.counter != nil {
		l.counter.Value.(*waiter).notify()
	}
}

// notify makes a waiter look again.
func (w *waiter) notify() {
	select {
	case w.news <- struct{}{}:
	default:
	}
}
