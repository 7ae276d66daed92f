package dispatcher

import (
	"context"
	"fmt"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/blocks"
	"github.com/freqlimit/dispatcher/internal/engine"
	"github.com/freqlimit/dispatcher/internal/misuse"
	"github.com/freqlimit/dispatcher/internal/table"
)

// Dispatcher is a queue of jobs with payloads of type T. It starts each job at the instant at
// which all of its limits allow it. Make one with [New], call Run, and Submit jobs from any
// goroutine. All methods are safe for concurrent use.
//
// If the context is nil, or New has not made the Dispatcher, methods do nothing and return a
// [*ConfigError].
type Dispatcher[T any] struct {
	engine  *engine.Engine // does all that doesn't depend on T
	handler Handler[T]
	cfg     Config[T]
	kept    *keeper[T] // nil unless the backend keeps jobs

	// Fields that are only read, fields that submitters write, and fields that workers write are in
	// cache lines of their own.
	_ [64]byte

	// Guarded by the lock of the engine.
	replaced uint64 // payloads that took the place of others
	ids      table.Map[string, *entry[T]]
	intake   blocks.List[fastJob[T]]

	_ [64]byte

	counts counts

	_ [64]byte

	fast blocks.Queue[fastJob[T]] // guarded by the pool of the engine
	left blocks.Queue[fastJob[T]] // jobs that have left the fast path; only the loop of the engine uses it
}

