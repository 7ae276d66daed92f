package dispatcher

import (
	"cmp"
	"container/list"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/table"
)

// FreqLimit is a rate limiter for code that waits in place: a goroutine calls
// Wait or Do and goes on at the instant that the limit of a key allows. For work
// that should not hold a goroutine while it waits, use a [Dispatcher].
//
//   - Waits for one key end in the order in which they began.
//   - A wait that is canceled gives its slot to the next one in line, or back to
//     the backend if that is a [backend.Releaser]: it leaves no hole in the
//     schedule, however many are canceled at once. But while others of the backend
//     hold later slots, at Burst 1, there is a hole of one interval; and what a
//     backend in another process is just being asked for, it has to give back by
//     itself, as goredis does.
//   - Keys are independent of each other.
//
// All methods are safe for concurrent use. Use [NewFreqLimit]: methods of the zero value
// return a [*ConfigError], as they do without a context.
type FreqLimit struct {
	backend  backend.Backend
	releaser backend.Releaser // nil if the backend is none
	watcher  backend.Watcher  // the same
	params   gcra.FreqLimitParams
	remote   bool // the backend is in another process

	mu   sync.Mutex // guards what follows, and the lines and waiters in it
	keys table.Map[string, *line]
	trip roundTrip // to a remote backend

	watching bool   // the backend tells its news, or is about to
	stop     func() // ends that; nil while it begins
}

// line is those who wait for a key, first come first. The front ones hold a slot
// each, in order; the first that holds none is at the counter: it asks the
// backend for the next slots, its own and those of the waiters behind it.
type line struct {
	waiters  list.List     // of *waiter
	counter  *list.Element // nil if all hold slots
	asking   bool          // the backend is being asked: answers must come in order
	outdated bool          // meanwhile it may open earlier than the answer says
	again    time.Time     // for which slot to ask next; zero: any
	stop     func()        // ends the question, when nobody waits any more; nil if there is none
	since    time.Time     // its latest slot, or when its first waiter came

	asks sync.WaitGroup // the goroutines that ask a backend in another process: one at a time

	spares    []slot // to give back to the backend, the latest first
	releasing bool   // somebody does, in that order
}

type waiter struct {
	slot   slot          // its at is zero: none
	failed error         // of what was asked on its behalf
	news   chan struct{} // holds a token if the waiter has to look again
}

type slot struct {
	at    time.Time
	stamp int64 // by the backend's clock
}

// NewFreqLimit returns a limiter of params for every key, kept by b.
//
// A nil backend or invalid params are a [*ConfigError].
func NewFreqLimit(b backend.Backend, params gcra.FreqLimitParams) (*FreqLimit, error) {
	if err := checkBackend(b); err != nil {
		return nil, err
	}
	if err := cmp.Or(params.Validate(), backend.Check(b, []Limit{{Params: params}})); err != nil {
		return nil, &ConfigError{Field: "params", Value: params, Reason: err.Error(), Err: err}
	}
	f := &FreqLimit{backend: b, params: params}
	f.releaser, _ = b.(backend.Releaser)
	f.watcher, _ = b.(backend.Watcher)
	_, inProcess := b.(backend.InProcess)
	f.remote = !inProcess
	return f, nil
}

// reach returns how far ahead a slot may be taken, and how long before it the
// backend is asked. It requires that mu is held.
func (f *FreqLimit) reach() (horizon, lead time.Duration) {
	switch {
	case f.releaser == nil:
		return 0, 0 // a slot taken ahead of time could not be given back
	case f.remote:
		horizon = f.trip.horizon()
		return horizon, horizon / 2
	default:
		return DefaultHorizon, DefaultHorizon
	}
}

// Params returns the limit of every key.
func (f *FreqLimit) Params() gcra.FreqLimitParams { return f.params }

// Backend returns what keeps the limits.
func (f *FreqLimit) Backend() backend.Backend { return f.backend }

// Do waits for the key's next slot and calls fn. It returns what fn returns, or
// the error of [FreqLimit.Wait] and has not called fn. A nil fn is a [*ConfigError], and
// uses no slot.
func (f *FreqLimit) Do(ctx context.Context, key string, fn func(context.Context) error) error {
	if err := f.check(ctx); err != nil {
		return err
	}
	if fn == nil {
		return errNil("fn")
	}
	if err := f.Wait(ctx, key); err != nil {
		return err
	}
	return fn(ctx)
}

