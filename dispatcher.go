package dispatcher

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/schedule"
	"github.com/freqlimit/dispatcher/internal/table"
)

// Dispatcher is a queue of jobs with payloads of type T, which starts each of
// them at the instant that all of its limits allow. Use [New], then Run, and
// Submit from wherever there is work. All methods are safe for concurrent use.
//
// A method that is given no context, or that of a Dispatcher which New has not made, returns a
// [*ConfigError] and has done nothing.
type Dispatcher[T any] struct {
	backend backend.Backend
	handler Handler[T]
	cfg     Config[T]
	epoch   *time.Time // instant 0 of the scheduler; jobs point to it too

	wake chan struct{} // holds a token while there is news
	room chan struct{} // holds a token when there is some
	shut chan struct{} // closed when nothing is accepted any more
	deaf chan struct{} // closed when no command is obeyed any more
	done chan struct{} // closed when Run has returned

	// Closed when handlers or Events have not returned although Run has stopped: one of them may
	// wait for this dispatcher.
	stuck chan struct{}

	contexts *contexts // while Run is there

	// What mostly submitters write, what mostly workers write, and what all only
	// read are in cache lines of their own.
	_ [64]byte

	waiting   atomic.Int64 // accepted jobs that no worker has, at most Capacity but for retries, and express.unsaid
	told      atomic.Bool  // the loop has been woken, and has not looked since
	mu        sync.Mutex   // guards what follows
	closed    bool         // nothing is accepted any more
	ran       bool         // Run has been called
	over      bool         // Run has returned
	reminders reminders
	idle      chan struct{} // closed when there is nothing to do; nil: nobody waits for that
	submitted uint64        // accepted jobs
	latest    int64         // when the last one was
	replaced  uint64        // payloads that took the place of others
	ids       table.Map[string, *entry[T]]
	inbox     inbox[T]
	plain     intake[T]

	_ [64]byte

	wanted   atomic.Int64 // who waits for room
	running  atomic.Int64
	workers  atomic.Int64
	counts   counts
	desk     desk[T]
	lateness lateness
	mixed    mixed
	reports  reporter
	away     atomic.Pointer[Away] // nil while the backend answers
}

// New returns a dispatcher whose limits are kept by b and whose jobs are done by
// handler. It starts nothing: see [Dispatcher.Run]. A backend may serve several
// dispatchers and a [FreqLimit] at once; they share the limits of equal keys.
//
// A nil argument or a wrong field of cfg is a [*ConfigError].
func New[T any](b backend.Backend, handler Handler[T], cfg Config[T]) (*Dispatcher[T], error) {
	if err := checkBackend(b); err != nil {
		return nil, err
	}
	if handler == nil {
		return nil, errNil("handler")
	}
	cfg, err := cfg.withDefaults(b)
	if err != nil {
		return nil, err
	}
	d := &Dispatcher[T]{
		backend: b,
		handler: handler,
		cfg:     cfg,
		epoch:   new(time.Now()),
		wake:    make(chan struct{}, 1),
		room:    make(chan struct{}, 1),
		shut:    make(chan struct{}),
		deaf:    make(chan struct{}),
		done:    make(chan struct{}),
		stuck:   make(chan struct{}),
	}
	d.desk.open(d)
	return d, nil
}

// Submit accepts a job with the limits that the Config gives it, and returns at
// once: it never waits for a limit, a worker or the network.
//
// ctx rules the call itself, and lends its values to the handler's context. To
// end it later does not cancel the job.
//
// The error is nil if and only if the job was accepted. Otherwise it matches
// [ErrClosed], [ErrFull], [backend.ErrLimit] if a limit is wrong, or the error of
// ctx; or it is a [*PanicError] if Config.Limits panicked. A job may be submitted
// before Run is called.
func (d *Dispatcher[T]) Submit(ctx context.Context, key string, payload T) error {
	_, err := d.submit(ctx, &Job[T]{Key: key, Payload: payload}, nil)
	return err
}

// SubmitJob is Submit for a job with limits, a priority or [Options] of its own. What
// is wrong with them is a [*ConfigError], an ID that is taken a [*DuplicateError].
//
// If a limit of the job is in use with other params, those of the job replace
// them, also for the jobs that wait: a key has one set of params at a time. A
// job that waits and costs more than a lowered Burst then ends as failed.
func (d *Dispatcher[T]) SubmitJob(ctx context.Context, job Job[T]) error {
	_, err := d.submitJob(ctx, job, nil)
	return err
}

