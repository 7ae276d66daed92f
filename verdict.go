package dispatcher

import (
	"errors"
	"fmt"
	"time"
)

// RetryAfter returns an error by which a handler says that its job shall run
// again, no sooner than after d: what a server means by "429 Too Many Requests,
// Retry-After". The job goes back to the front of its key, so that nothing
// overtakes it there, and keys are deferred for d, for all who share the backend:
// no job of such a key starts before, and none that is under a limit with that key.
// If keys are given, those are deferred, and the job waits itself; if none are,
// the key of the job. A deferral only extends. Other keys are not held up. While it
// waits, the job holds no worker.
//
// It is not a failure: it does not count for Retry.MaxAttempts, and it is for the
// handler to give up in the end, see [Job.Attempt]. A d of zero or less runs the job
// again at once.
//
// A handler may wrap the error, or join others to it. If its error says more than
// one thing, [Permanent] goes before RetryAfter, and that before [Snooze].
func RetryAfter(d time.Duration, keys ...string) error {
	return &RetryAfterError{Delay: d, Keys: keys}
}

// RetryAfterAll is [RetryAfter] for the keys of all limits that the job is under: for
// a server that does not say which of them it means.
func RetryAfterAll(d time.Duration) error { return &RetryAfterError{Delay: d, All: true} }

// RetryAfterError is what [RetryAfter] and [RetryAfterAll] return.
type RetryAfterError struct {
	Delay time.Duration
	Keys  []string // empty: the key of the job
	All   bool     // the keys of the job's limits, instead
}

// Error implements error.
func (e *RetryAfterError) Error() string {
	return fmt.Sprintf("dispatcher: run again after %v", e.Delay)
}

// keys returns the keys to defer for a job.
func (e *RetryAfterError) keys(key string, limits []Limit) []string {
	if !e.All {
		if len(e.Keys) == 0 {
			return []string{key}
		}
		return e.Keys
	}
	var keys []string
	for _, l := range limits {
		keys = append(keys, l.Key)
	}
	return keys
}

// Snooze returns an error by which a handler says that its job, and no other, shall
// run again after d. Meanwhile it is not in the queue of its key, and holds no
// worker; then it goes before the jobs that were submitted after it. It is not a
// failure: see [RetryAfter]. A d of zero or less runs the job again at once.
func Snooze(d time.Duration) error { return &SnoozeError{Delay: d} }

// SnoozeError is what [Snooze] returns.
type SnoozeError struct {
	Delay time.Duration
}

// Error implements error.
func (e *SnoozeError) Error() string { return fmt.Sprintf("dispatcher: run again after %v", e.Delay) }

// Permanent wraps an error that no other run of the job would mend: it is not
// retried. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &PermanentError{Err: err}
}

// PermanentError is what [Permanent] returns.
type PermanentError struct {
	Err error
}

// Error returns the text of Err.
func (e *PermanentError) Error() string { return e.Err.Error() }

// Unwrap returns e.Err.
func (e *PermanentError) Unwrap() error { return e.Err }

// verdict is what a handler's error asks for.
type verdict struct {
	fate  fate
	delay time.Duration
	after *RetryAfterError // if that is what it was
	fails bool             // it is a failure
}

// judge reads the error of a job's handler.
func judge(err error, retry *Retry, failures int, serial bool) verdict {
	permanent, isPermanent := errors.AsType[*PermanentError](err)
	if isPermanent && permanent != nil {
		return verdict{fails: true}
	}
	if after, ok := errors.AsType[*RetryAfterError](err); ok && after != nil {
		return verdict{fate: fateFirst, delay: after.Delay, after: after}
	}
	if snooze, ok := errors.AsType[*SnoozeError](err); ok && snooze != nil {
		return verdict{fate: fateLater, delay: snooze.Delay}
	}
	v := verdict{fails: true}
	if failures++; retry.worth(failures, err) {
		v.fate, v.delay = fateLater, retry.Delay(failures)
		if serial {
			v.fate = fateHeld
		}
	}
	return v
}
