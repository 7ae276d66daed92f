package dispatcher

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/guard"
	"github.com/freqlimit/dispatcher/internal/schedule"
)

// loadAtOnce is how many jobs are read from the journal at a time.
const loadAtOnce = 1000

// mostLosses is how many times a job may be lost with its process before it is dead.
const mostLosses = 3

// Load passes kept jobs to the engine until the context of Run ends: see keeper.
func (o *owner[T]) Load(ctx context.Context) {
	d := o.dispatcher()
	k := d.kept
	jobs := make([]backend.KeptJob, loadAtOnce)
	for d.engine.AwaitResident(ctx, k.most) {
		d.deleteForgotten()
		if d.persist(ctx, "keep settings", d.writeSettings) != nil {
			return // Run is stopping
		}
		if more, err := d.loadSome(ctx, jobs); err != nil {
			return // Run is stopping
		} else if more {
			continue
		}
		select {
		case <-k.wake:
		case <-ctx.Done():
			return
		}
	}
}

// loadSome passes the next jobs to the engine, and reports whether there may be more. jobs is memory for
// them. The error is ctx's.
func (d *Dispatcher[T]) loadSome(ctx context.Context, jobs []backend.KeptJob) (more bool, err error) {
	k := d.kept
	d.engine.Lock()
	all, after, unread := k.isLoaded(), k.loaded, k.unread
	k.reading = !all
	d.engine.Unlock()
	if all {
		return false, nil
	}
	defer func() {
		d.endReading()
		more = more || err == nil && !d.allLoaded()
	}()
	n := 0
	err = d.persist(ctx, "read jobs", func() (err error) {
		n, err = k.journal.Jobs(ctx, after, jobs)
		return err
	})
	if err == nil && n > 0 {
		err = d.pass(ctx, jobs[:n])
	}
	if err == nil && n < len(jobs) {
		d.engine.Lock()
		k.loaded = max(k.loaded, unread) // also if it was dropped meanwhile
		d.engine.Unlock()
	}
	return n == len(jobs), err
}

// endReading passes jobs to the engine that were written while Load was reading, and that it has not
// read.
func (d *Dispatcher[T]) endReading() {
	k := d.kept
	d.engine.Lock()
	defer d.engine.Unlock()
	k.reading = false
	k.forgetDrops()
	var numbers []int64
	for number, p := range k.writing {
		if p.written {
			numbers = append(numbers, number)
		}
	}
	slices.Sort(numbers)
	for _, number := range numbers {
		d.written(number, nil)
	}
}

// allLoaded notes that the journal had no more jobs when it was read, and reports whether all are loaded.
func (d *Dispatcher[T]) allLoaded() bool {
	k := d.kept
	d.engine.Lock()
	defer d.engine.Unlock()
	if k.unread > k.loaded {
		return false
	}
	if !k.isLoaded() {
		k.loadFrom = math.MaxInt64
		d.engine.Coming(-1)
	}
	return true
}

// pass passes jobs that were read from the journal to the engine.
func (d *Dispatcher[T]) pass(ctx context.Context, jobs []backend.KeptJob) error {
	k := d.kept
	var c backend.Changes
	var ends []*keptEnd[T]
	entries := make([]*kept[T], len(jobs))
	for i := range jobs {
		j := &jobs[i]
		e, end := d.restore(j)
		if end != nil {
			c.Died = append(c.Died, backend.Death{Number: j.Number, Reason: end.result.Err.Error(), At: time.Now()})
			ends = append(ends, end)
			continue
		}
		if e == nil {
			continue
		}
		if j.Claimed {
			c.Requeued = append(c.Requeued, backend.Requeue{Number: j.Number, Progress: j.Progress})
		}
		entries[i] = e
	}
	if len(c.Died)+len(c.Requeued) > 0 {
		if err := d.persist(ctx, "note lost jobs", func() error { return k.journal.Write(ctx, &c) }); err != nil {
			return err
		}
	}
	d.engine.Lock()
	for i := range jobs {
		d.passOne(&jobs[i], entries[i])
	}
	for _, end := range ends {
		number := keptOf(end.entry).number
		if t := k.tracked[number]; t != nil {
			delete(k.tracked, number)
			end.entry = &t.entry
		}
		delete(k.replaced, number)
	}
	k.loaded = jobs[len(jobs)-1].Number
	d.uncount(len(ends))
	d.engine.Count(len(ends))
	d.engine.Unlock()
	for _, end := range ends {
		d.engine.Report(func() { d.reportKept(end) })
	}
	return nil
}

// passOne passes one job to the engine. It requires that the engine is locked.
func (d *Dispatcher[T]) passOne(j *backend.KeptJob, c *kept[T]) {
	k := d.kept
	if _, not := k.forgotten[j.Number]; not || c == nil || j.Number < k.dropping[j.Key] {
		return
	}
	if p := k.writing[j.Number]; p != nil {
		p.passed = true
		d.admit(p.job)
		return
	}
	d.passed(j, c)
}

