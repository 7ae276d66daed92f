package dispatcher

import (
	"context"
	"fmt"
	"sync"

	"github.com/freqlimit/dispatcher/internal/engine"
)

// Handle follows one job: see [Dispatcher.Track]. All methods are safe for concurrent use. The
// zero Handle follows no job: its Done channel is closed, and methods with an error return a
// [*ConfigError], as they do if the context is nil.
type Handle[T any] struct {
	d     *Dispatcher[T]
	entry *entry[T]
	done  chan struct{}

	mu     sync.Mutex // guards what follows
	result Result[T]  // once done is closed
}

// Track is [Dispatcher.SubmitJob], and returns a handle on the job. A job costs some
// 200 bytes more with one. If the payload goes to a waiting job, by [ReplacePayload],
// the handle is on that job.
func (d *Dispatcher[T]) Track(ctx context.Context, job Job[T]) (*Handle[T], error) {
	h := &Handle[T]{d: d, done: make(chan struct{})}
	e, err := d.submitJob(ctx, job, h)
	if err != nil {
		return nil, err
	}
	d.engine.Lock()
	defer d.engine.Unlock()
	return e.extra.handle, nil
}

// Cancel ends the job. If it hasn't started, it never will, and it charges nothing to its
// limits: a slot that was taken ahead is given back, if the backend has a [backend.Releaser].
// At Burst 1, a slot given back before slots that others hold leaves a gap of one interval. If
// the job is running, the context of its handler ends with the cause [ErrCanceled]; if the
// handler then returns an error, the job ends as [Canceled] and is not retried. Cancel doesn't
// wait for that.
//
// Cancel returns false if the job had already ended or been canceled.
func (h *Handle[T]) Cancel() bool {
	if h.isZero() {
		return false
	}
	d := h.d
	d.engine.Lock()
	e := h.entry
	x := e.extra
	if x.canceled || x.ended {
		d.engine.Unlock()
		return false
	}
	x.canceled = true
	if x.cancel != nil {
		x.cancel(ErrCanceled)
	}
	d.engine.Cancel(&e.sched)
	d.engine.Unlock()
	return true
}

// Done returns a channel that is closed when the job has ended, before Events.Done is called.
func (h *Handle[T]) Done() <-chan struct{} {
	if h.isZero() {
		closed := make(chan struct{})
		close(closed)
		return closed
	}
	return h.done
}

// Wait waits until the job has ended and returns its result. If ctx ends first, the error
// matches its cause, and the job goes on. The job's own handler gets [ErrReentrant] at once if
// ctx is its context or derived from it. If the handler doesn't return after Run has stopped,
// the error is [ErrStuck].
func (h *Handle[T]) Wait(ctx context.Context) (Result[T], error) {
	if err := h.check(ctx); err != nil {
		return Result[T]{}, err
	}
	if !h.hasEnded() {
		if engine.IsInside(ctx, h.job()) {
			return Result[T]{}, fmt.Errorf("dispatcher: wait: %w", ErrReentrant)
		}
		var err error
		select {
		case <-h.done:
		case <-ctx.Done():
			err = context.Cause(ctx)
		case <-h.d.engine.Stuck():
			err = fmt.Errorf("dispatcher: wait: %w", ErrStuck)
		}
		if err != nil && !h.hasEnded() {
			return Result[T]{}, err
		}
	}
	r, _ := h.Result()
	return r, nil
}

// job returns the entry of the job. If a journal keeps the job, it gets another entry once it is loaded.
func (h *Handle[T]) job() *entry[T] {
	h.d.engine.Lock()
	defer h.d.engine.Unlock()
	return h.entry
}

// Result returns the result of the job, and reports whether the job has ended.
func (h *Handle[T]) Result() (Result[T], bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.result, h.hasEnded()
}

func (h *Handle[T]) hasEnded() bool {
	select {
	case <-h.done:
		return true
	default:
		return false
	}
}

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
	d.engine.Lock()
	defer d.engine.Unlock()
	return e.extra.canceled
}

// startRun notes that a worker has a job that did not take the fast path, and returns the context for
// its handler and a function that releases it, nil if the job has been canceled.
func (d *Dispatcher[T]) startRun(e *entry[T]) (context.Context, func()) {
	x := e.extra
	ctx, stop := e.context(d.engine.Contexts().Handlers), func() {}
	if o := x.options; o != nil && o.timeout > 0 {
		ctx, stop = context.WithTimeout(ctx, o.timeout)
	}
	if !x.tracked {
		return ctx, stop
	}
	d.engine.Lock()
	defer d.engine.Unlock()
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

// endRun notes that the handler of a job has returned, and whether the job will run again. It reports
// whether the job was canceled.
func (d *Dispatcher[T]) endRun(e *entry[T], again bool) (canceled bool) {
	x := e.extra
	if !x.tracked {
		return false
	}
	d.engine.Lock()
	defer d.engine.Unlock()
	x.cancel = nil // it refers to the context of Run
	x.running = !again || x.canceled
	return x.canceled
}

// resolve notes that a job has ended, and returns its handle, if there is one. If the job was canceled
// meanwhile, it ends as Canceled instead of Dropped or Expired.
func (d *Dispatcher[T]) resolve(e *entry[T], r *Result[T]) *Handle[T] {
	if !e.tracked() {
		return nil
	}
	d.engine.Lock()
	defer d.engine.Unlock()
	e.extra.ended = true
	if e.extra.canceled && (r.Outcome == Dropped || r.Outcome == Expired) {
		r.Outcome, r.Err = Canceled, ErrCanceled
	}
	if e.hasID() {
		d.freeID(e)
	}
	return e.extra.handle
}
