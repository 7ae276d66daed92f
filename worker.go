package dispatcher

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/adaptive"
	"github.com/freqlimit/dispatcher/internal/engine"
	"github.com/freqlimit/dispatcher/internal/guard"
	"github.com/freqlimit/dispatcher/internal/panics"
)

// work does jobs until there are no more.
func (d *Dispatcher[T]) work(w *engine.Worker) {
	for {
		s, ok := d.engine.Next(w)
		if !ok {
			return
		}
		if d.engine.Contexts().Run.Err() != nil {
			d.unstarted(s, w, Dropped, d.stopped(entryOf[T](s.Job)))
		} else {
			d.do(s, w)
		}
	}
}

// unstarted ends a job whose slot has come, but which must not start after all.
func (d *Dispatcher[T]) unstarted(s engine.Start, w *engine.Worker, o Outcome, why error) {
	e := entryOf[T](s.Job)
	w.Done = engine.Completion{Job: s.Job, Until: s.Token, Late: engine.Unknown}
	if !w.IsFast() {
		w.Done.Disposition = engine.WithdrawJob
	}
	d.engine.MarkIdle(w)
	if o == Dropped && d.kept != nil {
		(*owner[T])(d).Kept(s.Job)
		return
	}
	d.endWaiting(e, &Result[T]{Outcome: o, Err: why})
}

// do runs one job and reports on it, whatever its handler does.
func (d *Dispatcher[T]) do(s engine.Start, w *engine.Worker) {
	e := entryOf[T](s.Job)
	a := attempt[T]{ctx: d.engine.Contexts().Handlers, started: engine.Unknown, late: engine.Unknown}
	if e.extra != nil {
		if a.ctx, a.stop = d.startRun(e); a.stop == nil {
			d.unstarted(s, w, Canceled, ErrCanceled)
			return
		}
	}
	d.snapshot(e, &a.job)
	a.job.attempt++
	a.job.slot = s.Slot
	if timed := e.sched.Timed(); timed || d.cfg.Events.watchJobs() || e.tracked() {
		now := d.engine.Now()
		a.started = now
		if timed {
			a.late = max(0, now-e.sched.Slot)
		}
		if w.IsFast() {
			a.job.slot = now // it waited for its worker alone
		}
	}
	defer d.complete(e, &a, w)
	if d.cfg.Events.Started != nil {
		defer d.try(e, &a) // also if the event ends the goroutine
		d.tellStarted(a.ctx, a.job)
		return
	}
	d.try(e, &a)
}

// try calls the handler and classifies its error. Methods of the error, such as As and Unwrap, are user
// code too.
func (d *Dispatcher[T]) try(e *entry[T], a *attempt[T]) {
	a.err = d.handler(a.ctx, a.job)
	if a.err != nil {
		var cut error
		if handlers := d.engine.Contexts().Handlers; handlers.Err() != nil {
			cut = context.Cause(handlers)
		}
		a.class = classify(a.err, d.retryOf(e), a.job.failures, e.holds(), d.cfg.Serial, cut)
	}
	a.returned = true
}

// attempt is one run of a job.
type attempt[T any] struct {
	ctx      context.Context // of the handler
	stop     func()          // releases ctx; nil for most jobs
	job      Job[T]
	started  int64 // instant; engine.Unknown if nobody needs it
	late     int64 // after its slot; engine.Unknown without limits or dates
	returned bool  // the handler has returned
	err      error // what it returned
	class    classification
}

// retryOf returns the policy for a job.
func (d *Dispatcher[T]) retryOf(e *entry[T]) *Retry {
	if o := e.options(); o != nil && o.retry != nil {
		return o.retry
	}
	return &d.cfg.Retry
}

