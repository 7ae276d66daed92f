package dispatcher

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// Handle follows one job: see [Dispatcher.Track]. All methods are safe for concurrent
// use. The zero Handle follows none: methods with an error return a [*ConfigError], as they
// do without a context, and Done is closed.
type Handle[T any] struct {
	d     *Dispatcher[T]
	entry *entry[T]
	done  chan struct{}

	mu     sync.Mutex // guards what follows
	result Result[T]  // once done is closed
}

// Track is [Dispatcher.SubmitJob], and returns a handle on the job. A job costs some
// 200 bytes more with one. If Options.Replace puts the payload into a job that waits,
// the handle is on that one.
func (d *Dispatcher[T]) Track(ctx context.Context, job Job[T]) (*Handle[T], error) {
	h := &Handle[T]{d: d, done: make(chan struct{})}
	e, err := d.submitJob(ctx, job, h)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return e.extra.handle, nil
}

// Cancel ends the job. If it has not started it never will, and its limits are not
// charged for it: a slot that was taken already is given back, as far as the backend can
// ([backend.Releaser]). While others hold later slots, at Burst 1, that leaves a hole of one
// interval. If it runs, the context of its handler ends with the cause [ErrCanceled]: it
// ends as [Canceled] if the handler then returns an error, and is not retried. Cancel
// does not wait for that.
//
// It reports whether the job had neither ended nor been canceled.
func (h *Handle[T]) Cancel() bool {
	if h.isZero() {
		return false
	}
	d, e := h.d, h.entry
	d.mu.Lock()
	x := e.extra
	if x.canceled || x.ended {
		d.mu.Unlock()
		return false
	}
	x.canceled = true
	if x.cancel != nil {
		x.cancel(ErrCanceled)
	}
	d.post(func(l *loop[T], now int64) { l.cancel(now, e) })
	d.mu.Unlock()
	d.signal()
	return true
}

// Done returns a channel that is closed when the job has ended, before Events.Done is called.
func (h *Handle[T]) Done() <-chan struct{} {
	if h.isZero() {
		never := make(chan struct{})
		close(never)
		return never
	}
	return h.done
}

// Wait returns the result of the job when it has ended, or the error of ctx if that
// ends first: the job goes on. The job's own handler gets [ErrReentrant] at once, if ctx
// is its context or derived from it. A job whose handler does not return after Run has
// stopped is [ErrStuck].
func (h *Handle[T]) Wait(ctx context.Context) (Result[T], error) {
	if err := h.check(ctx); err != nil {
		return Result[T]{}, err
	}
	if !h.hasEnded() {
		if isInside(ctx, h.entry) {
			return Result[T]{}, fmt.Errorf("dispatcher: wait: %w", ErrReentrant)
		}
		var err error
		select {
		case <-h.done:
		case <-ctx.Done():
			err = context.Cause(ctx)
		case <-h.d.stuck:
			err = fmt.Errorf("dispatcher: wait: %w", ErrStuck)
		}
		if err != nil && !h.hasEnded() {
			return Result[T]{}, err
		}
	}
	r, _ := h.Result()
	return r, nil
}

// Result returns the result of the job, and whether it has ended.
func (h *Handle[T]) Result() (Result[T], bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.result, h.hasEnded()
}

func (h *Handle[T]) hasEnded() bool { return isClosed(h.done) }

// finish is called once, when the job has ended.
func (h *Handle[T]) finish(r *Result[T]) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.result = *r
	close(h.done)
}

// isCanceled reports whether a job has been canceled.
func (d *Dispatcher[T]) isCanceled(e *entry[T]) bool {
	if !e.tracked() {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return e.extra.canceled
}

// begin notes that a worker has a job that is not plain, and returns the context for
// its handler and a function that releases it, nil if the job has been canceled.
func (d *Dispatcher[T]) begin(e *entry[T]) (context.Context, func()) {
	x := e.extra
	ctx, stop := e.context(d.contexts.handlers), func() {}
	if o := x.options; o != nil && o.Timeout > 0 {
		ctx, stop = context.WithTimeout(ctx, o.Timeout)
	}
	if !x.tracked {
		return ctx, stop
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if x.canceled {
		stop()
		return nil, nil
	}
	x.running = true
	if x.handle != nil {
		inner, cancel := stop, context.CancelCauseFunc(nil)
		ctx, cancel = context.WithCancelCause(insideJob{ctx, e})
		stop = func() { cancel(nil); inner() }
		x.cancel = cancel
	}
	return ctx, stop
}

// cease notes that the handler of a job has returned, and whether it is to run again,
// and reports whether it has been canceled.
func (d *Dispatcher[T]) cease(e *entry[T], again bool) (canceled bool) {
	x := e.extra
	if !x.tracked {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	x.cancel = nil // it knows the context of Run
	x.running = !again || x.canceled
	return x.canceled
}

// settle notes that a job has ended, and returns its handle, if there is one. A job that
// has been canceled meanwhile, and would not have started anyway, ends as that.
func (d *Dispatcher[T]) settle(e *entry[T], r *Result[T]) *Handle[T] {
	if !e.tracked() {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	e.extra.ended = true
	if e.extra.canceled && (r.Outcome == Dropped || r.Outcome == Expired) {
		r.Outcome, r.Err = Canceled, ErrCanceled
	}
	if e.hasID() {
		d.freeID(e)
	}
	return e.extra.handle
}

// cancel ends a job that waits. One that is asked about or with a worker ends there.
func (l *loop[T]) cancel(now int64, e *entry[T]) {
	switch e.extra.stage {
	case stageWaiting:
		l.sched.Remove(now, &e.sched)
	case stageComing:
		l.withdraw(now, e)
	default:
		return
	}
	l.drop(e, l.lastOf(e), Canceled, ErrCanceled)
}

// withdraw gives back the slot of a job that is to come.
func (l *loop[T]) withdraw(now int64, e *entry[T]) {
	i := slices.IndexFunc(l.coming, func(c coming[T]) bool { return c.entry == e })
	unused := l.spareOf(e, l.coming[i].stamp)
	l.coming = slices.Delete(l.coming, i, i+1)
	l.sched.Finished(now, &e.sched, false)
	l.giveBackSoon(unused)
}
