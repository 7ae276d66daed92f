package dispatcher

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/freqlimit/dispatcher/internal/engine"
	"github.com/freqlimit/dispatcher/internal/misuse"
	"github.com/freqlimit/dispatcher/internal/panics"
)

// Sentinel errors, for [errors.Is].
var (
	// ErrClosed is returned by Submit after Shutdown or the end of Run. The job was not
	// accepted.
	ErrClosed = engine.ErrClosed

	// ErrFull is returned by Submit while Config.Capacity jobs are waiting. The job was not
	// accepted.
	ErrFull = errors.New("dispatcher: queue full")

	// ErrRunning is returned by Run if it was called before.
	ErrRunning = engine.ErrRunning

	// ErrStopped is matched by the error of a job that was dropped because its dispatcher
	// stopped before the job could start or run again, or cut off its handler. The error also
	// matches the cause of the stop, and the error that the handler returned last.
	ErrStopped = errors.New("dispatcher: stopped before the job ended")

	// ErrReentrant is matched by the error of a call that would wait for its caller: a
	// handler, or one of the Events, that waits for its own dispatcher or job. The call
	// recognizes its caller by the context, which must be the caller's or derived from it.
	// With another context it waits until Run's context has ended, and returns [ErrStuck].
	ErrReentrant = errors.New("dispatcher: call from a handler or event would wait for itself")

	// ErrStuck is matched by the error of a call that waits for handlers or Events that have
	// not returned 5 s after the handlers' contexts ended. Those end Config.StopTimeout after
	// Run's context. Run still waits for them.
	ErrStuck = engine.ErrStuck

	// ErrDropped is the error of a job that [Dispatcher.Drop] dropped.
	ErrDropped = errors.New("dispatcher: job dropped")

	// ErrCanceled is the error of a job that [Handle.Cancel] canceled, and the cause with
	// which the context of its handler ended.
	ErrCanceled = errors.New("dispatcher: job canceled")

	// ErrExpired is the error of a job that could not start by its Deadline.
	ErrExpired = errors.New("dispatcher: job deadline passed")

	// ErrKept is the error of a job that its backend keeps for the next Run: see [Kept].
	ErrKept = errors.New("dispatcher: stopped, job kept for the next Run")

	// ErrUncertain is the error of a job that may or may not have run: see [Uncertain].
	ErrUncertain = errors.New("dispatcher: job may have run, its process ended")

	// ErrLost is matched by the error of a job whose process ended several times while it had the
	// job. It is not run again, since it may be the cause.
	ErrLost = errors.New("dispatcher: job lost with its process")

	// ErrConfig is matched by every [*ConfigError].
	ErrConfig = misuse.ErrConfig

	// ErrGoexit is the error of a job whose handler ended its goroutine with
	// [runtime.Goexit], as t.FailNow does in tests.
	ErrGoexit = errors.New("dispatcher: handler called runtime.Goexit")

	// ErrDuplicate is matched by every [*DuplicateError].
	ErrDuplicate = errors.New("dispatcher: duplicate job ID")

	// ErrNoStart is returned by [Handle.Estimate] for a job that isn't expected to start: it
	// has ended, is paused, its deadline comes first, or the start is over 100 years away.
	ErrNoStart = errors.New("dispatcher: job is not expected to start")

	// ErrRetryAfter is matched by the errors of [ParseRetryAfter].
	ErrRetryAfter = errors.New("dispatcher: invalid Retry-After: want seconds or an HTTP date")
)

// endError is the error of a job that was dropped or canceled, with what its handler returned last.
// Its parts are looked into when somebody asks for its text, and not by the goroutines of the
// dispatcher: they are values of the user, whose methods may do anything.
type endError struct {
	why     error // ErrStopped or ErrCanceled
	cause   error // of the stop, or nil
	attempt int   // the last one
	err     error // what the handler returned then, or nil
}

// Error implements error.
func (e *endError) Error() string {
	switch {
	case e.cause == nil && errors.Is(e.err, e.why):
		return e.err.Error()
	case e.cause == nil:
		return fmt.Sprintf("%v: %v", e.why, e.err)
	case e.err == nil:
		return fmt.Sprintf("%v: %v", e.why, e.cause)
	}
	return fmt.Sprintf("%v: %v; attempt %d: %v", e.why, e.cause, e.attempt, e.err)
}

