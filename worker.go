package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"
)

// finished is a worker's report on a job.
type finished[T any] struct {
	entry *entry[T]
	again bool          // the job runs again
	delay time.Duration // for which its key is deferred, if it runs again
	until int64         // its key is deferred until then
}

// work does jobs until there are no more. ctx is that of Run.
func (d *Dispatcher[T]) work(ctx context.Context, starts <-chan *entry[T]) {
	for e := range starts {
		if ctx.Err() != nil {
			d.skip(ctx, e)
		} else {
			d.do(ctx, e)
		}
	}
}

// skip drops a job whose slot has come when Run's ctx has ended.
func (d *Dispatcher[T]) skip(ctx context.Context, e *entry[T]) {
	words, cancel := lastWords(ctx)
	defer cancel()
	d.release(words, e)
	e.job.slot = time.Time{}
	d.finish(ctx, &Result[T]{Job: e.job, Outcome: Dropped, Err: stopped(ctx)}, &finished[T]{entry: e})
}

// do runs one job and reports on it, whatever its handler does.
func (d *Dispatcher[T]) do(ctx context.Context, e *entry[T]) {
	e.job.attempt++
	e.job.slot = d.epoch.Add(time.Duration(e.slot))
	r := Result[T]{Job: e.job, Started: time.Now()}
	f := finished[T]{entry: e}
	returned := false
	defer func() {
		if !returned {
			r.Outcome = Panicked
			if v := recover(); v != nil {
				r.Err = newPanicError(v)
			} else {
				r.Err = ErrGoexit
			}
		}
		r.Ended = time.Now()
		d.finish(ctx, &r, &f)
	}()
	r.Err = d.handler(e.context(ctx), e.job)
	// Here, where a panic is the handler's own: Unwrap and As are its error's.
	if retry, ok := errors.AsType[*RetryAfterError](r.Err); ok {
		f.again, f.delay = true, retry.Delay
	}
	r.Outcome = Succeeded
	if r.Err != nil {
		r.Outcome = Failed
	}
	returned = true
}

// stopped is the error of a job that is dropped because Run's ctx has ended.
func stopped(ctx context.Context) error {
	return fmt.Errorf("%w: %w", ErrStopped, context.Cause(ctx))
}

// finish makes the result known, unless the job is to run again.
func (d *Dispatcher[T]) finish(ctx context.Context, r *Result[T], f *finished[T]) {
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.inbox.finished = append(d.inbox.finished, *f)
		d.signal()
	}()
	if f.again {
		d.waiting.Add(1)
	}
	d.running.Add(-1)
	if !f.again {
		d.end(r)
		return
	}
	// Others that share the backend must hear of it even while this one stops.
	ctx, cancel := lastWords(ctx)
	defer cancel()
	var err error
	if f.until, err = d.deferKey(ctx, r.Job.Key, f.delay); err != nil {
		d.cfg.Logger.Warn("dispatcher: the backend did not defer a key",
			slog.String("key", r.Job.Key), slog.Any("error", err))
	}
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
