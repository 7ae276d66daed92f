package dispatcher

import (
	"context"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// work does jobs until there are no more.
func (d *Dispatcher[T]) work(h *hand[T]) {
	defer func() {
		if h.done.entry != nil { // a handler or one of the Events ends the goroutine
			d.desk.giveBack(h)
		}
	}()
	for {
		s, ok := d.desk.next(h)
		if !ok {
			return
		}
		if d.contexts.run.Err() != nil {
			d.unstarted(s, h, Dropped, d.stopped(s.entry))
		} else {
			d.do(s, h)
		}
	}
}

// unstarted ends a job whose slot has come, and which is not to start after all.
func (d *Dispatcher[T]) unstarted(s start[T], h *hand[T], o Outcome, why error) {
	h.done = finished[T]{entry: s.entry, until: s.stamp, late: unknown}
	if !h.plain {
		h.done.fate = fateWithdrawn
	}
	d.rest(h)
	r := &Result[T]{Job: d.lastOf(s.entry), Outcome: o, Err: why}
	d.resolve(s.entry, r)
	d.reportSoon(s.entry, r)
}

// do runs one job and reports on it, whatever its handler does.
func (d *Dispatcher[T]) do(s start[T], h *hand[T]) {
	e := s.entry
	a := attempt[T]{ctx: d.contexts.handlers, started: unknown, late: unknown}
	if e.extra != nil {
		if a.ctx, a.stop = d.begin(e); a.stop == nil {
			d.unstarted(s, h, Canceled, ErrCanceled)
			return
		}
	}
	d.describe(e, &a.job)
	a.job.attempt++
	a.job.slot = s.slot
	if timed := e.sched.Timed(); timed || d.cfg.Events.watchJobs() || e.tracked() {
		now := d.now()
		a.started = now
		if timed {
			a.late = max(0, now-e.sched.Slot)
		}
		if h.plain {
			a.job.slot = now // it waited for its worker alone
		}
	}
	defer d.conclude(e, &a, h)
	if d.cfg.Events.Started != nil {
		defer d.try(e, &a) // also if the event ends the goroutine
		d.tellStarted(a.ctx, a.job)
		return
	}
	d.try(e, &a)
}

// try calls the handler and reads its error, whose methods, such as As and Unwrap, are the handler's
// code too.
func (d *Dispatcher[T]) try(e *entry[T], a *attempt[T]) {
	a.err = d.handler(a.ctx, a.job)
	if a.err != nil {
		var cut error
		if handlers := d.contexts.handlers; handlers.Err() != nil {
			cut = context.Cause(handlers)
		}
		a.verdict = judge(a.err, d.retryOf(e), a.job.failures, e.holds(), d.cfg.Serial, cut)
	}
	a.returned = true
}

// attempt is one run of a job.
type attempt[T any] struct {
	ctx      context.Context // of the handler
	stop     func()          // ends that; nil for most
	job      Job[T]
	started  int64 // instant; unknown if nobody asks
	late     int64 // after its slot; unknown without limits or dates
	returned bool  // the handler did
	err      error // what it returned
	verdict  verdict
}

// unknown is when a job started, and how late, if nobody has looked.
const unknown = -1

// rest notes that a worker's job does not run any more.
func (d *Dispatcher[T]) rest(h *hand[T]) {
	d.running.Add(-1)
	h.done.rested = true
}

// retryOf returns the policy for a job.
func (d *Dispatcher[T]) retryOf(e *entry[T]) *Retry {
	if o := e.options(); o != nil && o.Retry != nil {
		return o.Retry
	}
	return &d.cfg.Retry
}

// conclude is deferred by do. What it calls of the user's code is last, and can't keep it from
// anything: reports.
func (d *Dispatcher[T]) conclude(e *entry[T], a *attempt[T], h *hand[T]) {
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
	h.done.entry, h.done.late = e, a.late
	if a.stop != nil {
		if canceled := d.cease(e, a.verdict.fate != fateEnded); canceled && outcome == Failed {
			outcome, a.verdict.fate = Canceled, fateEnded
			a.err = &endError{why: ErrCanceled, err: a.err}
		}
		a.stop()
	}
	if a.returned && a.verdict.fate != fateEnded {
		d.again(e, a, h)
		return
	}
	if after := a.verdict.after; after != nil && a.returned {
		// The server means the key, whatever becomes of the job.
		if until, own := d.tellOff(e, after, a.job.slot); own {
			d.heed(e.sched.Key(), until, byOthers)
		}
		if outcome == Failed {
			a.err = &HoldsError{MaxHolds: d.retryOf(e).MaxHolds, Err: a.err}
		}
	}
	if a.verdict.cutOff && outcome == Failed {
		outcome = Dropped
		a.err = &endError{ErrStopped, context.Cause(d.contexts.handlers), a.job.attempt, a.err}
	}
	if outcome == Succeeded && e.extra == nil && d.cfg.Events.Done == nil {
		// What follows, for most jobs.
		if h.done.succeeded = h.plain; !h.plain {
			d.running.Add(-1)
			d.counts.succeeded.Add(1)
		}
		return
	}
	d.rest(h)
	r := &Result[T]{Job: a.job, Outcome: outcome, Err: a.err}
	if a.started != unknown {
		r.Started = d.epoch.Add(time.Duration(a.started))
		r.Ended = d.instant()
	}
	d.resolve(e, r)
	d.report(e, r)
}

// again sends a job back to run again.
func (d *Dispatcher[T]) again(e *entry[T], a *attempt[T], h *hand[T]) {
	done := &h.done
	x, v := e.more(), &a.verdict
	x.attempt, x.err = a.job.attempt, a.err
	if v.fails {
		x.failures++
	}
	d.waiting.Add(1)
	d.counts.retried.Add(1)
	d.rest(h)
	delay := min(v.delay, backend.Unlimited)
	done.fate, done.until = v.fate, d.now()+int64(delay)
	if v.after != nil {
		x.holds++
		if until, own := d.tellOff(e, v.after, a.job.slot); own {
			done.until = until
		} else {
			done.fate = fateHeld // it waits by itself
		}
	}
	if d.cfg.Events.Retried != nil {
		ctx := e.context(d.contexts.events)
		if e.tracked() {
			ctx = insideJob{ctx, e}
		}
		d.tellRetried(ctx, a.job, a.err, delay)
	}
}

// tellOff holds the keys that a handler was told to leave alone. If the job's own key is
// one of them, it is for the caller to tell the loop until when.
func (d *Dispatcher[T]) tellOff(e *entry[T], after *RetryAfterError, slot int64) (until int64, own bool) {
	keys := after.HeldKeys(e.sched.Key(), e.sched.Limits())
	// Others that share the backend must hear of it even while this one stops.
	ctx, cancel := lastWords(d.contexts.run)
	defer cancel()
	if d.cfg.Adapt != nil {
		r := refusal{slot: slot, delay: min(after.Delay, backend.Unlimited)}
		r.until = d.now() + int64(r.delay) // before the backend has heard of it
		defer d.tellRefused(keys, r)
	}
	for _, key := range keys {
		end, err := d.holdKey(ctx, key, after.Delay)
		if err != nil {
			d.logSoon(slog.LevelWarn, "dispatcher: the backend did not hold a key",
				slog.String("key", key), slog.Any("error", err), slog.Any("cause", after.Err))
		}
		if key == e.sched.Key() {
			until, own = end, true
		} else {
			d.heed(key, end, byHandler)
		}
	}
	return until, own
}

// stopped is the error of a job that is dropped because Run's ctx has ended.
func (d *Dispatcher[T]) stopped(e *entry[T]) error {
	err := &endError{why: ErrStopped, cause: context.Cause(d.contexts.run)}
	if x := e.extra; x != nil {
		err.attempt, err.err = x.attempt, x.err
	}
	return err
}

// logPanic is deferred around a function that the Config gave.
func (d *Dispatcher[T]) logPanic(name string, attrs ...slog.Attr) {
	if v := recover(); v != nil {
		p := newPanicError(v)
		d.log(slog.LevelError, "dispatcher: "+name+" panicked",
			append(attrs, slog.Any("error", p), slog.String("stack", string(p.Stack)))...)
	}
}

// newPanicError is called by the function that recovered.
func newPanicError(value any) *PanicError {
	return &PanicError{Value: value, Stack: debug.Stack()}
}
