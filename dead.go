package dispatcher

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/engine"
	"github.com/freqlimit/dispatcher/internal/guard"
)

// DeadJob is a job that its backend keeps although it will not run: it failed, panicked, is
// [Uncertain], or its payload could not be decoded. See [Dispatcher.DeadJobs].
type DeadJob[T any] struct {
	Number int64 // identifies the job among all that the backend has kept
	Job    Job[T]
	Reason string
	DiedAt time.Time

	// Err says why the payload can't be decoded. Job.Payload is zero then. Else it is nil.
	Err error
}

// Info returns the job without its payload.
func (j DeadJob[T]) Info() DeadJobInfo {
	return DeadJobInfo{Number: j.Number, Job: j.Job.Info(), Reason: j.Reason, DiedAt: j.DiedAt}
}

// DeadJobInfo is a [DeadJob] without its payload.
type DeadJobInfo struct {
	Number int64
	Job    JobInfo
	Reason string
	DiedAt time.Time
}

// errNotKept is the error of methods that need a backend that keeps jobs.
var errNotKept = &ConfigError{Field: "backend", Reason: "must keep jobs: see backend.Journal"}

// DeadJobs iterates over the dead jobs in the order of their submission. It reads a few at a time, so it
// needs little memory, and it may miss jobs that die meanwhile. It yields an error if the backend
// fails or doesn't keep jobs, or if ctx ends, and stops.
func (d *Dispatcher[T]) DeadJobs(ctx context.Context) iter.Seq2[DeadJob[T], error] {
	return func(yield func(DeadJob[T], error) bool) {
		if err := d.checkKept(ctx); err != nil {
			yield(DeadJob[T]{}, err)
			return
		}
		jobs := make([]backend.DeadJob, 100)
		for after := int64(0); ; {
			n, err := d.kept.readDead(ctx, after, jobs)
			if err != nil {
				yield(DeadJob[T]{}, fmt.Errorf("dispatcher: dead jobs: %w", err))
				return
			}
			for i := range jobs[:n] {
				if !yield(d.deadJob(&jobs[i]), nil) {
					return
				}
			}
			if n < len(jobs) {
				return
			}
			after = jobs[n-1].Number
		}
	}
}

// EachDead calls f with each dead job without its payload, as [Dispatcher.DeadJobs] does, until f returns false.
func (d *Dispatcher[T]) EachDead(ctx context.Context, f func(DeadJobInfo) bool) error {
	for j, err := range d.DeadJobs(ctx) {
		if err != nil {
			return err
		}
		if !f(j.Info()) {
			return nil
		}
	}
	return nil
}

// Replay makes dead jobs wait again, as if they were submitted now, in the order of the numbers: with
// their limits and options, but with no attempt behind them. It returns how many there were: numbers of jobs that
// aren't dead are ignored.
func (d *Dispatcher[T]) Replay(ctx context.Context, numbers ...int64) (n int, err error) {
	if err := d.checkKept(ctx); err != nil {
		return 0, err
	}
	for _, number := range numbers {
		again, err := d.replay(ctx, number)
		if err != nil {
			return n, fmt.Errorf("dispatcher: replay: %w", err)
		}
		if again {
			n++
		}
	}
	return n, nil
}

