package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// RetryAfter returns an error by which a handler says that its job shall run
// again, no sooner than after d: what a server means by "429 Too Many Requests,
// Retry-After", a header that [ParseRetryAfter] reads. The cause, which may be nil, is
// why: the server's answer, say. It is in the text of the error, is logged with it, and
// [errors.Is] and [errors.As] find it.
//
// The job goes back to the front of its key: until it starts again no job of its
// priority or a lower one starts there, and with Config.Serial none at all. And its key
// is held for d. No job of a held key starts, and none that is under a limit with that
// key, in all dispatchers that share the backend: see [backend.Watcher] and
// [backend.Request] for how they hear of it. A hold only extends. Other keys go on; see
// [RetryAfterError.Holding] to hold other keys in place of the job's. While it waits,
// the job holds no worker.
//
// It is not a failure: it does not count for Retry.MaxAttempts. Retry.MaxHolds bounds
// how often a job may be told so. A d of zero or less runs the job again at once.
//
// A key that neither a job nor a limit has may be held, for those to come. The
// dispatcher logs that, once a minute, for it may be misspelled.
//
// A handler may wrap the error, or join others to it. If its error says more than
// one thing, [Permanent] goes before RetryAfter, and that before [Snooze]; what the
// cause says about retries does not count.
func RetryAfter(d time.Duration, cause error) *RetryAfterError {
	return &RetryAfterError{Delay: d, Err: cause}
}

// RetryAfterError is what [RetryAfter] returns.
type RetryAfterError struct {
	Delay  time.Duration
	Keys   []string // to hold
	Limits bool     // hold the keys of the job's limits too
	Err    error    // the cause, or nil
}

// Holding returns a copy of the error that holds these keys, in place of the job's
// own. The job waits for d all the same. Calls add up: each adds its keys.
func (e *RetryAfterError) Holding(keys ...string) *RetryAfterError {
	c := *e
	c.Keys = slices.Concat(e.Keys, keys)
	return &c
}

// HoldingLimits returns a copy of the error that holds the keys of all limits that
// the job is under, for a server that does not say which of them it means. It adds
// them to those of [RetryAfterError.Holding]. For a job without limits it holds the
// job's key.
func (e *RetryAfterError) HoldingLimits() *RetryAfterError {
	c := *e
	c.Limits = true
	return &c
}

// Error implements error.
func (e *RetryAfterError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("dispatcher: retry after %v", e.Delay)
	}
	return fmt.Sprintf("dispatcher: retry after %v: %v", e.Delay, e.Err)
}

// Unwrap returns e.Err.
func (e *RetryAfterError) Unwrap() error { return e.Err }

// HeldKeys returns the keys that the error holds for a job with this key and these
// limits. The caller must not change them.
func (e *RetryAfterError) HeldKeys(key string, limits []Limit) []string {
	keys := e.Keys
	if e.Limits {
		keys = slices.Clone(keys)
		for _, l := range limits {
			if !slices.Contains(keys, l.Key) {
				keys = append(keys, l.Key)
			}
		}
	}
	if len(keys) == 0 {
		return []string{key}
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
func (e *PermanentError) Error() string { return fmt.Sprint(e.Err) }

// Unwrap returns e.Err.
func (e *PermanentError) Unwrap() error { return e.Err }

// verdict is what a handler's error asks for.
type verdict struct {
	fate  fate
	delay time.Duration
	after *RetryAfterError // if that is what it was: the keys are held in any case
	fails bool             // it is a failure

	// The end of the handler's context has cut it off.
	cutOff bool
}

// judge reads the error of a job's handler. If the context of handlers has ended, cut is its cause.
func judge(err error, retry *Retry, failures, holds int, serial bool, cut error) verdict {
	after, ok := errors.AsType[*RetryAfterError](err)
	if !ok {
		after = nil
	}
	if isPermanent(err, after) {
		return verdict{fails: true}
	}
	if after != nil {
		if retry.MaxHolds > 0 && holds >= retry.MaxHolds {
			return verdict{after: after, fails: true}
		}
		return verdict{fate: fateFirst, delay: after.Delay, after: after}
	}
	if snooze, ok := errors.AsType[*SnoozeError](err); ok && snooze != nil {
		return verdict{fate: fateLater, delay: snooze.Delay}
	}
	if cut != nil && (errors.Is(err, context.Canceled) || errors.Is(err, cut)) {
		return verdict{cutOff: true}
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

// isPermanent reports whether an error is permanent for another reason than the
// cause of after, which may be nil: a client may call all its errors permanent, those
// too for which the handler then says RetryAfter.
func isPermanent(err error, after *RetryAfterError) bool {
	permanent, ok := errors.AsType[*PermanentError](err)
	if !ok || permanent == nil {
		return false
	}
	if after == nil {
		return true
	}
	cause, _ := errors.AsType[*PermanentError](after.Err)
	return cause != permanent
}