// Wait returns nil at the key's next slot, never before. The empty key is the
// global bucket, one more key.
//
// If ctx ends first, or the backend fails, Wait returns an error that wraps the
// cause and has used no slot. A slot that a failing backend may have charged
// nevertheless is lost, not given out twice.
func (f *FreqLimit) Wait(ctx context.Context, key string) error {
	if err := f.check(ctx); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return waitError(ctx)
	}
	w := &waiter{news: make(chan struct{}, 1)}
	l, e := f.join(key, w)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		step, at := f.look(l, e)
		var alarm <-chan time.Time
		switch step {
		case goOn:
			f.leave(key, l, e)
			return nil
		case askNow:
			if f.remote {
				// Its slot may come meanwhile, from one that goes.
				l.asks.Go(func() { f.ask(ctx, key, l, w) })
			} else {
				f.ask(ctx, key, l, w)
			}
			continue
		case giveUp:
			f.cancel(ctx, key, l, e)
			return fmt.Errorf("dispatcher: wait: %w", w.failed)
		case waitUntil:
			timer.Reset(time.Until(at))
			alarm = timer.C
		}
		select {
		case <-alarm:
		case <-w.news:
		case <-ctx.Done():
			f.cancel(ctx, key, l, e)
			return waitError(ctx)
		}
	}
}

// waitError is the error of a wait whose ctx has ended: it matches the error of
// ctx and its cause.
func waitError(ctx context.Context) error {
	if cause := context.Cause(ctx); cause != ctx.Err() {
		return fmt.Errorf("dispatcher: wait: %w: %w", ctx.Err(), cause)
	}
	return fmt.Errorf("dispatcher: wait: %w", ctx.Err())
}

// step is what a waiter has to do next.
type step int

const (
	goOn      step = iota // its slot has come
	askNow                // ask the backend
	waitUntil             // wait until an instant, or for news
	waitNews              // wait for news
	giveUp                // the backend has failed
)

