package dispatcher

import (
	"context"
	"log/slog"
	"time"
)

// Events is a set of functions that are called when something happens to a job or the backend:
// for outcomes, metrics and traces. All fields are optional. The zero value calls nothing and
// costs nothing. [JoinEvents] combines several; the package dispatcherotel has ready ones.
//
// The functions must be safe for concurrent use. Those about a job that runs or ran are called
// by its worker, which does nothing else meanwhile. The others, about jobs that end without
// running and about the backend, are called one after another by a goroutine of their own. So
// a slow function keeps a worker busy or delays other reports, but delays no start for which a
// worker is free. Reports that have to wait are kept in memory. Run returns when all calls
// have returned.
//
// A panic is logged and changes nothing.
type Events[T any] struct {
	// Started is called by the worker before each call of the handler, with the
	// handler's context.
	Started func(ctx context.Context, job Job[T])

	// Retried is called by the worker when the handler has returned err and the job will run
	// again, after delay or, if its limits demand it, later. The context carries the values of
	// the context that was passed to Submit.
	Retried func(ctx context.Context, job Job[T], err error, delay time.Duration)

	// Done is called once for each accepted job, when its outcome is known and its [Handle],
	// if it has one, has the result. The context carries the values of the context that was
	// passed to Submit, and doesn't end.
	Done func(ctx context.Context, result Result[T])

	// BackendDown is called when the backend begins to fail. Jobs with limits wait until it
	// answers again: see [Stats].
	BackendDown func(ctx context.Context, err error)

	// BackendUp is called when the backend answers again.
	BackendUp func(ctx context.Context)
}

// JoinEvents returns Events that call each function of all the given ones, in order. If one
// panics, the next are still called.
func JoinEvents[T any](events ...Events[T]) Events[T] {
	var all Events[T]
	for _, e := range events {
		all = all.and(e)
	}
	return all
}

func (e Events[T]) and(next Events[T]) Events[T] {
	e.Started = both(e.Started, next.Started)
	e.Done = both(e.Done, next.Done)
	e.BackendDown = both(e.BackendDown, next.BackendDown)
	if first := e.Retried; first == nil {
		e.Retried = next.Retried
	} else if next.Retried != nil {
		e.Retried = func(ctx context.Context, job Job[T], err error, delay time.Duration) {
			defer next.Retried(ctx, job, err, delay)
			first(ctx, job, err, delay)
		}
	}
	if first := e.BackendUp; first == nil {
		e.BackendUp = next.BackendUp
	} else if next.BackendUp != nil {
		e.BackendUp = func(ctx context.Context) {
			defer next.BackendUp(ctx)
			first(ctx)
		}
	}
	return e
}

// both returns a function that calls two others. If one is nil, it returns the other.
func both[A any](first, next func(context.Context, A)) func(context.Context, A) {
	switch {
	case first == nil:
		return next
	case next == nil:
		return first
	}
	return func(ctx context.Context, a A) {
		defer next(ctx, a)
		first(ctx, a)
	}
}

// watchJobs reports whether any function for jobs is set.
func (e *Events[T]) watchJobs() bool { return e.Started != nil || e.Retried != nil || e.Done != nil }

func (d *Dispatcher[T]) tellStarted(ctx context.Context, job Job[T]) {
	defer d.logPanic("Events.Started", slog.String("key", job.Key))
	d.cfg.Events.Started(ctx, job)
}

func (d *Dispatcher[T]) tellRetried(ctx context.Context, job Job[T], err error, delay time.Duration) {
	defer d.logPanic("Events.Retried", slog.String("key", job.Key))
	d.cfg.Events.Retried(ctx, job, err, delay)
}

func (d *Dispatcher[T]) tellDone(ctx context.Context, r *Result[T]) {
	defer d.logPanic("Events.Done", slog.String("key", r.Job.Key))
	d.cfg.Events.Done(ctx, *r)
}

// tellBackend calls BackendDown with err or, if err is nil, BackendUp.
func (d *Dispatcher[T]) tellBackend(ctx context.Context, err error) {
	switch e := &d.cfg.Events; {
	case err == nil && e.BackendUp != nil:
		defer d.logPanic("Events.BackendUp")
		e.BackendUp(ctx)
	case err != nil && e.BackendDown != nil:
		defer d.logPanic("Events.BackendDown")
		e.BackendDown(ctx, err)
	}
}
