package dispatcher

import (
	"context"
	"log/slog"
	"time"
)

// Observer is told what happens to jobs: for metrics and traces of one's own. See the
// packages dispatcherotel and dispatcherprom for ready ones. It must be quick and safe
// for concurrent use. If it panics, that is logged. The contexts have the values of the
// one that was passed to Submit.
type Observer[T any] interface {
	// Started is called by the worker before each call of the handler, with the
	// handler's context.
	Started(ctx context.Context, job Job[T])

	// Retried is called when the handler has returned an error, and the job will
	// run again, no sooner than after delay.
	Retried(ctx context.Context, job Job[T], err error, delay time.Duration)

	// Ended is called once for each accepted job, right before Config.OnDone, which
	// says more.
	Ended(ctx context.Context, result Result[T])
}

func (d *Dispatcher[T]) tellStarted(ctx context.Context, job Job[T]) {
	defer d.logPanic("Observer.Started", slog.String("key", job.Key))
	d.cfg.Observer.Started(ctx, job)
}

func (d *Dispatcher[T]) tellRetried(ctx context.Context, job Job[T], err error, delay time.Duration) {
	defer d.logPanic("Observer.Retried", slog.String("key", job.Key))
	d.cfg.Observer.Retried(ctx, job, err, delay)
}

func (d *Dispatcher[T]) tellEnded(ctx context.Context, r Result[T]) {
	defer d.logPanic("Observer.Ended", slog.String("key", r.Job.Key))
	d.cfg.Observer.Ended(ctx, r)
}
