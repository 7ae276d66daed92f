package freqlimit

import (
	"cmp"
	"context"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/guard"
)

const (
	// horizonInProcess is how far ahead slots are taken at a backend in this process: enough to
	// hide the lateness of a timer.
	horizonInProcess = 5 * time.Millisecond

	// maxAhead is how many slots a request asks for at most.
	maxAhead = 64
)

// reach returns how far ahead a slot may be taken, and how long before it the
// backend is asked. It requires that mu is held.
func (f *Limiter) reach() (horizon, lead time.Duration) {
	switch {
	case f.releaser == nil:
		return 0, 0 // a slot taken ahead of time could not be given back
	case f.remote:
		horizon = f.trip.Horizon()
		return horizon, horizon / 2
	default:
		return horizonInProcess, horizonInProcess
	}
}

// wanted returns how many slots to ask for: one for each waiter without a slot, as far as they
// may be within the horizon. A backend in this process is asked for one at a time. It requires
// that mu is held.
func (f *Limiter) wanted(l *line, horizon time.Duration) int {
	if !f.remote || f.releaser == nil {
		return 1
	}
	most := min(max(f.params.Burst, 1)+int(horizon/f.params.Interval()), maxAhead)
	n := 0
	for e := l.counter; e != nil && n < most; e = e.Next() {
		n++
	}
	return max(n, 1)
}

// ask asks the backend for the line's next slots, for a waiter at the counter and the waiters behind
// it. If that waiter leaves, the request goes on as long as others wait. If the request
// fails, so does the waiter.
func (f *Limiter) ask(ctx context.Context, key string, l *line, w *waiter) {
	asking, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	f.mu.Lock()
	if l.waiters.Len() == 0 {
		cancel()
	}
	l.stop = cancel
	horizon, lead := f.reach()
	asked := time.Now()
	if interval := f.params.Interval(); horizon > 0 && interval <= guard.MaxAhead && asked.Sub(l.since) >= guard.Patience*interval {
		// See guard.Patience: others use the key at shorter intervals.
		horizon += interval
	}
	n := f.wanted(l, horizon)
	f.mu.Unlock()
	var oneRequest [1]backend.Request
	var oneDecision [1]backend.Decision
	requests, decisions := oneRequest[:], oneDecision[:]
	if n > 1 {
		requests, decisions = make([]backend.Request, n), make([]backend.Decision, n)
	}
	limits := f.limits(key)
	for i := range requests {
		requests[i] = backend.Request{Limits: limits, Horizon: horizon}
	}
	err := guard.ErrGoexit
	defer func() { // deferred, since the backend may end the goroutine
		f.answered(ctx, key, l, w, decisions, asked, lead, cmp.Or(err, decisions[0].Err))
	}()
	err = guard.Reserve(asking, f.backend, requests, decisions)
}

// answered takes in the backend's decisions, or its error.
func (f *Limiter) answered(ctx context.Context, key string, l *line, w *waiter, decisions []backend.Decision, asked time.Time, lead time.Duration, err error) {
	answered := time.Now()
	f.mu.Lock()
	if err == nil {
		f.trip.Observe(answered, answered.Sub(asked))
	} else {
		w.failed = err
		w.notify()
	}
	l.stop = nil
	outdated := l.outdated
	l.asking, l.outdated = false, false
	l.again, l.refused = time.Time{}, false
	if l.counter != nil {
		l.counter.Value.(*waiter).notify() // another waiter may be there by now
	}
	if err != nil {
		f.mu.Unlock()
		return
	}
	watch := false
	for i := range decisions {
		switch d := &decisions[i]; {
		case d.Granted:
			l.since = d.Slot
			l.give(slot{d.Slot, d.Token})
		case d.Err == nil && l.again.IsZero(): // an error is left to the next request
			watch = f.worthWatching(d.Slot.Sub(answered))
			// A refusal may name a slot that is within the horizon by now. The line does
			// not ask for it at once, since that could go on without end.
			l.again, l.refused = d.Slot, true
			if soonest := answered.Add(lead + time.Millisecond); outdated || l.again.Before(soonest) {
				l.again = soonest
			}
		}
	}
	f.mu.Unlock()
	if watch {
		f.watch()
	}
	f.release(ctx, key, l)
}

// release gives the unused slots of a line back to the backend, in their order, unless another
// goroutine is doing that.
func (f *Limiter) release(ctx context.Context, key string, l *line) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l.releasing {
		return
	}
	l.releasing = true
	ctx, cancel := guard.CleanupContext(ctx)
	defer cancel()
	for len(l.unused) > 0 && ctx.Err() == nil {
		first := l.unused[0]
		l.unused = l.unused[1:]
		f.mu.Unlock()
		f.giveBack(ctx, key, first.token)
		f.mu.Lock()
	}
	l.releasing = false
}

// giveBack gives one slot back.
func (f *Limiter) giveBack(ctx context.Context, key string, token int64) {
	if f.releaser == nil {
		return
	}
	// If this fails the slot is lost.
	_ = guard.Call(func() error { return f.releaser.Release(ctx, f.limits(key), token) })
}

func (f *Limiter) limits(key string) []backend.Limit {
	return []backend.Limit{{Key: key, Params: f.params}}
}