func (d *Dispatcher[T]) submitJob(ctx context.Context, job Job[T], h *Handle[T]) (*entry[T], error) {
	if err := job.Options.validate(); err != nil {
		return nil, err
	}
	return d.submit(ctx, &job, h)
}

// submit submits a job, and returns its entry, or that of the job which it became one
// with; nil for a plain job.
func (d *Dispatcher[T]) submit(ctx context.Context, job *Job[T], h *Handle[T]) (*entry[T], error) {
	if err := d.check(ctx); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("dispatcher: submit: %w", err)
	}
	limits, err := d.limitsOf(job.Key, job.Payload, job.Limits)
	if err != nil {
		return nil, fmt.Errorf("dispatcher: submit: %w", err)
	}
	if ctx == context.Background() {
		ctx = nil // it has no values
	}
	plain := d.isPlain(job, limits, h)
	var e *entry[T]
	for {
		accepted, err := false, error(nil)
		if plain {
			accepted, err = d.acceptPlain(job.Key, plainJob[T]{ctx, d.now(), job.Payload})
		}
		if !accepted && err == nil {
			if e == nil {
				e = d.newEntry(ctx, job, h)
			}
			e, err = d.accept(submission[T]{entry: e, key: job.Key, limits: limits, priority: job.Priority})
			if err == nil {
				d.signal()
			}
		}
		if !isFull(err) || !d.makeRoom() {
			return e, err
		}
	}
}

// newEntry returns the entry of a job that is not plain.
func (d *Dispatcher[T]) newEntry(ctx context.Context, job *Job[T], h *Handle[T]) *entry[T] {
	e := &entry[T]{sched: schedule.Job{Arrival: d.now()}, payload: job.Payload}
	if job.Options != nil || h != nil {
		e.extra = &extra[T]{options: job.Options, handle: h, tracked: h != nil || job.Options != nil && job.Options.ID != ""}
		if h != nil {
			h.entry = e
		}
	}
	if ctx != nil {
		e.more().ctx = ctx
	}
	return e
}

// accept returns the entry that the job has become one with.
func (d *Dispatcher[T]) accept(s submission[T]) (*entry[T], error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, ErrClosed
	}
	hasID := s.entry.hasID()
	if hasID {
		if waits, err := d.sameID(s.entry); waits != nil || err != nil {
			return waits, err
		}
	}
	if err := d.enter(); err != nil {
		return nil, err
	}
	if hasID {
		d.claimID(s.entry)
	}
	if !d.ran {
		d.remindOfJobs()
	}
	d.plain.open = false
	d.submitted++
	s.entry.sched.Arrival = d.stamp(s.entry.sched.Arrival)
	if s.entry.extra != nil {
		s.entry.extra.submitted = s.entry.sched.Arrival
	}
	d.inbox.submitted.add(s)
	return s.entry, nil
}

// stamp returns when a job is submitted, no earlier than those before it, though others
// may have read the clock later and come sooner. It requires that mu is held.
func (d *Dispatcher[T]) stamp(at int64) int64 {
	d.latest = max(d.latest, at)
	return d.latest
}

// enter counts a job that is to wait, if there is room.
func (d *Dispatcher[T]) enter() error {
	if d.waiting.Add(1) > int64(d.cfg.Capacity) {
		d.waiting.Add(-1)
		return &FullError{Capacity: d.cfg.Capacity}
	}
	return nil
}

// isFull reports whether that is why a job was not accepted. It does not ask the error, which may be
// what a function of the Config has panicked with.
func isFull(err error) bool {
	_, full := err.(*FullError)
	return full
}

// Hold closes a key for a time from now: no job of the key starts before, and
// none that is under a limit with that key, in any dispatcher of the backend, in
// this process and others: see [backend.Watcher] and [backend.Request.HeldBy] for
// how they hear of it. It only extends: an earlier end than the present
// one changes nothing, nor does a delay of zero or less. A job whose slot has
// been taken already, at most Config.Horizon ago, still starts.
//
// The error is the backend's; then the key is held for this dispatcher all
// the same. A key that neither a job nor a limit has may be held, for those to come; the
// Logger tells, once a minute.
func (d *Dispatcher[T]) Hold(ctx context.Context, key string, delay time.Duration) error {
	if err := d.check(ctx); err != nil {
		return err
	}
	until, err := d.holdKey(ctx, key, delay)
	d.heed(key, until, byCaller)
	return err
}