func (d *Dispatcher[T]) replay(ctx context.Context, number int64) (bool, error) {
	k := d.kept
	jobs := make([]backend.DeadJob, 1)
	if n, err := k.readDead(ctx, number-1, jobs); err != nil || n == 0 || jobs[0].Number != number {
		return false, err
	}
	j := &jobs[0].KeptJob
	j.Progress, j.Claimed = backend.Progress{}, false
	c, end := d.restore(j)
	if end != nil {
		return false, end.result.Err
	}
	if c == nil {
		// A job of a newer version waits for a process that reads it.
		err := k.write(context.WithoutCancel(ctx), &backend.Changes{Revived: []int64{number}})
		return err == nil, err
	}
	if enters, err := d.enterDead(j, c); err != nil || !enters {
		return false, err
	}
	err := k.write(context.WithoutCancel(ctx), &backend.Changes{Revived: []int64{number}})
	d.engine.Lock()
	defer d.engine.Unlock()
	defer d.engine.Coming(-1)
	if k.writing[number].passed {
		err = nil // Load has read it, so only the answer was lost
	}
	if err == nil {
		d.written(number, nil)
	} else { // it is dead, or revived for the next process
		delete(k.writing, number)
		d.uncount(1)
		if c.entry.hasID() {
			d.freeID(&c.entry)
		}
		err = &JournalError{Op: "replay", Err: err}
	}
	k.written.Broadcast()
	return err == nil, err
}

// enterDead makes room for a dead job that is to wait again. It reports false if another call replays it.
func (d *Dispatcher[T]) enterDead(j *backend.KeptJob, c *kept[T]) (bool, error) {
	k := d.kept
	d.engine.Lock()
	defer d.engine.Unlock()
	switch {
	case d.engine.IsClosed():
		return false, ErrClosed
	case k.writing[j.Number] != nil:
		return false, nil
	}
	k.writing[j.Number] = &pending{job: d.submission(j, c)}
	if c.entry.hasID() {
		d.claimID(&c.entry)
	}
	k.count++
	d.engine.Coming(1)
	return true, nil
}

// submission returns a kept job as the engine gets it.
func (d *Dispatcher[T]) submission(j *backend.KeptJob, c *kept[T]) engine.Submission {
	return engine.Submission{
		Job: &c.entry.sched, Key: j.Key, Limits: j.Limits, Priority: j.Priority, Dates: d.datesOf(j),
	}
}

// enlist passes a kept job to the engine. It requires that the engine is locked.
func (d *Dispatcher[T]) enlist(j *backend.KeptJob, c *kept[T]) {
	if c.entry.hasID() {
		d.claimID(&c.entry)
	}
	d.admit(d.submission(j, c))
}

// DropDead deletes dead jobs. Numbers of jobs that aren't dead are ignored.
func (d *Dispatcher[T]) DropDead(ctx context.Context, numbers ...int64) error {
	if err := d.checkKept(ctx); err != nil {
		return err
	}
	k := d.kept
	var c backend.Changes
	jobs := make([]backend.DeadJob, 1)
	for _, number := range numbers {
		n, err := k.readDead(ctx, number-1, jobs)
		if err != nil {
			return fmt.Errorf("dispatcher: drop dead jobs: %w", err)
		}
		if n == 1 && jobs[0].Number == number {
			c.Ended = append(c.Ended, number)
		}
	}
	if err := k.write(ctx, &c); err != nil {
		return fmt.Errorf("dispatcher: drop dead jobs: %w", err)
	}
	return nil
}

func (d *Dispatcher[T]) checkKept(ctx context.Context) error {
	if err := d.check(ctx); err != nil {
		return err
	}
	if d.kept == nil {
		return errNotKept
	}
	return nil
}

func (k *keeper[T]) readDead(ctx context.Context, after int64, jobs []backend.DeadJob) (n int, err error) {
	err = guard.Call(func() (err error) {
		n, err = k.journal.DeadJobs(ctx, after, jobs)
		return err
	})
	return n, err
}

// deadJob returns a dead job as its user sees it.
func (d *Dispatcher[T]) deadJob(j *backend.DeadJob) DeadJob[T] {
	dead := DeadJob[T]{Number: j.Number, Reason: j.Reason, DiedAt: j.DiedAt}
	if j.Version > d.kept.codec.Version {
		dead.Err = fmt.Errorf("dispatcher: decode payload of version %d: this process reads up to %d", j.Version, d.kept.codec.Version)
	} else {
		dead.Job.Payload, dead.Err = d.kept.codec.decode(j.Payload, j.Version)
	}
	d.fillKept(&dead.Job, &j.KeptJob)
	return dead
}
