package dispatcher

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/freqlimit/dispatcher/internal/panics"
)

// Middleware wraps the handler of a dispatcher: see Config.Middleware. It is called for each run
// of a job, and calls next, which runs the rest of the middleware and the handler. The error that
// it returns counts as the handler's. It may call next with a context derived from ctx, and it
// may call next several times or not at all, but not after it has returned. It must be safe for
// concurrent use.
//
// A Middleware doesn't see payloads, so the same one works for dispatchers of any type. To use
// the payload, wrap the [Handler] itself, which is a function, before passing it to [New].
//
// This package provides [Recover], [Timeout] and [Log]. Package dispatcherotel provides Trace.
type Middleware func(ctx context.Context, job JobInfo, next func(context.Context) error) error

// JobInfo is a [Job] without its payload. Limits and Meta must not be changed.
type JobInfo struct {
	Key       string
	Limits    []Limit // that the job is under
	Priority  int
	ID        string
	NotBefore time.Time
	Deadline  time.Time
	Meta      map[string]string

	Attempt   int       // see [Job.Attempt]
	Failures  int       // see [Job.Failures]
	Submitted time.Time // see [Job.Submitted]
	Slot      time.Time // see [Job.Slot]
}

// Info returns the job without its payload.
func (j Job[T]) Info() JobInfo {
	return JobInfo{
		Key:       j.Key,
		Limits:    j.Limits,
		Priority:  j.Priority,
		ID:        j.ID,
		NotBefore: j.NotBefore,
		Deadline:  j.Deadline,
		Meta:      j.Meta,
		Attempt:   j.Attempt(),
		Failures:  j.Failures(),
		Submitted: j.Submitted(),
		Slot:      j.Slot(),
	}
}

// withMiddleware wraps a handler in middleware. The first is the outermost.
func withMiddleware[T any](handler Handler[T], all []Middleware) Handler[T] {
	all = slices.DeleteFunc(slices.Clone(all), func(m Middleware) bool { return m == nil })
	if len(all) == 0 {
		return handler
	}
	return func(ctx context.Context, job Job[T]) error {
		info := job.Info()
		next := func(ctx context.Context) error { return handler(ctx, job) }
		for _, m := range slices.Backward(all) {
			inner := next
			next = func(ctx context.Context) error { return m(ctx, info, inner) }
		}
		return next(ctx)
	}
}

// Recover is a [Middleware] that returns a panic of the handler as an error, a [*PanicError].
// The job is then retried like one that failed. Without Recover, a panic ends the job as
// [Panicked].
func Recover(ctx context.Context, _ JobInfo, next func(context.Context) error) (err error) {
	defer panics.Catch(&err)
	return next(ctx)
}

// Timeout returns a [Middleware] that ends the handler's context d after each start, with the
// cause [context.DeadlineExceeded]. It still waits until the handler returns. Job.Timeout does
// the same for one job. Timeout panics if d is not above 0.
func Timeout(d time.Duration) Middleware {
	if d <= 0 {
		panic(fmt.Sprintf("dispatcher: Timeout of %v: must be above 0", d))
	}
	return func(ctx context.Context, _ JobInfo, next func(context.Context) error) error {
		ctx, cancel := context.WithTimeout(ctx, d)
		defer cancel()
		return next(ctx)
	}
}

// Log returns a [Middleware] that logs each run of a handler when it returns, with the key,
// the attempt and the time that it took, at [slog.LevelDebug], or with its error at
// [slog.LevelWarn]. It doesn't log a run that panics; put Recover after Log to log that too,
// with the stack trace. If the logger panics, the line is lost. A nil logger means
// [slog.Default] at the time of the message.
func Log(logger *slog.Logger) Middleware {
	return func(ctx context.Context, job JobInfo, next func(context.Context) error) error {
		start := time.Now()
		err := next(ctx)
		level, attrs := slog.LevelDebug, []slog.Attr{
			slog.String("key", job.Key),
			slog.Int("attempt", job.Attempt),
			slog.Duration("took", time.Since(start)),
		}
		if err != nil {
			level = slog.LevelWarn
			attrs = append(attrs, errorAttrs(err)...)
		}
		func() {
			defer func() { _ = recover() }() // the run is over, whatever the logger does
			cmp.Or(logger, slog.Default()).LogAttrs(ctx, level, "dispatcher: handler returned", attrs...)
		}()
		return err
	}
}