// holdKey holds a key at the backend and returns until when, by a clock that
// is not ahead of the backend's.
func (d *Dispatcher[T]) holdKey(ctx context.Context, key string, delay time.Duration) (until int64, err error) {
	delay = min(delay, backend.Unlimited)
	if delay > 0 {
		err = guard(func() error { return d.backend.Hold(ctx, key, delay) })
	}
	return d.now() + int64(delay), err
}

// Run does the work until ctx ends or Shutdown has drained the queue. It may be
// called once; a second call returns [ErrRunning], and one after a Shutdown with
// nothing to do returns nil.
//
// When ctx ends, nothing starts any more. The jobs that have not started, or that wait
// to run again, are dropped and reported at once. The handlers that run have
// Config.StopTimeout before their contexts end too, with the cause of the end of ctx. So
// ctx may be that of a signal. Run waits for the handlers to return; it does not give up
// on one that never does. Then it returns a [*StopError]. After a Shutdown that has
// drained the queue it returns nil. Either way all outcomes have been reported and no
// goroutine is left.
func (d *Dispatcher[T]) Run(ctx context.Context) error {
	if err := d.check(ctx); err != nil {
		return err
	}
	d.mu.Lock()
	ran, jobs := d.ran, d.reminders.jobs
	d.ran = true
	d.mu.Unlock()
	if ran {
		return ErrRunning
	}
	if jobs != nil {
		jobs.Stop()
	}
	defer d.finish()
	defer d.watch(ctx)()
	l, release := d.newLoop(ctx)
	defer release()
	l.group.Go(l.run)
	return l.group.Wait()
}

// finish is called when Run returns.
func (d *Dispatcher[T]) finish() {
	d.desk.clear()
	d.contexts, d.reports.group = nil, nil
	d.mu.Lock()
	d.over, d.inbox, d.plain = true, inbox[T]{}, intake[T]{}
	d.mu.Unlock()
	close(d.done)
}

// Shutdown stops the intake, so that Submit returns [ErrClosed], and waits until
// Run has done all that was accepted and returned. Nil says that Run has returned,
// maybe because its own context ended and jobs were dropped. If ctx ends first it returns
// a [*ShutdownError] that says what is left; the work goes on until the context of
// Run ends. It may be called more than once, also concurrently.
//
// Handlers and Events can't wait for Run: with their contexts, Shutdown stops the intake
// and returns a ShutdownError that matches [ErrReentrant] at once. With another one, it
// waits for itself until Run's context has ended, and Run with it: see [ErrStuck].
//
// If Run has not been called, Shutdown returns at once if there is nothing to
// do, else it waits for Run.
func (d *Dispatcher[T]) Shutdown(ctx context.Context) error {
	if err := d.check(ctx); err != nil {
		return err
	}
	d.mu.Lock()
	d.closeIntake()
	idle := !d.ran && d.waiting.Load() == 0
	d.signal()
	d.mu.Unlock()
	if idle {
		return nil
	}
	err := ErrReentrant
	if !d.isReentrant(ctx) {
		defer d.remindOf("Shutdown")()
		err = d.await(ctx, d.done)
	}
	if err != nil {
		waiting, running, _ := d.present()
		err = &ShutdownError{Waiting: waiting, Running: running, Err: err}
	}
	return err
}

// await waits until Run has closed a channel or has returned. Otherwise the error is the cause of the
// end of ctx, or ErrStuck.
func (d *Dispatcher[T]) await(ctx context.Context, event <-chan struct{}) (err error) {
	select {
	case <-event:
	case <-d.done:
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-d.stuck:
		err = ErrStuck
	}
	if isClosed(event) || isClosed(d.done) {
		return nil // select picks either
	}
	return err
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// closeIntake requires that mu is held.
func (d *Dispatcher[T]) closeIntake() {
	if !d.closed {
		d.closed = true
		close(d.shut)
	}
}

// now is the present instant of the scheduler.
func (d *Dispatcher[T]) now() int64 { return int64(time.Since(*d.epoch)) }

// instant is the present by a clock that nobody sets. It costs half of time.Now.
func (d *Dispatcher[T]) instant() time.Time { return d.epoch.Add(time.Since(*d.epoch)) }
