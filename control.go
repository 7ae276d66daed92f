package dispatcher

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/freqlimit/dispatcher/internal/schedule"
)

// Pause lets no job start until Resume. Jobs that run go on. Jobs whose slots have been
// taken ahead of time give these back, as far as the backend can ([backend.Releaser]), and
// wait again in their old places. Deadlines and holds go on. Pause may be called before
// Run. It returns at once: in the moment that the goroutine which schedules needs to
// hear of it, jobs may still start. A Shutdown waits for what is paused.
func (d *Dispatcher[T]) Pause() {
	d.command(func(l *loop[T], now int64) {
		l.sched.Pause()
		l.recallAll(now, func(*entry[T]) bool { return true })
	})
}

// Resume ends what Pause began. What each limit has missed is not made up for.
func (d *Dispatcher[T]) Resume() { d.command(func(l *loop[T], _ int64) { l.sched.Resume() }) }

// PauseKey is [Dispatcher.Pause] for the jobs of one key. Jobs of other keys that are
// under a limit with that key go on: see [Dispatcher.Hold] for those.
func (d *Dispatcher[T]) PauseKey(key string) {
	d.command(func(l *loop[T], now int64) {
		l.sched.PauseKey(now, key)
		l.recallAll(now, func(e *entry[T]) bool { return e.sched.Key() == key })
	})
}

// ResumeKey ends what PauseKey began, and nothing else: a pause of all, or a hold of
// the key, goes on.
func (d *Dispatcher[T]) ResumeKey(key string) {
	d.command(func(l *loop[T], now int64) { l.sched.ResumeKey(now, key) })
}

// SetWorkers changes Config.Workers. If n jobs or more run, they go on, and none starts
// before enough of them have ended. Slots that have been taken ahead of time for more jobs
// than that are given back, as with [Dispatcher.Pause]. It returns at once, as Pause does.
// An n below 1 is a [*ConfigError].
func (d *Dispatcher[T]) SetWorkers(n int) error {
	if d.isZero() {
		return errZero("Dispatcher", "New")
	}
	if n < 1 {
		return &ConfigError{Field: "workers", Value: n, Reason: "must be at least 1"}
	}
	d.command(func(l *loop[T], now int64) {
		l.sched.SetWorkers(now, n)
		l.recallExcess(now)
	})
	return nil
}

// Drop ends the waiting of all jobs of a key, and returns them in the order of their
// submission. Each has ended then as [Dropped] with [ErrDropped]. Jobs that run, or
// whose slots are being taken, go on. None of the others starts any more, and a million
// of them, which take about a second, make no job of another key late.
//
// It waits for the goroutine that schedules and, before Run, for that. The error is
// that of ctx, in which case the jobs are dropped all the same, or ErrClosed once Run
// stops.
func (d *Dispatcher[T]) Drop(ctx context.Context, key string) (iter.Seq[Job[T]], error) {
	if err := d.check(ctx); err != nil {
		return slices.Values([]Job[T]{}), err
	}
	blocks, err := ask(ctx, d, func(l *loop[T], now int64, reply chan<- [][]dropped[T]) {
		l.drops = append(l.drops, dropping[T]{cut: l.sched.Cut(now, key), reply: reply})
	})
	if err != nil {
		return slices.Values([]Job[T]{}), fmt.Errorf("dispatcher: drop: %w", err)
	}
	all := slices.Concat(blocks...)
	slices.SortFunc(all, func(a, b dropped[T]) int { return cmp.Compare(a.number, b.number) })
	return func(yield func(Job[T]) bool) {
		for i := range all {
			if !yield(all[i].job) {
				return
			}
		}
	}, nil
}

// dropping is a Drop that is not over.
type dropping[T any] struct {
	cut   *schedule.Cut
	jobs  [][]dropped[T]
	reply chan<- [][]dropped[T]
}

// dropped is a job that has been dropped.
type dropped[T any] struct {
	number uint64 // of its submission
	job    Job[T]
}

