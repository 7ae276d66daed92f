package dispatcher

import (
	"context"
	"fmt"
	"time"
	"unsafe"

	"github.com/freqlimit/dispatcher/backend"
)

// Limit is one rate limit that a job is under: a key, its params and a cost.
type Limit = backend.Limit

// NoLimits is the value of [Job.Limits] for a job under no limits, even if Config.Limits or
// Config.Params would give it some. It is an empty slice that is recognized by its identity:
// a copy made by slices.Clone is an ordinary empty slice. Appending to NoLimits makes an
// ordinary slice too.
var NoLimits = noLimits[:0:0]

// noLimits is what NoLimits points to. It holds nothing that could be changed.
var noLimits [1]Limit

// isNoLimits reports whether a slice is NoLimits.
func isNoLimits(limits []Limit) bool {
	return len(limits) == 0 && unsafe.SliceData(limits) == &noLimits[0]
}

// Job is a payload with a key, limits and whatever else decides when and how it runs. Most
// jobs need only a Key and a Payload; the zero value of any other field does nothing. Set the
// fields and pass the Job to [Dispatcher.SubmitJob]. The handler gets it back with the limits
// that apply and with its methods filled in.
type Job[T any] struct {
	// Key decides the order: jobs with the same key and priority start in the order of
	// submission. It may be any string; the empty one is a key like any other. With
	// Config.Params it is also the key of the limit.
	Key string

	// Payload is the data for the handler. It may be nil if T allows that.
	Payload T

	// Limits are the limits that the job is under, each key once. If they are empty,
	// Config.Limits or Config.Params decides; [NoLimits] means none at all. The slice must not
	// be changed after submission.
	Limits []Limit

	// Priority comes before Config.Order: of the jobs that could start now, the one with the
	// highest Priority starts first. It reserves nothing, so a job that has to wait for a
	// limit costs the others no time. Defaults to 0. It may be negative.
	Priority int

	// ID identifies the job among all that are waiting or running, whatever their keys. An ID
	// is free again once its job has ended. Any number of jobs may have the empty ID.
	ID string

	// OnDuplicate decides what happens if a job with the same ID is waiting or running.
	// Defaults to RejectDuplicate: Submit returns a [*DuplicateError]. Other values need an ID.
	OnDuplicate OnDuplicate

	// NotBefore is the earliest time at which the job may start. The job takes its place in
	// its key's queue as if it were submitted at that time: behind the jobs submitted earlier,
	// ahead of those submitted later. Until then it holds up no other job. The zero time, or
	// one in the past, means now.
	NotBefore time.Time

	// Deadline is the latest slot that the job may have. If the job can't get a slot by then,
	// it ends as [Expired], and its limits are not charged. If the job is retried, the
	// Deadline applies to each start. It must not be before NotBefore. The zero time means no
	// deadline.
	Deadline time.Time

	// Timeout ends the handler's context this long after each start, with the cause
	// [context.DeadlineExceeded]. Defaults to 0: no timeout.
	Timeout time.Duration

	// Retry replaces Config.Retry for this job. Nil means Config.Retry. What it points to must
	// not be changed after submission.
	Retry *Retry

	// Meta holds data about the job for the handler and Events, such as a tenant or a trace
	// context. The dispatcher doesn't use it. The map must not be changed after submission,
	// not even by the handler.
	Meta map[string]string

	epoch           *time.Time // instant 0 of the dispatcher; nil before the job is submitted
	submitted, slot int64      // instants
	attempt         int
	failures        int
}

// noSlot is the slot of a job that has none.
const noSlot = -1

// Attempt returns how many times the job has been started, including this time: 1 at first,
// more after [RetryAfter], [Snooze] and errors that are retried. It is 0 before the first
// start.
func (j Job[T]) Attempt() int { return j.attempt }

// Failures returns how many times the handler has failed before. Retry.MaxAttempts counts
// these.
func (j Job[T]) Failures() int { return j.failures }

// Submitted returns when the job was accepted.
func (j Job[T]) Submitted() time.Time { return j.at(j.submitted) }

// Slot returns the instant from which the job was allowed to start. Its handler never starts
// earlier. It is zero if the job did not get a slot. The slot of a job without limits may be
// as early as its submission, even if the job waited for a worker.
func (j Job[T]) Slot() time.Time { return j.at(j.slot) }

func (j *Job[T]) at(instant int64) time.Time {
	if j.epoch == nil || instant == noSlot {
		return time.Time{}
	}
	return j.epoch.Add(time.Duration(instant))
}

// Handler does a job. Its error or panic is the outcome of this job alone.
//
// The context carries the values of the context that was passed to Submit. It ends
// Config.StopTimeout after Run's context, with the same cause. A handler should return soon
// after.
//
// A handler must not wait for something that waits for it: see [ErrReentrant].
type Handler[T any] func(ctx context.Context, job Job[T]) error

// Outcome is how a job ended.
type Outcome int

const (
	// Succeeded: the handler returned nil.
	Succeeded Outcome = iota + 1

	// Failed: the handler returned an error, or the limits of the job can never be met.
	Failed

	// Panicked: the handler panicked, or called runtime.Goexit.
	Panicked

	// Dropped: Run's context ended before the job could start or run again; or the handler's
	// context ended because of that, and the handler returned its error or cause; or
	// [Dispatcher.Drop] was called.
	Dropped

	// Expired: the job could not start by its Deadline.
	Expired

	// Canceled: the job was canceled through its [Handle], before it started, or
	// before its handler returned an error.
	Canceled

	// Uncertain: the process that had the job ended, so it may or may not have run, and
	// Config.AtMostOnce forbids to run it again.
	Uncertain

	// Kept: the dispatcher stopped before the job ended, and its backend keeps the job: the
	// next Run goes on with it. Only a [Handle] has this outcome; it is not reported to Events.
	Kept
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
	case Uncertain:
		return "uncertain"
	case Kept:
		return "kept"
	}
	return fmt.Sprintf("Outcome(%d)", int(o))
}

// Result says how a job ended. Events.Done and [Handle.Wait] get it.
type Result[T any] struct {
	Job     Job[T]
	Outcome Outcome

	// Err is nil if the job succeeded. If it failed, Err is the handler's error, or says why
	// its limits can't be met. If it panicked, Err is a [*PanicError] or [ErrGoexit].
	// Otherwise it matches [ErrStopped] or [ErrDropped] if the job was dropped, [ErrExpired]
	// if it expired, and [ErrCanceled] if it was canceled.
	Err error

	// Started and Ended are the times at which the handler was last called and returned. Both
	// are zero if the job ended without its handler.
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
