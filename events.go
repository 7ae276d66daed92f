package dispatcher

import (
	"context"
	"log/slog"
	"time"
)

// Events is called when something happens to a job or to the backend: for outcomes, metrics
// and traces. All fields are optional. The zero value calls nobody and costs nothing.
// [JoinEvents] makes one of several; the packages dispatcherotel and dispatcherprom have ready
// ones.
//
// The functions must be safe for concurrent use. Those that are about a job that runs or ran are
// called by its worker, which does nothing else meanwhile. The others, about jobs that were
// dropped, canceled, expired or rejected before they ran and about the backend, are called one
// after another by a goroutine of their own. So a slow function delays other reports and keeps a
// worker busy, but delays no start for which a worker is free; what is still to be reported stays
// in memory. Run returns when all calls have.
//
// A panic is logged and changes nothing.
type Events[T any] struct {
	// Started is called by the worker before each call of the handler, with the
	// handler's context.
	Started func(ctx context.Context, job Job[T])

	// Retried is called by the worker when the handler has returned err, and the job
	// will run again after delay, or later if its limits demand it. The context carries the
	// values of the one that was passed to Submit.
	Retried func(ctx context.Context, job Job[T], err error, delay time.Duration)

	// Done is called once for each accepted job, when its outcome is known and its [Handle], if
	// it has one, has the result. The context carries the values of the one that was passed to
	// Submit, and does not end.
	Done func(ctx context.Context, result Result[T])

	// BackendDown is called when the backend begins to fail. Jobs that have limits wait
	// until it answers again: see [Stats].
	BackendDown func(ctx context.Context, err error)

	// BackendUp is called when the backend answers again.
	BackendUp func(ctx context.Context)
}

// JoinEvents returns Events that calls each function of all the given ones, one after another.
// If one panics, those after it are called nevertheless.
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

// watchJobs reports whether somebody is told of jobs.
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

// tellBackend says that the backend has begun to fail with err or, if that is nil, that it
// answers again.
func (d *Dispatcher[T]) tellBackend(ctx context.Context, err error) {
	if err == nil {
		defer d.logPanic("Events.BackendUp")
		d.cfg.Events.BackendUp(ctx)
		return
	}
	defer d.logPanic("Events.BackendDown")
	d.cfg.Events.BackendDown(ctx, err)
}