// New returns a dispatcher. The backend b keeps its limits, and handler does its jobs. New
// starts nothing: see [Dispatcher.Run]. A backend may serve several dispatchers and
// [FreqLimit]s at once; they share the limits of equal keys.
//
// New returns a [*ConfigError] if an argument is nil or a field of cfg is wrong.
func New[T any](b backend.Backend, handler Handler[T], cfg Config[T]) (*Dispatcher[T], error) {
	if err := misuse.CheckBackend(b); err != nil {
		return nil, err
	}
	if handler == nil {
		return nil, misuse.Nil("handler")
	}
	cfg, err := cfg.withDefaults(b)
	if err != nil {
		return nil, err
	}
	d := &Dispatcher[T]{handler: withMiddleware(handler, cfg.Middleware), cfg: cfg}
	d.engine = engine.New(cfg.engine(b, (*owner[T])(d)))
	if journal := d.engine.Traits().Journal; journal != nil {
		if err := d.recover(journal); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// Submit accepts a job with the limits of the Config, and returns at once: it never waits for
// a limit, a worker or the network. If the backend keeps jobs, as a [backend.Journal], it waits until
// the job has been written; all that are submitted meanwhile share the next write.
//
// ctx applies to this call only. The handler's context carries its values. Ending ctx later
// doesn't cancel the job.
//
// The job was accepted if and only if the error is nil. Otherwise the error matches
// [ErrClosed], [ErrFull], [backend.ErrLimit] if a limit is wrong, or the error of ctx; or it
// is a [*JournalError] if the job could not be written, or a [*PanicError] if Config.Limits panicked. Jobs may be submitted before Run is called.
func (d *Dispatcher[T]) Submit(ctx context.Context, key string, payload T) error {
	_, err := d.submit(ctx, &Job[T]{Key: key, Payload: payload}, nil, nil)
	return err
}

// SubmitJob is Submit for a job with more than a key and a payload, such as limits, a priority
// or an ID. If a field is invalid, the error is a [*ConfigError]. If another job has its ID,
// it is a [*DuplicateError].
//
// If a limit of the job is in use with other params, the job's params replace them, also for
// waiting jobs: a key has one set of params at a time. A waiting job that costs more than a
// lowered Burst then fails.
func (d *Dispatcher[T]) SubmitJob(ctx context.Context, job Job[T]) error {
	_, err := d.submitJob(ctx, job, nil)
	return err
}

func (d *Dispatcher[T]) submitJob(ctx context.Context, job Job[T], h *Handle[T]) (*entry[T], error) {
	o, err := optionsOf(&job)
	if err != nil {
		return nil, err
	}
	return d.submit(ctx, &job, o, h)
}

// submit submits a job. It returns the job's entry, or the entry of the waiting job whose payload it
// replaced. For a fast job it returns nil.
func (d *Dispatcher[T]) submit(ctx context.Context, job *Job[T], o *options, h *Handle[T]) (*entry[T], error) {
	limits, err := d.admissible(ctx, job)
	if err != nil {
		return nil, err
	}
	if ctx == context.Background() {
		ctx = nil // it has no values
	}
	fast := o == nil && h == nil && d.isFast(limits, job.Priority)
	now := d.engine.Now()
	var e *entry[T]
	if d.kept != nil {
		f, err := d.offer(ctx, now, job, limits, o, h)
		if err != nil {
			return nil, err
		}
		return d.keep(f)
	}
	for {
		accepted, err := false, error(nil)
		if fast {
			accepted, err = d.acceptFast(job.Key, fastJob[T]{ctx, now, job.Payload})
		}
		if !accepted && err == nil {
			if e == nil {
				e = d.newEntry(ctx, now, job.Payload, o, h)
			}
			e, err = d.accept(engine.Submission{
				Job: &e.sched, Key: job.Key, Limits: limits, Priority: job.Priority, Dates: o.dates(*d.engine.Epoch()),
			})
		}
		if !isFull(err) || !d.engine.MakeRoom() {
			return e, err
		}
	}
}

// admissible returns the limits of a job that is submitted, or the error for which it can't be accepted.
func (d *Dispatcher[T]) admissible(ctx context.Context, job *Job[T]) ([]Limit, error) {
	if err := d.check(ctx); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("dispatcher: submit: %w", err)
	}
	limits, err := d.cfg.limitsOf(job)
	if err == nil && len(limits) > 0 {
		err = d.engine.Traits().Check(limits)
	}
	if err != nil {
		return nil, fmt.Errorf("dispatcher: submit: %w", err)
	}
	return limits, nil
}

// newEntry returns the entry of a job that does not take the fast path.
func (d *Dispatcher[T]) newEntry(ctx context.Context, now int64, payload T, o *options, h *Handle[T]) *entry[T] {
	var e *entry[T]
	if d.kept == nil {
		e = new(entry[T])
	} else {
		e = &new(kept[T]).entry
	}
	e.sched.Arrival, e.payload = now, payload
	if o != nil || h != nil {
		e.extra = &extra[T]{options: o, handle: h, tracked: h != nil || o != nil && o.id != ""}
		if h != nil {
			h.entry = e
		}
	}
	if ctx != nil {
		e.more().ctx = ctx
	}
	return e
}

// accept accepts a job. It returns the job's entry, or the entry of the waiting job whose payload it
// replaced.
func (d *Dispatcher[T]) accept(s engine.Submission) (*entry[T], error) {
	d.engine.Lock()
	defer d.engine.Unlock()
	if d.engine.IsClosed() {
		return nil, ErrClosed
	}
	e := entryOf[T](s.Job)
	hasID := e.hasID()
	if hasID {
		if waiting, err := d.sameID(e); waiting != nil || err != nil {
			return waiting, err
		}
	}
	if !d.engine.Submit(s) {
		return nil, &FullError{Capacity: d.cfg.Capacity}
	}
	if hasID {
		d.claimID(e)
	}
	if e.extra != nil {
		e.extra.submitted = e.sched.Arrival
	}
	return e, nil
}

// isFull reports whether a job was refused because the queue is full. It calls no method of err, which
// may be the value of a panic in a function of the Config.
func isFull(err error) bool {
	_, full := err.(*FullError)
	return full
}

// Hold closes a key for a time from now. Until then no job of the key starts, and no job under
// a limit with that key, in any dispatcher of the backend, in this process and others: see
// [backend.Watcher] and [backend.Request.HeldBy] for how they learn of it. A hold only
// extends: if it would end before the present one, or if delay is zero or less, it changes
// nothing. A job whose slot was taken before, at most Config.Horizon ahead, still starts.
//
// If the backend returns an error, Hold returns it, and only this dispatcher holds the key.
// The key may be one that no job or limit has yet; the Logger reports that, at most once a
// minute.
func (d *Dispatcher[T]) Hold(ctx context.Context, key string, delay time.Duration) error {
	if err := d.check(ctx); err != nil {
		return err
	}
	until, err := d.engine.Hold(ctx, key, delay)
	d.engine.HeldUntil(key, until, engine.ByCaller)
	return err
}

// Run does the work until ctx ends or Shutdown has drained the queue. It may be called once: a
// second call returns [ErrRunning]. If Shutdown was called before and found nothing to do, Run
// returns nil.
//
// When ctx ends, nothing more starts. Jobs that haven't started, or that wait to run again,
// are dropped and reported at once, unless the backend keeps them for the next Run. Running handlers get Config.StopTimeout before their
// contexts end too, with the same cause. So ctx may be the context of
// [os/signal.NotifyContext]. Calls of the backend get up to two seconds to finish, so that
// granted slots are given back. Run waits until all handlers have returned, however long that
// takes. Then it returns a [*StopError].
//
// After a Shutdown that has drained the queue, Run returns nil. In both cases all outcomes
// have been reported, and no goroutine is left.
func (d *Dispatcher[T]) Run(ctx context.Context) error {
	if err := d.check(ctx); err != nil {
		return err
	}
	stopped, err := d.engine.Run(ctx)
	if d.kept != nil && err == nil {
		d.leaveKept()
	}
	if stopped {
		s := &StopError{Dropped: int(d.counts.stopped.Load()), Err: context.Cause(ctx), end: ctx.Err()}
		if d.kept != nil {
			d.engine.Lock()
			s.Kept = d.kept.count
			d.engine.Unlock()
		}
		return s
	}
	return err
}

// Shutdown closes the dispatcher, so that Submit returns [ErrClosed], and waits until Run has
// done all accepted jobs and returned. It returns nil if Run has returned, even if that was
// because Run's context ended and jobs were dropped. If ctx ends first, it returns a
// [*ShutdownError] that says what is left; the work goes on until the context of Run ends.
// Shutdown may be called more than once, also concurrently.
//
// Handlers and Events can't wait for Run. If ctx is theirs or derived from it, Shutdown closes
// the dispatcher and returns at once, with a ShutdownError that matches [ErrReentrant]. With
// another context, it waits for itself until Run's context has ended: see [ErrStuck].
//
// If Run has not been called, Shutdown returns nil if there is nothing to do, else it waits
// for Run.
func (d *Dispatcher[T]) Shutdown(ctx context.Context) error {
	if err := d.check(ctx); err != nil {
		return err
	}
	if d.engine.CloseIntake() {
		return nil
	}
	err := ErrReentrant
	if !d.engine.IsReentrant(ctx) {
		err = d.engine.AwaitEnd(ctx)
	}
	if err != nil {
		f := d.engine.Figures()
		err = &ShutdownError{Waiting: f.Waiting, Running: f.Running, Err: err}
	}
	return err
}
