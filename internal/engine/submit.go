package engine

import (
	"context"
	"fmt"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/schedule"
)

// Submission is a job that the scheduler doesn't have yet.
type Submission struct {
	Job      *schedule.Job
	Key      string
	Limits   []backend.Limit // nil: the limit of Config.Params, if any; empty: none
	Priority int
	Dates    *schedule.Dates // nil: none
}

// Submit accepts a job, and reports whether there was room for it. Its Arrival is when it was submitted; it
// becomes no earlier than those before it, though others may have read the clock later and come
// sooner. It requires that the engine is locked.
func (e *Engine) Submit(s Submission) (room bool) {
	if !e.enter() {
		return false
	}
	if !e.ran {
		e.remindOfJobs()
	}
	e.pass(s)
	return true
}

// pass passes a job that has entered to the loop. It requires that mu is held.
func (e *Engine) pass(s Submission) {
	e.fastIntake.open.Store(false)
	e.submitted++
	s.Job.Arrival = e.stamp(s.Job.Arrival)
	e.inbox.submitted.Add(s)
	e.signal()
}

// IsClosed reports whether jobs are no longer accepted. It requires that the engine is locked.
func (e *Engine) IsClosed() bool { return e.closed }

// stamp returns at, or the latest instant of an earlier submission if that is later. It requires that
// mu is held.
func (e *Engine) stamp(at int64) int64 {
	e.latest = max(e.latest, at)
	return e.latest
}

// enter counts one more waiting job, if there is room.
func (e *Engine) enter() (room bool) {
	if e.waiting.Add(1) > int64(e.cfg.Capacity) {
		e.waiting.Add(-1)
		return false
	}
	return true
}

// leave notes that n jobs wait no longer.
func (e *Engine) leave(n int) {
	e.waiting.Add(int64(-n))
	if e.wanted.Load() > 0 {
		e.TellRoom()
		offer(e.loadRoom)
	}
}

// TellRoom wakes a caller of WithRoom.
func (e *Engine) TellRoom() { offer(e.room) }

// offer puts a token into a channel unless it holds one.
func offer(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// WithRoom calls submit until it doesn't find the queue full, and waits for room between calls. It
// returns the error of submit, ErrClosed, or an error that wraps the cause of ctx.
func (e *Engine) WithRoom(ctx context.Context, submit func() (full bool, err error)) error {
	e.wanted.Add(1)
	defer e.wanted.Add(-1)
	// From here on, leave signals room.
	full, err := submit()
	for ; full; full, err = submit() {
		select {
		case <-e.room:
		case <-e.intakeClosed:
			return ErrClosed
		case <-ctx.Done():
			return fmt.Errorf("dispatcher: submit: %w", context.Cause(ctx))
		}
	}
	if e.waiting.Load() < int64(e.cfg.Capacity) {
		e.TellRoom() // more than one caller may be waiting
	}
	return err
}
