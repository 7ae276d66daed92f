package dispatcher

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// Middleware wraps a handler in another one. Those that come with this package are
// [Recover], [Timeout] and [Log]; dispatcherotel has one for traces. Around nil they return
// nil, so that [New] can say that the handler is missing; others should too.
type Middleware[T any] func(Handler[T]) Handler[T]

// Chain wraps a handler in several: the first one is the outermost. Those that are nil are
// left out. Around nil it returns nil.
func Chain[T any](h Handler[T], wrappers ...Middleware[T]) Handler[T] {
	for _, wrap := range slices.Backward(wrappers) {
		if h != nil && wrap != nil {
			h = wrap(h)
		}
	}
	return h
}

// Recover turns a panic of the handler into its error, a [*PanicError], so that the
// job is retried like one that failed. Without it a panic is an outcome of its own,
// and final.
func Recover[T any]() Middleware[T] {
	return func(next Handler[T]) Handler[T] {
		if next == nil {
			return nil
		}
		return func(ctx context.Context, job Job[T]) (err error) {
			defer catch(&err)
			return next(ctx, job)
		}
	}
}

// Timeout ends the context of each run of a handler after d, with the cause
// [context.DeadlineExceeded]. It does not leave a handler that goes on all the same.
// Options.Timeout does it for one job. It panics unless d is above 0.
func Timeout[T any](d time.Duration) Middleware[T] {
	if d <= 0 {
		panic(fmt.Sprintf("dispatcher: Timeout of %v: must be above 0", d))
	}
	return func(next Handler[T]) Handler[T] {
		if next == nil {
			return nil
		}
		return func(ctx context.Context, job Job[T]) error {
			ctx, cancel := context.WithTimeout(ctx, d)
			defer cancel()
			return next(ctx, job)
		}
	}
}

// Log logs each run of a handler when it returns, with the key, the attempt and how long
// it took, at [slog.LevelDebug], or at [slog.LevelWarn] with the error that it returned.
// A run that panics is not logged: put Recover further in for that. A logger that panics loses
// the line. A nil logger is [slog.Default].
func Log[T any](logger *slog.Logger) Middleware[T] {
	return func(next Handler[T]) Handler[T] {
		if next == nil {
			return nil
		}
		return func(ctx context.Context, job Job[T]) error {
			start := time.Now()
			err := next(ctx, job)
			level, attrs := slog.LevelDebug, []slog.Attr{
				slog.String("key", job.Key),
				slog.Int("attempt", job.Attempt()),
				slog.Duration("took", time.Since(start)),
			}
			if err != nil {
				level = slog.LevelWarn
				attrs = append(attrs, slog.Any("error", err))
			}
			func() {
				defer func() { _ = recover() }() // the run is over, whatever the logger does
				cmp.Or(logger, slog.Default()).LogAttrs(ctx, level, "dispatcher: handler returned", attrs...)
			}()
			return err
		}
	}
}
