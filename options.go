package dispatcher

import (
	"cmp"
	"fmt"
	"time"

	"github.com/freqlimit/dispatcher/internal/schedule"
)

// OnDuplicate decides what happens when a job is submitted while another one with the same ID
// is waiting or running.
type OnDuplicate int

const (
	// RejectDuplicate refuses the new job with a [*DuplicateError]. The default.
	RejectDuplicate OnDuplicate = iota

	// ReplacePayload puts the new job's payload into the waiting job, and Submit returns nil:
	// a message that is edited ten times while it waits is sent once. The waiting job keeps
	// everything else: its place, key, limits, priority, dates and Meta. If the other job is
	// already running, the new one is queued as a job of its own, and the payload of a third
	// one replaces the new one's.
	ReplacePayload
)

// String returns the name of the value, in lower case.
func (o OnDuplicate) String() string {
	switch o {
	case RejectDuplicate:
		return "reject"
	case ReplacePayload:
		return "replace payload"
	}
	return fmt.Sprintf("OnDuplicate(%d)", int(o))
}

// options has the fields of a [Job] that few jobs set. Other jobs have no options, and so don't
// pay for the memory.
type options struct {
	id          string
	onDuplicate OnDuplicate
	notBefore   time.Time
	deadline    time.Time
	timeout     time.Duration
	retry       *Retry
	meta        map[string]string
}

// optionsOf returns the options of a job, or nil if it sets none. The error is a [*ConfigError].
func optionsOf[T any](j *Job[T]) (*options, error) {
	if j.ID == "" && j.OnDuplicate == 0 && j.NotBefore.IsZero() && j.Deadline.IsZero() &&
		j.Timeout == 0 && j.Retry == nil && len(j.Meta) == 0 {
		return nil, nil
	}
	o := &options{j.ID, j.OnDuplicate, j.NotBefore, j.Deadline, j.Timeout, j.Retry, j.Meta}
	return o, o.validate()
}

// fillOptions sets the fields of a job from its options, which may be nil.
func fillOptions[T any](j *Job[T], o *options) {
	if o != nil {
		j.ID, j.OnDuplicate = o.id, o.onDuplicate
		j.NotBefore, j.Deadline, j.Timeout = o.notBefore, o.deadline, o.timeout
		j.Retry, j.Meta = o.retry, o.meta
	}
}

func (o *options) validate() error {
	switch {
	case o.onDuplicate < RejectDuplicate || o.onDuplicate > ReplacePayload:
		return &ConfigError{Field: "Job.OnDuplicate", Value: o.onDuplicate, Reason: "must be RejectDuplicate or ReplacePayload"}
	case o.onDuplicate != RejectDuplicate && o.id == "":
		return &ConfigError{Field: "Job.OnDuplicate", Value: o.onDuplicate, Reason: "needs an ID"}
	case o.timeout < 0:
		return &ConfigError{Field: "Job.Timeout", Value: o.timeout, Reason: "must not be negative"}
	case !o.deadline.IsZero() && o.deadline.Before(o.notBefore):
		return &ConfigError{Field: "Job.Deadline", Value: o.deadline, Reason: "must not be before NotBefore"}
	case o.retry != nil:
		return o.retry.validate("Job.Retry")
	}
	return nil
}

// farAway is as good as never, and far enough from the end of time to reckon with.
const farAway = 200 * 365 * 24 * time.Hour

// dates returns the dates in the options, as instants after an epoch, or nil if there are none.
func (o *options) dates(epoch time.Time) *schedule.Dates {
	if o == nil || o.notBefore.IsZero() && o.deadline.IsZero() {
		return nil
	}
	dates := &schedule.Dates{}
	if !o.notBefore.IsZero() {
		if at := int64(min(o.notBefore.Sub(epoch), farAway)); at > 0 {
			dates.NotBefore = at
		}
	}
	if left := o.deadline.Sub(epoch); !o.deadline.IsZero() && left < farAway {
		dates.Deadline = cmp.Or(int64(left), 1) // 0 is none
	}
	return dates
}
