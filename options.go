package dispatcher

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/freqlimit/dispatcher/internal/schedule"
)

// Options is what few jobs need, for [Job.Options]. The zero value of each field
// does nothing.
type Options struct {
	// ID names the job among all of the dispatcher that wait or run, whatever their
	// keys. A second submission of an ID is refused with a [*DuplicateError], unless
	// it sets Replace. An ID is free again once the job has ended.
	ID string

	// Replace puts the payload into the job that waits with the same ID, in place
	// of its own, instead of being refused: the newest text of a message that is
	// edited over and over. The job keeps its place and all else, its key, limits,
	// priority and other options: those of this submission, a Deadline too, are not
	// looked at. Submit returns nil. A job that runs is left alone: then this one
	// waits behind it, and the next replaces this one's payload. It needs an ID.
	Replace bool

	// NotBefore is the instant before which the job does not start. It takes its
	// place in its key's queue as if it were submitted at that instant: behind the
	// jobs submitted before, in front of those submitted later. Until then it holds
	// up no one.
	NotBefore time.Time

	// Deadline is the latest slot that the job may have. If it can't get one by
	// then it ends as [Expired], and nothing has been charged to its limits. It is
	// for all starts of a job that is retried.
	Deadline time.Time

	// Timeout ends the context of the handler so long after its start, with the
	// cause [context.DeadlineExceeded]. It is for each run of the job.
	Timeout time.Duration

	// Retry is the policy for this job, in place of Config.Retry.
	Retry *Retry
}

func (o *Options) validate() error {
	switch {
	case o == nil:
		return nil
	case o.Replace && o.ID == "":
		return &ConfigError{Field: "Options.Replace", Value: o.Replace, Reason: "needs an ID"}
	case o.Timeout < 0:
		return &ConfigError{Field: "Options.Timeout", Value: o.Timeout, Reason: "must not be negative"}
	case !o.Deadline.IsZero() && o.Deadline.Before(o.NotBefore):
		return &ConfigError{Field: "Options.Deadline", Value: o.Deadline, Reason: "must not be before NotBefore"}
	case o.Retry != nil:
		return o.Retry.validate("Options.Retry")
	}
	return nil
}

// farAway is as good as never, and far enough from the end of time to reckon with.
const farAway = 200 * 365 * 24 * time.Hour

// dates returns the dates in the options, at an instant after an epoch.
func (o *Options) dates(epoch time.Time, now int64) schedule.Dates {
	var dates schedule.Dates
	if o == nil {
		return dates
	}
	if !o.NotBefore.IsZero() {
		if at := int64(min(o.NotBefore.Sub(epoch), farAway)); at > now {
			dates.NotBefore = at
		}
	}
	if left := o.Deadline.Sub(epoch); !o.Deadline.IsZero() && left < farAway {
		dates.Deadline = cmp.Or(int64(left), 1) // 0 is none
	}
	return dates
}

// ErrDuplicate is matched by every [*DuplicateError].
var ErrDuplicate = errors.New("dispatcher: duplicate ID")

// DuplicateError is the error of a submission whose ID is that of a job which waits
// or runs. It matches [ErrDuplicate].
type DuplicateError struct {
	ID string
}

// Error implements error.
func (e *DuplicateError) Error() string {
	return fmt.Sprintf("dispatcher: a job with ID %.100q waits or runs", e.ID)
}

// Is reports whether target is [ErrDuplicate].
func (e *DuplicateError) Is(target error) bool { return target == ErrDuplicate }

// sameID looks for a job with the ID of e. If there is one, it returns an error, or
// puts the payload into that one and returns it. It requires that mu is held.
func (d *Dispatcher[T]) sameID(e *entry[T]) (waits *entry[T], err error) {
	o := e.options()
	old, _ := d.ids.Get(o.ID)
	switch {
	case old == nil, o.Replace && (old.extra.running || old.extra.canceled):
		return nil, nil
	case !o.Replace:
		return nil, &DuplicateError{ID: o.ID}
	}
	old.payload = e.payload
	if h := e.extra.handle; h != nil && old.extra.handle == nil {
		old.extra.handle, h.entry = h, old
	}
	d.replaced++
	return old, nil
}

// claimID requires that mu is held.
func (d *Dispatcher[T]) claimID(e *entry[T]) {
	id := e.options().ID
	if old, ok := d.ids.Get(id); ok {
		e.extra.behind, old.extra.ahead = old, e
	}
	d.ids.Set(id, e)
}

// freeID takes a job that ends from among those with its ID: the latest is in ids, and
// they know their neighbors. It requires that mu is held.
func (d *Dispatcher[T]) freeID(e *entry[T]) {
	id, x := e.options().ID, e.extra
	switch {
	case x.ahead != nil:
		x.ahead.extra.behind = x.behind
	case !d.isLatest(id, e):
		return // it is not among them any more
	case x.behind != nil:
		d.ids.Set(id, x.behind)
	default:
		d.ids.Delete(id)
	}
	if x.behind != nil {
		x.behind.extra.ahead = x.ahead
	}
	x.ahead, x.behind = nil, nil
}

// isLatest reports whether a job is the latest with its ID.
func (d *Dispatcher[T]) isLatest(id string, e *entry[T]) bool {
	latest, _ := d.ids.Get(id)
	return latest == e
}