func (f *FreqLimit) look(l *line, e *list.Element) (do step, at time.Time) {
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
func (f *FreqLimit) join(key string, w *waiter) (*line, *list.Element) {
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

// mostAhead is how many slots are asked for at a time.
const mostAhead = 64

// wanted returns how many slots to ask for at a time: one for each waiter that has none, as
// many as may be within the horizon. A backend in this process is asked for one at a time. It
// requires that mu is held.
func (f *FreqLimit) wanted(l *line, horizon time.Duration) int {
	if !f.remote || f.releaser == nil {
		return 1
	}
	most := min(max(f.params.Burst, 1)+int(horizon/f.params.Interval()), mostAhead)
	n := 0
	for e := l.counter; e != nil && n < most; e = e.Next() {
		n++
	}
	return max(n, 1)
}

// ask asks the backend for the line's next slots, on behalf of a waiter, which is at the
// counter, and those behind it. It goes on when that waiter goes, as long as others wait. If it
// fails, the waiter is told.
func (f *FreqLimit) ask(ctx context.Context, key string, l *line, w *waiter) {
	asking, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	f.mu.Lock()
	if l.waiters.Len() == 0 {
		cancel()
	}
	l.stop = cancel
	horizon, lead := f.reach()
	asked := time.Now()
	if interval := f.params.Interval(); horizon > 0 && interval <= mostReach && asked.Sub(l.since) >= slowPatience*interval {
		// Others who use the key at shorter intervals would put it off for ever: see mixed.
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
	err := errBackendGoexit
	defer func() { // also if the backend ends the goroutine
		f.answered(ctx, key, l, w, decisions, asked, lead, cmp.Or(err, decisions[0].Err))
	}()
	err = reserve(asking, f.backend, requests, decisions)
}

// answered takes in what the backend has said, or why it has not.
func (f *FreqLimit) answered(ctx context.Context, key string, l *line, w *waiter, decisions []backend.Decision, asked time.Time, lead time.Duration, err error) {
	answered := time.Now()
	f.mu.Lock()
	if err == nil {
		f.trip.observe(answered.Sub(asked))
	} else {
		w.failed = err
		w.tell()
	}
	l.stop = nil
	outdated := l.outdated
	l.asking, l.outdated = false, false
	l.again = time.Time{}
	if l.counter != nil {
		l.counter.Value.(*waiter).tell() // it may have come while this one asked
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
			l.give(slot{d.Slot, d.Stamp})
		case d.Err == nil && l.again.IsZero(): // else the next to ask is told the error
			watch = f.worthWatching(d.Slot.Sub(answered))
			// A refusal may name a slot within the horizon, which has come nearer: not
			// so often that this would be a loop without end.
			l.again = d.Slot
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

// leave takes a waiter out of its line.
func (f *FreqLimit) leave(key string, l *line, e *list.Element) {
	f.mu.Lock()
	last := f.remove(key, l, e)
	f.mu.Unlock()
	if last {
		l.asks.Wait() // no goroutine stays behind
	}
}

// cancel is leave for a waiter that does not use its slot: those behind it that
// hold one move up by one, and the last slot goes to the counter or back to the
// backend.
func (f *FreqLimit) cancel(ctx context.Context, key string, l *line, e *list.Element) {
	f.mu.Lock()
	spare := e.Value.(*waiter).slot
	if !spare.at.IsZero() {
		for next := e.Next(); next != nil && next != l.counter; next = next.Next() {
			n := next.Value.(*waiter)
			n.slot, spare = spare, n.slot
			n.tell()
		}
		l.give(spare)
	} else if l.counter == e {
		l.next()
	}
	last := f.remove(key, l, e)
	f.mu.Unlock()
	f.release(ctx, key, l)
	if last {
		l.asks.Wait()
	}
}

// remove reports whether nobody waits any more. It requires that mu is held.
func (f *FreqLimit) remove(key string, l *line, e *list.Element) (last bool) {
	l.waiters.Remove(e)
	if l.waiters.Len() == 0 {
		f.keys.Delete(key)
		f.unwatch()
		if l.stop != nil {
			l.stop()
		}
		return true
	}
	return false
}

// release gives the spare slots of a line back to the backend, in their order,
// unless somebody is at it.
func (f *FreqLimit) release(ctx context.Context, key string, l *line) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l.releasing {
		return
	}
	l.releasing = true
	ctx, cancel := lastWords(ctx)
	defer cancel()
	for len(l.spares) > 0 && ctx.Err() == nil {
		spare := l.spares[0]
		l.spares = l.spares[1:]
		f.mu.Unlock()
		f.giveBack(ctx, key, spare.stamp)
		f.mu.Lock()
	}
	l.releasing = false
}

func (f *FreqLimit) giveBack(ctx context.Context, key string, stamp int64) {
	if f.releaser == nil {
		return
	}
	// If it fails the slot is lost, as one is whose answer was lost.
	_ = guard(func() error { return f.releaser.Release(ctx, f.limits(key), stamp) })
}

func (f *FreqLimit) limits(key string) []Limit {
	return []Limit{{Key: key, Params: f.params}}
}

// give gives a slot to the waiter at the counter, or makes it a spare one if
// there is none. FreqLimit.mu is held.
func (l *line) give(s slot) {
	if l.counter == nil {
		l.spares = append(l.spares, s)
		return
	}
	w := l.counter.Value.(*waiter)
	w.slot = s
	w.tell()
	l.next()
}

// next calls the next waiter to the counter. FreqLimit.mu is held.
func (l *line) next() {
	if l.counter = l.counter.Next(); l.counter != nil {
		l.counter.Value.(*waiter).tell()
	}
}

// tell makes a waiter look again.
func (w *waiter) tell() {
	select {
	case w.news <- struct{}{}:
	default:
	}
}

// Clear forgets all keys of the backend, those of others too. Who waits asks
// anew.
func (f *FreqLimit) Clear(ctx context.Context) error {
	if err := f.check(ctx); err != nil {
		return err
	}
	if err := f.backend.Clear(ctx); err != nil {
		return fmt.Errorf("dispatcher: clear: %w", err)
	}
	f.askAnew()
	return nil
}
