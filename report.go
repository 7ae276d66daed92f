package dispatcher

import (
	"context"
	"log/slog"
)

// recordOutcome ends a job whose outcome is known. It is called once, by the goroutine that has the job.
func (d *Dispatcher[T]) recordOutcome(e *entry[T], r *Result[T]) {
	var h *Handle[T]
	if e.extra != nil {
		h = d.resolve(e, r)
	}
	d.counts.of(r.Outcome).Add(1)
	if err, ok := r.Err.(*endError); ok && r.Outcome == Dropped && err.why == ErrStopped {
		d.counts.stopped.Add(1)
	}
	if h != nil {
		h.finish(r)
	}
}

// report reports the end of a job that ran to Events and the Logger. The worker that ran the job calls
// it, and waits for them.
func (d *Dispatcher[T]) report(ctx context.Context, r *Result[T]) {
	if d.cfg.Events.Done != nil {
		defer d.tellDone(ctx, r) // also if the Logger ends the goroutine
	}
	switch r.Outcome {
	case Failed:
		d.engine.Log(slog.LevelWarn, "dispatcher: job failed", r.attrs()...)
	case Panicked:
		d.engine.Log(slog.LevelError, "dispatcher: handler panicked", r.attrs()...)
	}
}

// attrs returns what to log of a job that has failed or panicked.
func (r *Result[T]) attrs() []slog.Attr {
	attrs := []slog.Attr{slog.String("key", r.Job.Key), slog.Int("attempt", r.Job.attempt)}
	return append(attrs, errorAttrs(r.Err)...)
}

// errorAttrs returns what to log of an error: if [Recover] or the dispatcher made it of a panic,
// with the stack trace.
func errorAttrs(err error) []slog.Attr {
	attrs := []slog.Attr{slog.Any("error", err)}
	if p, ok := err.(*PanicError); ok { // errors.As would call methods of the handler's errors
		attrs = append(attrs, slog.String("stack", string(p.Stack)))
	}
	return attrs
}

// reportSoon is report for a job that did not run.
func (d *Dispatcher[T]) reportSoon(e *entry[T], r *Result[T]) {
	if d.cfg.Events.Done != nil || r.Outcome == Failed {
		ctx := e.context(d.engine.Contexts().Events)
		d.engine.Report(func() { d.report(ctx, r) })
	}
}