// complete is deferred by do. User code, which it calls for reports, comes last, so that it can't keep
// complete from doing anything.
func (d *Dispatcher[T]) complete(e *entry[T], a *attempt[T], w *engine.Worker) {
	outcome := Succeeded
	if !a.returned {
		outcome = Panicked
		if v := recover(); v != nil {
			a.err = panics.New(v)
		} else {
			a.err = ErrGoexit
		}
	} else if a.err != nil {
		outcome = Failed
	}
	w.Done.Job, w.Done.Late = &e.sched, a.late
	if a.stop != nil {
		if canceled := d.endRun(e, a.class.disposition != engine.EndJob); canceled && outcome == Failed {
			outcome, a.class.disposition = Canceled, engine.EndJob
			a.err = &endError{why: ErrCanceled, err: a.err}
		}
		a.stop()
	}
	if a.returned && a.class.disposition != engine.EndJob {
		d.requeue(e, a, w)
		return
	}
	if after := a.class.after; after != nil && a.returned {
		// The server refuses the key, whatever becomes of the job.
		if until, own := d.applyRetryAfter(e, after, a.job.slot); own {
			d.engine.HeldUntil(e.sched.Key(), until, engine.ByOthers)
		}
		if outcome == Failed {
			a.err = &HoldsError{MaxHolds: d.retryOf(e).MaxHolds, Err: a.err}
		}
	}
	if a.class.cutOff && outcome == Failed && d.kept != nil {
		if !d.cfg.AtMostOnce {
			d.keepCutOff(e, a, w)
			return
		}
		outcome, a.err = Uncertain, fmt.Errorf("%w: %w", ErrUncertain, a.err)
	}
	if a.class.cutOff && outcome == Failed {
		outcome = Dropped
		a.err = &endError{ErrStopped, context.Cause(d.engine.Contexts().Handlers), a.job.attempt, a.err}
	}
	if d.kept != nil {
		d.settleRun(e, outcome, a.err)
	}
	if outcome == Succeeded && e.extra == nil && d.cfg.Events.Done == nil {
		// A shortcut for most jobs.
		if !d.engine.Succeeded(w) {
			d.counts.succeeded.Add(1)
		}
		return
	}
	d.engine.MarkIdle(w)
	r := &Result[T]{Job: a.job, Outcome: outcome, Err: a.err}
	if a.started != engine.Unknown {
		r.Started = d.engine.Epoch().Add(time.Duration(a.started))
		r.Ended = d.engine.Clock()
	}
	d.recordOutcome(e, r)
	d.report(e.context(d.engine.Contexts().Events), r)
}

// requeue sends a job back to run again.
func (d *Dispatcher[T]) requeue(e *entry[T], a *attempt[T], w *engine.Worker) {
	done := &w.Done
	x, v := e.more(), &a.class
	x.attempt, x.err = a.job.attempt, a.err
	if v.fails {
		x.failures++
	}
	d.counts.retried.Add(1)
	d.engine.RunsAgain(w)
	delay := min(v.delay, backend.Unlimited)
	done.Disposition, done.Until = v.disposition, d.engine.Now()+int64(delay)
	if v.after != nil {
		x.holds++
		if until, own := d.applyRetryAfter(e, v.after, a.job.slot); own {
			done.Until = until
		} else {
			done.Disposition = engine.RetryInPlace // it waits by itself
		}
	}
	if d.kept != nil {
		d.requeueKept(e, done.Until)
	}
	if d.cfg.Events.Retried != nil {
		ctx := e.context(d.engine.Contexts().Events)
		if e.tracked() {
			ctx = insideJob{ctx, e}
		}
		d.tellRetried(ctx, a.job, a.err, delay)
	}
}

// applyRetryAfter holds the keys that a handler's RetryAfter names. If the job's own key is one of them,
// the caller must tell the loop until when it is held.
func (d *Dispatcher[T]) applyRetryAfter(e *entry[T], after *RetryAfterError, slot int64) (until int64, own bool) {
	keys := after.HeldKeys(e.sched.Key(), e.sched.Limits())
	// Others that share the backend must learn of the hold even while this dispatcher stops.
	ctx, cancel := guard.CleanupContext(d.engine.Contexts().Run)
	defer cancel()
	if d.cfg.Adapt != nil {
		r := adaptive.Refusal{Slot: slot, Delay: min(after.Delay, backend.Unlimited)}
		r.Until = d.engine.Now() + int64(r.Delay) // before the backend has heard of it
		defer d.tellRefused(keys, r)
	}
	for _, key := range keys {
		end, err := d.engine.Hold(ctx, key, after.Delay)
		if err != nil {
			d.engine.LogSoon(slog.LevelWarn, "dispatcher: backend could not hold a key",
				slog.String("key", key), slog.Any("error", err), slog.Any("cause", after.Err))
		}
		if key == e.sched.Key() {
			until, own = end, true
		} else {
			d.engine.HeldUntil(key, end, engine.ByHandler)
		}
	}
	return until, own
}

// stopped returns the error of a job that is dropped because Run's ctx has ended.
func (d *Dispatcher[T]) stopped(e *entry[T]) error {
	err := &endError{why: ErrStopped, cause: context.Cause(d.engine.Contexts().Run)}
	if x := e.extra; x != nil {
		err.attempt, err.err = x.attempt, x.err
	}
	return err
}

// logPanic is deferred around a call of a function of the Config.
func (d *Dispatcher[T]) logPanic(name string, attrs ...slog.Attr) {
	if v := recover(); v != nil {
		p := panics.New(v)
		d.engine.Log(slog.LevelError, "dispatcher: "+name+" panicked",
			append(attrs, slog.Any("error", p), slog.String("stack", string(p.Stack)))...)
	}
}
