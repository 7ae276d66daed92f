package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"
)

// work does jobs until there are no more. ctx is that of Run.
func (d *Dispatcher[T]) work(ctx context.Context) {
	var done finished[T] // the job that it is done with, and has not said so
	defer func() {
		if done.entry != nil { // a handler or OnDone ends the goroutine
			d.desk.giveBack(&done)
		}
	}()
	for {
		s, ok := d.desk.next(&done)
		if !ok {
			return
		}
		if ctx.Err() != nil {
			d.skip(ctx, s, &done)
		} else {
			d.do(ctx, s, &done)
		}
	}
}

// skip drops a job whose slot has come when Run's ctx has ended.
func (d *Dispatcher[T]) skip(ctx context.Context, s start[T], done *finished[T]) {
	words, cancel := lastWords(ctx)
	defer cancel()
	d.release(words, s)
	done.entry = s.entry
	d.running.Add(-1)
	d.end(&Result[T]{Job: d.jobOf(s.entry), Outcome: Dropped, Err: stopped(ctx)})
}

// do runs one job and reports on it, whatever its handler does.
func (d *Dispatcher[T]) do(ctx context.Context, s start[T], done *finished[T]) {
	a := attempt[T]{job: d.jobOf(s.entry)}
	a.job.attempt++
	a.job.slot = s.slot
	if d.cfg.OnDone != nil {
		a.started = d.instant()
	}
	defer d.conclude(ctx, s.entry, &a, done)
	a.err = d.handler(s.entry.context(ctx), a.job)
	if a.err != nil {
		// Here, where a panic is the handler's own: Unwrap and As are its error's.
		a.retry, _ = errors.AsType[*RetryAfterError](a.err)
	}
	a.returned = true
}

// attempt is one run of a job.
type attempt[T any] struct {
	job      Job[T]
	started  time.Time // zero if nobody asks
	returned bool      // the handler did
	err      error     // what it returned
	retry    *RetryAfterError
}

// conclude is deferred by do.
func (d *Dispatcher[T]) conclude(ctx context.Context, e *entry[T], a *attempt[T], done *finished[T]) {
	outcome := Succeeded
	if !a.returned {
		outcome = Panicked
		if v := recover(); v != nil {
			a.err = newPanicError(v)
		} else {
			a.err = ErrGoexit
		}
	} else if a.err != nil {
		outcome = Failed
	}
	done.entry = e
	if a.returned && a.retry != nil {
		e.attempted(a.job.attempt)
		d.again(ctx, a.job.Key, a.retry.Delay, done)
		return
	}
	d.running.Add(-1)
	if outcome == Succeeded && d.cfg.OnDone == nil {
		d.counts.succeeded.Add(1) // what end would do
		return
	}
	r := &Result[T]{Job: a.job, Outcome: outcome, Err: a.err, Started: a.started}
	if d.cfg.OnDone != nil {
		r.Ended = d.instant()
	}
	d.end(r)
}

// again sends a job back to run again after a delay, for which its key is
// deferred.
func (d *Dispatcher[T]) again(ctx context.Context, key string, delay time.Duration, done *finished[T]) {
	done.again = true
	d.waiting.Add(1)
	d.running.Add(-1)
	// Others that share the backend must hear of it even while this one stops.
	ctx, cancel := lastWords(ctx)
	defer cancel()
	var err error
	if done.until, err = d.deferKey(ctx, key, delay); err != nil {
		d.cfg.Logger.Warn("dispatcher: the backend did not defer a key",
			slog.String("key", key), slog.Any("error", err))
	}
}

// stopped is the error of a job that is dropped because Run's ctx has ended.
func stopped(ctx context.Context) error {
	return fmt.Errorf("%w: %w", ErrStopped, context.Cause(ctx))
}

// end counts, logs and reports the outcome of a job.
func (d *Dispatcher[T]) end(r *Result[T]) {
	d.counts.of(r.Outcome).Add(1)
	switch r.Outcome {
	case Failed:
		d.cfg.Logger.Warn("dispatcher: job failed",
			slog.String("key", r.Job.Key), slog.Any("error", r.Err))
	case Panicked:
		stack := []byte(nil)
		if p, ok := errors.AsType[*PanicError](r.Err); ok {
			stack = p.Stack
		}
		d.cfg.Logger.Error("dispatcher: handler panicked",
			slog.String("key", r.Job.Key), slog.Any("error", r.Err), slog.String("stack", string(stack)))
	}
	if d.cfg.OnDone == nil {
		return
	}
	defer d.logPanic("OnDone", slog.String("key", r.Job.Key))
	d.cfg.OnDone(*r)
}

// logPanic is deferred around a function that the Config gave.
func (d *Dispatcher[T]) logPanic(name string, attrs ...any) {
	if v := recover(); v != nil {
		p := newPanicError(v)
		d.cfg.Logger.Error("dispatcher: "+name+" panicked",
			append(attrs, slog.Any("error", p), slog.String("stack", string(p.Stack)))...)
	}
}

// newPanicError is called by the function that recovered.
func newPanicError(value any) *PanicError {
	return &PanicError{Value: value, Stack: debug.Stack()}
}