func (d *Dispatcher[T]) passed(j *backend.KeptJob, c *kept[T]) {
	k := d.kept
	if p, ok := k.replaced[j.Number]; ok {
		delete(k.replaced, j.Number)
		c.entry.payload = p
	}
	if t := k.tracked[j.Number]; t != nil {
		delete(k.tracked, j.Number)
		c.entry.more().handle, t.entry.extra.handle.entry = t.entry.extra.handle, &c.entry
		c.entry.extra.tracked, c.entry.extra.canceled = true, t.entry.extra.canceled
	}
	d.enlist(j, c)
}

// datesOf returns the dates of a kept job. One that waits to run again may not start before.
func (d *Dispatcher[T]) datesOf(j *backend.KeptJob) *schedule.Dates {
	o := &options{notBefore: j.NotBefore, deadline: j.Deadline}
	if j.RetryAt.After(o.notBefore) {
		o.notBefore = j.RetryAt
	}
	return o.dates(*d.engine.Epoch())
}

// restore returns the job that the journal keeps, or its end, if it will not run, or neither, if it waits for a process
// that reads newer versions.
func (d *Dispatcher[T]) restore(j *backend.KeptJob) (*kept[T], *keptEnd[T]) {
	k := d.kept
	if j.Version > k.codec.Version {
		return nil, nil
	}
	payload, err := k.codec.decode(j.Payload, j.Version)
	c := &kept[T]{number: j.Number, submitted: d.instant(j.Submitted)}
	c.entry.payload = payload
	o := keptOptions(j)
	if o.id != "" || !o.notBefore.IsZero() || !o.deadline.IsZero() || o.timeout > 0 || o.retry != nil || len(o.meta) > 0 {
		x := c.entry.more()
		x.options, x.tracked = o, o.id != ""
	}
	outcome := Outcome(0)
	if err != nil {
		outcome = Failed
	} else if j.Claimed {
		j.Losses++
		switch {
		case d.cfg.AtMostOnce:
			outcome, err = Uncertain, ErrUncertain
		case j.Losses >= mostLosses:
			outcome, err = Failed, fmt.Errorf("%w %d times", ErrLost, j.Losses)
		}
	}
	if p := j.Progress; p.Attempts+p.Failures+p.Holds > 0 || p.LastError != "" {
		x := c.entry.more()
		x.attempt, x.failures, x.holds = p.Attempts, p.Failures, p.Holds
		if p.LastError != "" {
			x.err = keptError(p.LastError)
		}
	}
	c.losses = j.Losses
	if outcome == 0 {
		return c, nil
	}
	r := Result[T]{Outcome: outcome, Err: err}
	r.Job.Payload = payload
	d.fillKept(&r.Job, j)
	return nil, &keptEnd[T]{entry: &c.entry, result: r}
}

// fillKept sets the fields of a job from what the journal keeps, except the payload.
func (d *Dispatcher[T]) fillKept(job *Job[T], j *backend.KeptJob) {
	job.Key, job.Priority, job.Limits = j.Key, j.Priority, j.Limits
	job.epoch, job.submitted, job.slot = d.engine.Epoch(), d.instant(j.Submitted), noSlot
	job.attempt, job.failures = j.Attempts, j.Failures
	fillOptions(job, keptOptions(j))
}

// instant returns a time as an instant of the engine.
func (d *Dispatcher[T]) instant(at time.Time) int64 { return int64(at.Sub(*d.engine.Epoch())) }

// keptOptions returns the options of a kept job, which may all be zero.
func keptOptions(j *backend.KeptJob) *options {
	o := &options{id: j.ID, notBefore: j.NotBefore, deadline: j.Deadline, timeout: j.Timeout, meta: j.Meta}
	if r := j.Retry; r != nil {
		o.retry = &Retry{
			MaxAttempts: r.MaxAttempts, MaxHolds: r.MaxHolds, Initial: r.Initial, Max: r.Max,
			Multiplier: r.Multiplier, Jitter: r.Jitter,
		}
	}
	return o
}

// keptError is an error of which a journal has kept the text.
type keptError string

func (e keptError) Error() string { return string(e) }

// persist calls f until it returns no error, with pauses between the calls. It gives up when ctx ends. The
// Logger gets the first error.
func (d *Dispatcher[T]) persist(ctx context.Context, what string, f func() error) error {
	delay := firstPersist
	for failures := 0; ; failures++ {
		err := guard.Call(f)
		if err == nil {
			if failures > 0 {
				d.engine.Log(slog.LevelInfo, "dispatcher: journal recovered", slog.String("call", what), slog.Int("failures", failures))
			}
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if failures == 0 {
			d.engine.Log(slog.LevelWarn, "dispatcher: journal unavailable, trying again", slog.String("call", what), slog.Any("error", err))
		}
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return ctx.Err()
		}
		delay = min(2*delay, lastPersist)
	}
}

// After an error of the journal, the pause before the next call doubles from firstPersist to lastPersist.
const (
	firstPersist = 10 * time.Millisecond
	lastPersist  = 500 * time.Millisecond
)