// dropsAtOnce is how many jobs are dropped at a time, so that a million make no start late.
const dropsAtOnce = 128

// dropSome goes on with what Drop has begun.
func (l *loop[T]) dropSome() {
	if len(l.drops) == 0 {
		return
	}
	first := &l.drops[0]
	jobs := make([]dropped[T], 0, dropsAtOnce)
	more := first.cut.Remove(dropsAtOnce, func(j *schedule.Job) {
		e := entryOf[T](j)
		job := l.lastOf(e)
		jobs = append(jobs, dropped[T]{j.Number(), job})
		l.drop(e, job, Dropped, ErrDropped)
	})
	first.jobs = append(first.jobs, jobs)
	if !more {
		first.reply <- first.jobs
		l.drops = slices.Delete(l.drops, 0, 1)
	}
}

// WaitIdle waits until no job waits or runs and Events.Done has returned for each that
// has ended. It returns nil then, or if Run has returned. Else the error is that of ctx.
// More may be submitted meanwhile, by handlers too. It waits for Run, if that has not
// been called.
//
// Handlers and Events get [ErrReentrant] at once if ctx is theirs or derived from it:
// their own job has not ended.
func (d *Dispatcher[T]) WaitIdle(ctx context.Context) error {
	if err := d.check(ctx); err != nil {
		return err
	}
	if d.isReentrant(ctx) {
		return fmt.Errorf("dispatcher: wait: %w", ErrReentrant)
	}
	d.mu.Lock()
	if d.idle == nil {
		d.idle = make(chan struct{})
	}
	idle := d.idle
	if !d.over {
		d.post(func(*loop[T], int64) {}) // so that the loop looks whether it is
	}
	d.mu.Unlock()
	d.signal()
	defer d.remindOf("WaitIdle")()
	if err := d.await(ctx, idle); err != nil {
		return fmt.Errorf("dispatcher: wait: %w", err)
	}
	return nil
}

// tellIdle tells those who wait for it that there is nothing to do, when there is not:
// a handler that has ended may have submitted something before.
func (l *loop[T]) tellIdle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.idle != nil && !l.inbox.hasNews() {
		close(l.idle)
		l.idle = nil
	}
}

// SubmitAll submits jobs one after another, and waits for room where Submit would say
// [ErrFull]; so it never holds more than one of them that has not been accepted. It
// returns how many were accepted. It stops at the first error, which is that of
// [Dispatcher.SubmitJob], or of ctx. Nil jobs are a [*ConfigError].
//
// For handlers and Events it does not wait, if ctx is theirs or derived from it: all
// workers might wait for the room that only they can make. The error matches
// [ErrReentrant] and [ErrFull] then.
func (d *Dispatcher[T]) SubmitAll(ctx context.Context, jobs iter.Seq[Job[T]]) (n int, err error) {
	if err := d.check(ctx); err != nil {
		return 0, err
	}
	if jobs == nil {
		return 0, errNil("jobs")
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
	if d.isReentrant(ctx) {
		return fmt.Errorf("dispatcher: submit: %w: %w", ErrReentrant, err)
	}
	d.wanted.Add(1)
	defer d.wanted.Add(-1)
	// Whoever makes room from here on says so.
	for err = d.SubmitJob(ctx, job); isFull(err); err = d.SubmitJob(ctx, job) {
		select {
		case <-d.room:
		case <-d.shut:
			return ErrClosed
		case <-ctx.Done():
			return fmt.Errorf("dispatcher: submit: %w", context.Cause(ctx))
		}
	}
	if d.waiting.Load() < int64(d.cfg.Capacity) {
		d.tellRoom() // there may be more than one who waits
	}
	return err
}

// leave notes that so many jobs wait no longer.
func (d *Dispatcher[T]) leave(n int) {
	d.waiting.Add(int64(-n))
	if d.wanted.Load() > 0 {
		d.tellRoom()
	}
}

func (d *Dispatcher[T]) tellRoom() {
	select {
	case d.room <- struct{}{}:
	default:
	}
}
