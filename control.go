package dispatcher

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/freqlimit/dispatcher/internal/blocks"
	"github.com/freqlimit/dispatcher/internal/misuse"
	"github.com/freqlimit/dispatcher/internal/schedule"
)

// Pause starts no more jobs until Resume. Running jobs go on. Jobs whose slots were taken
// ahead of time give them back, if the backend has a [backend.Releaser], and wait again in
// their old places. Deadlines pass and holds end as usual. Pause may be called before Run. It
// returns at once: until the scheduling goroutine learns of it, jobs may still start. Shutdown
// waits for paused jobs.
func (d *Dispatcher[T]) Pause() {
	if !d.isZero() {
		d.engine.Pause()
		d.set(settingPaused, []byte{1})
	}
}

// Resume ends a Pause. It doesn't make up for what limits have missed.
func (d *Dispatcher[T]) Resume() {
	if !d.isZero() {
		d.engine.Resume()
		d.set(settingPaused, nil)
	}
}

// PauseKey is [Dispatcher.Pause] for the jobs of one key. Jobs of other keys under a limit
// with that key go on: see [Dispatcher.Hold] for those.
func (d *Dispatcher[T]) PauseKey(key string) {
	if !d.isZero() {
		d.engine.PauseKey(key)
		d.set(settingPausedKey+key, []byte{1})
	}
}

// ResumeKey ends a PauseKey. It doesn't end a Pause or a hold of the key.
func (d *Dispatcher[T]) ResumeKey(key string) {
	if !d.isZero() {
		d.engine.ResumeKey(key)
		d.set(settingPausedKey+key, nil)
	}
}

// SetWorkers changes Config.Workers. If n or more jobs are running, they go on, and no job
// starts until fewer than n are running. Slots that were taken ahead of time for too many jobs
// are given back, as in [Dispatcher.Pause]. SetWorkers returns at once, as Pause does. An n
// below 1 is a [*ConfigError].
func (d *Dispatcher[T]) SetWorkers(n int) error {
	if d.isZero() {
		return misuse.Zero("Dispatcher", "New")
	}
	if n < 1 {
		return &ConfigError{Field: "workers", Value: n, Reason: "must be at least 1"}
	}
	d.engine.SetWorkers(n)
	return nil
}

// Drop ends all waiting jobs of a key, and returns them in the order of their submission. They
// have ended as [Dropped] with [ErrDropped], and never start. Jobs that run, or whose slots
// are being taken, go on. Dropping a million jobs takes about a second, and delays no job of
// another key.
//
// Drop waits for the scheduling goroutine, and before Run is called, for Run. If ctx ends
// first, the error matches its cause, and the jobs are still dropped. Once Run stops it
// returns [ErrClosed].
func (d *Dispatcher[T]) Drop(ctx context.Context, key string) ([]Job[T], error) {
	if err := d.check(ctx); err != nil {
		return nil, err
	}
	type dropped struct {
		number uint64 // of its submission
		job    Job[T]
	}
	var left keptRange // jobs that are left to Load
	if d.kept != nil {
		left = d.markDropped(key)
		defer d.unmarkDropped()
	}
	var found blocks.List[dropped] // so that the loop, which adds to it, copies no million of jobs
	err := d.engine.Drop(ctx, key, func(j *schedule.Job) {
		r := &Result[T]{Outcome: Dropped, Err: ErrDropped}
		d.endWaiting(entryOf[T](j), r)
		found.Add(dropped{j.Number(), r.Job})
	})
	var unloaded []Job[T]
	if err == nil && d.kept != nil {
		unloaded, err = d.dropUnloaded(ctx, key, left)
	}
	if err != nil {
		return nil, fmt.Errorf("dispatcher: drop: %w", err)
	}
	all := slices.Concat(found.Drain(nil)...)
	slices.SortFunc(all, func(a, b dropped) int { return cmp.Compare(a.number, b.number) })
	jobs := make([]Job[T], len(all))
	for i := range all {
		jobs[i] = all[i].job
	}
	return append(jobs, unloaded...), nil
}

// WaitIdle waits until no job waits or runs and Events.Done has returned for each job that has
// ended. It returns nil then, or when Run has returned. If ctx ends first, the error matches
// its cause. Jobs may be submitted meanwhile, also by handlers. If Run has not been called,
// WaitIdle waits for it.
//
// Handlers and Events get [ErrReentrant] at once if ctx is theirs or derived from it, because
// their own job has not ended.
func (d *Dispatcher[T]) WaitIdle(ctx context.Context) error {
	if err := d.check(ctx); err != nil {
		return err
	}
	if d.engine.IsReentrant(ctx) {
		return fmt.Errorf("dispatcher: wait: %w", ErrReentrant)
	}
	if err := d.engine.AwaitIdle(ctx); err != nil {
		return fmt.Errorf("dispatcher: wait: %w", err)
	}
	return nil
}

// SubmitAll submits jobs one after another, and waits for room where Submit would return
// [ErrFull]. So it never holds more than one job that has not been accepted, or a thousand if the
// backend keeps jobs, which are written together. It returns how many were accepted. It stops at the first error of [Dispatcher.SubmitJob], or when ctx ends.
// If jobs is nil, it returns a [*ConfigError].
//
// Handlers and Events don't wait for room if ctx is theirs or derived from it, because all
// workers might wait for the room that only they can make. The error then matches
// [ErrReentrant] and [ErrFull].
func (d *Dispatcher[T]) SubmitAll(ctx context.Context, jobs iter.Seq[Job[T]]) (n int, err error) {
	if err := d.check(ctx); err != nil {
		return 0, err
	}
	if jobs == nil {
		return 0, misuse.Nil("jobs")
	}
	if d.kept != nil {
		return d.keepAll(ctx, jobs)
	}
	for job := range jobs {
		if err := d.submitWhenRoom(ctx, job); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func (d *Dispatcher[T]) submitWhenRoom(ctx context.Context, job Job[T]) error {
	err := d.SubmitJob(ctx, job)
	if !isFull(err) {
		return err
	}
	if d.engine.IsReentrant(ctx) {
		return fmt.Errorf("dispatcher: submit: %w: %w", ErrReentrant, err)
	}
	return d.engine.WithRoom(ctx, func() (full bool, err error) {
		err = d.SubmitJob(ctx, job)
		return isFull(err), err
	})
}
