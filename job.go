package dispatcher

import (
	"context"
	"fmt"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// Limit is one rate limit that a job is under: a key, its params and a cost.
type Limit = backend.Limit

// Job is a payload with the key and the limits under which it is handled. Set
// the fields and pass it to [Dispatcher.SubmitJob]; the handler gets it back
// with its methods filled in.
type Job[T any] struct {
	// Key names the lane of the job: jobs of one key and one priority start in
	// the order of submission. Any string will do; the empty one is a key like
	// any other. With Config.Params it is also the key of the limit.
	Key string

	// Payload is what the handler works on. It may be nil where T allows.
	Payload T

	// Limits are the limits that the job is under, each key once. Nil: those
	// that Config.Limits or Config.Params give. Empty but not nil: none. The
	// slice must not be changed once the job has been submitted.
	Limits []Limit

	// Priority goes before Config.Order: of the jobs that may start now, one
	// with a higher Priority starts first. It does not reserve anything, so it
	// costs others no time that this job can't use. Defaults to 0; may be
	// negative.
	Priority int

	// Options are what few jobs need: an ID, dates, a timeout, a policy of their
	// own for retries. They must not be changed once the job has been submitted.
	Options *Options

	epoch           *time.Time // instant 0 of the dispatcher; nil before the job is submitted
	submitted, slot int64      // instants
	attempt         int
	failures        int
}

// noSlot is the slot of a job that has none.
const noSlot = -1

// Attempt returns how many times the job has been started, this time included:
// 1 at first, more after [RetryAfter], [Snooze] and errors that are retried. It is 0
// before.
func (j Job[T]) Attempt() int { return j.attempt }

// Failures returns how many times the handler has failed before: what counts for
// Retry.MaxAttempts.
func (j Job[T]) Failures() int { return j.failures }

// Submitted returns when the job was accepted.
func (j Job[T]) Submitted() time.Time { return j.at(j.submitted) }

// Slot returns the instant from which the job was allowed to start: never later
// than the start of its handler. It is zero if the job did not get one. That of a job
// without limits may be as early as its submission, though it waited for a worker.
func (j Job[T]) Slot() time.Time { return j.at(j.slot) }

func (j *Job[T]) at(instant int64) time.Time {
	if j.epoch == nil || instant == noSlot {
		return time.Time{}
	}
	return j.epoch.Add(time.Duration(instant))
}

// Handler does the work of a job. Its error, or its panic, is the outcome of
// this job alone.
//
// The context has the values of the one that was passed to Submit. It ends
// Config.StopTimeout after Run's, with the same cause; a handler should return soon
// after.
//
// A handler must not wait for what waits for it: see [ErrReentrant].
type Handler[T any] func(ctx context.Context, job Job[T]) error

// Outcome is how a job ended.
type Outcome int

const (
	// Succeeded: the handler returned nil.
	Succeeded Outcome = iota + 1

	// Failed: the handler returned an error, or the backend said that the limits
	// of the job can never be met.
	Failed

	// Panicked: the handler panicked, or called runtime.Goexit.
	Panicked

	// Dropped: Run's context ended before the job started, or before it ran
	// again, or the handler returned the error of its own context, or the cause,
	// when that had ended for the same reason; or the job was dropped by
	// [Dispatcher.Drop].
	Dropped

	// Expired: the job could not start by its Deadline.
	Expired

	// Canceled: the job was canceled through its [Handle], before it started, or
	// before its handler returned an error.
	Canceled
)

// String returns the name of the outcome, in lower case.
func (o Outcome) String() string {
	switch o {
	case Succeeded:
		return "succeeded"
	case Failed:
		return "failed"
	case Panicked:
		return "panicked"
	case Dropped:
		return "dropped"
	case Expired:
		return "expired"
	case Canceled:
		return "canceled"
	}
	return fmt.Sprintf("Outcome(%d)", int(o))
}

// Result is what Events.Done is told of a job.
type Result[T any] struct {
	Job     Job[T]
	Outcome Outcome

	// Err is nil if the job succeeded; what the handler returned, or what the
	// backend has against its limits, if it failed; a [*PanicError] or [ErrGoexit]
	// if it panicked; an error that matches [ErrStopped] or [ErrDropped] if it was
	// dropped, [ErrExpired] if it expired, [ErrCanceled] if it was canceled.
	Err error

	// Started and Ended are when the handler was called, for the last time, and
	// when it returned. Both are zero if the job did not end by its handler.
	Started, Ended time.Time
}

// Lateness returns how long after its slot the handler was called. It is never
// negative, and zero if Started is.
func (r Result[T]) Lateness() time.Duration {
	if r.Started.IsZero() {
		return 0
	}
	return r.Started.Sub(r.Job.Slot())
}