// Unwrap returns the errors that the text is made of.
func (e *endError) Unwrap() []error {
	errs := []error{e.why}
	for _, err := range []error{e.cause, e.err} {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// ConfigError says which argument of a function, such as [New], or which field of a
// [Config] or of a [Job] is wrong. It matches [ErrConfig], and whatever Err matches.
// Its fields are:
//
//	Field  string // as in "Workers"
//	Value  any    // the offending value
//	Reason string // what the value must be
//	Err    error  // a more precise error, or nil
type ConfigError = misuse.ConfigError

// FullError is the error of a Submit for which there was no room. It matches [ErrFull].
type FullError struct {
	Capacity int // Config.Capacity
}

// Error implements error.
func (e *FullError) Error() string {
	return fmt.Sprintf("dispatcher: queue full (capacity %d)", e.Capacity)
}

// Is reports whether target is [ErrFull].
func (e *FullError) Is(target error) bool { return target == ErrFull }

// HoldsError is the error of a job that failed because its handler returned [RetryAfter] more
// often than [Retry] allows. It unwraps to the handler's last error.
type HoldsError struct {
	MaxHolds int   // Retry.MaxHolds
	Err      error // what the handler returned last
}

// Error implements error.
func (e *HoldsError) Error() string {
	return fmt.Sprintf("dispatcher: more than %d retry-after responses (Retry.MaxHolds): %v", e.MaxHolds, e.Err)
}

// Unwrap returns e.Err.
func (e *HoldsError) Unwrap() error { return e.Err }

// PanicError is the error of a job whose handler panicked, and of a Submit
// during which Config.Limits did. If the value is an error, Unwrap returns it. Its fields
// are:
//
//	Value any    // what was passed to panic
//	Stack []byte // as [runtime/debug.Stack] prints it
type PanicError = panics.Error

// StopError is returned by Run when its context has ended. It matches the error of the context
// and its cause.
type StopError struct {
	Dropped int   // jobs that have ended as [Dropped] because of it
	Kept    int   // jobs that the backend keeps for the next Run
	Err     error // the cause of the end of the context

	end error // the error of the context
}

// Error implements error.
func (e *StopError) Error() string {
	if e.Kept > 0 {
		return fmt.Sprintf("dispatcher: stopped with %d jobs kept: %v", e.Kept, e.Err)
	}
	return fmt.Sprintf("dispatcher: stopped with %d jobs dropped: %v", e.Dropped, e.Err)
}

// Unwrap returns the cause and the error of the context.
func (e *StopError) Unwrap() []error {
	if e.end == nil {
		return []error{e.Err}
	}
	return []error{e.Err, e.end}
}

// JournalError is the error of a Submit whose job could not be written to the backend. The job was not
// accepted.
type JournalError struct {
	Op  string // what was to be written, as in "submit"
	Err error  // the error of the backend
}

// Error implements error.
func (e *JournalError) Error() string { return fmt.Sprintf("dispatcher: %s: journal: %v", e.Op, e.Err) }

// Unwrap returns e.Err.
func (e *JournalError) Unwrap() error { return e.Err }

// ShutdownError is returned by Shutdown if it doesn't wait for all jobs. It says what is left,
// and why. The dispatcher goes on draining; end the context of Run to stop it.
type ShutdownError struct {
	Waiting int   // jobs that have not started
	Running int   // jobs whose handlers have not returned
	Err     error // the cause of the end of Shutdown's context, [ErrReentrant] or [ErrStuck]
}

// Error implements error.
func (e *ShutdownError) Error() string {
	return fmt.Sprintf("dispatcher: shutdown: %d jobs queued, %d running: %v", e.Waiting, e.Running, e.Err)
}

// Unwrap returns e.Err.
func (e *ShutdownError) Unwrap() error { return e.Err }

// RetryAfterError is returned by [RetryAfter].
type RetryAfterError struct {
	Delay  time.Duration
	Keys   []string // to hold
	Limits bool     // hold the keys of the job's limits too
	Err    error    // the cause, or nil
}

// Holding returns a copy of the error that holds these keys instead of the job's own. The job
// still waits for d. Calls add up: each adds its keys.
func (e *RetryAfterError) Holding(keys ...string) *RetryAfterError {
	c := *e
	c.Keys = slices.Concat(e.Keys, keys)
	return &c
}

// HoldingLimits returns a copy of the error that holds the keys of all the job's limits, for a
// server that doesn't say which limit it means. It adds them to the keys of
// [RetryAfterError.Holding]. For a job without limits it holds the job's key.
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

// HeldKeys returns the keys that the error holds for a job with this key and these limits. The
// caller must not change the result.
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

// SnoozeError is returned by [Snooze].
type SnoozeError struct {
	Delay time.Duration
}

// Error implements error.
func (e *SnoozeError) Error() string { return fmt.Sprintf("dispatcher: run again after %v", e.Delay) }

// PermanentError is returned by [Permanent].
type PermanentError struct {
	Err error
}

// Error returns the text of Err.
func (e *PermanentError) Error() string { return fmt.Sprint(e.Err) }

// Unwrap returns e.Err.
func (e *PermanentError) Unwrap() error { return e.Err }

// DuplicateError is the error of a submission whose ID belongs to a job that is waiting or
// running. It matches [ErrDuplicate].
type DuplicateError struct {
	ID string
}

// Error implements error.
func (e *DuplicateError) Error() string {
	return fmt.Sprintf("dispatcher: duplicate job ID %.100q: already queued or running", e.ID)
}

// Is reports whether target is [ErrDuplicate].
func (e *DuplicateError) Is(target error) bool { return target == ErrDuplicate }
