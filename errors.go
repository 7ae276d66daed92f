package dispatcher

import (
	"errors"
	"fmt"
)

// Sentinel errors, for [errors.Is].
var (
	// ErrClosed is returned by Submit after Shutdown or the end of Run: the job
	// was not accepted.
	ErrClosed = errors.New("dispatcher: closed")

	// ErrFull is returned by Submit while Config.Capacity jobs wait: the job was
	// not accepted.
	ErrFull = errors.New("dispatcher: full")

	// ErrRunning is returned by a Run that is not the first.
	ErrRunning = errors.New("dispatcher: Run may be called once")

	// ErrStopped is matched by the error of a job that was dropped: its dispatcher
	// stopped before the job could start, or run again, or cut off its handler. The
	// cause of the stop is matched too, and the error that the handler returned last.
	ErrStopped = errors.New("dispatcher: stopped before the job was done")

	// ErrReentrant is matched by the error of a call that would wait for its caller: by a
	// handler, or one of the Events, that waits for its own dispatcher or its own job. It is
	// known by the context, which has to be the caller's or derived from it; with another one
	// the call waits until Run's context has ended and returns [ErrStuck].
	ErrReentrant = errors.New("dispatcher: the call would wait for its caller")

	// ErrStuck is matched by the error of a call that waits for handlers or Events, if they have
	// not returned 5 s after the end of their contexts, which is Config.StopTimeout after that of
	// Run's. Run goes on to wait for them.
	ErrStuck = errors.New("dispatcher: handlers have not returned after the end of their contexts")

	// ErrDropped is the error of a job that was dropped by [Dispatcher.Drop].
	ErrDropped = errors.New("dispatcher: dropped")

	// ErrCanceled is the error of a job that was canceled by [Handle.Cancel], and
	// the cause of the end of its handler's context.
	ErrCanceled = errors.New("dispatcher: canceled")

	// ErrExpired is the error of a job that could not start by its Deadline.
	ErrExpired = errors.New("dispatcher: the deadline of the job has passed")

	// ErrConfig is matched by every [*ConfigError].
	ErrConfig = errors.New("dispatcher: invalid configuration")

	// ErrGoexit is the error of a job whose handler ended its goroutine with
	// [runtime.Goexit], as t.FailNow does in tests.
	ErrGoexit = errors.New("dispatcher: the handler called runtime.Goexit")
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
// [Config] or of [Options] is wrong. It matches [ErrConfig], and whatever Err matches.
type ConfigError struct {
	Field  string // as in "Workers"
	Value  any    // the offending value
	Reason string // what the value must be
	Err    error  // a more precise error, or nil
}

// Error implements error.
func (e *ConfigError) Error() string {
	return fmt.Sprintf("dispatcher: %s is %v: %s", e.Field, e.Value, e.Reason)
}

// Is reports whether target is [ErrConfig].
func (e *ConfigError) Is(target error) bool { return target == ErrConfig }

// Unwrap returns e.Err.
func (e *ConfigError) Unwrap() error { return e.Err }

// FullError is the error of a Submit that found no room. It matches [ErrFull].
type FullError struct {
	Capacity int // Config.Capacity
}

// Error implements error.
func (e *FullError) Error() string {
	return fmt.Sprintf("dispatcher: full: Config.Capacity, %d jobs, are waiting", e.Capacity)
}

// Is reports whether target is [ErrFull].
func (e *FullError) Is(target error) bool { return target == ErrFull }

// HoldsError is the error of a job that has failed because its handler returned a
// [RetryAfter] more often than [Retry] lets it. It unwraps to that.
type HoldsError struct {
	MaxHolds int   // Retry.MaxHolds
	Err      error // what the handler returned last
}

// Error implements error.
func (e *HoldsError) Error() string {
	return fmt.Sprintf("dispatcher: told to retry later more than %d times (Retry.MaxHolds): %v", e.MaxHolds, e.Err)
}

// Unwrap returns e.Err.
func (e *HoldsError) Unwrap() error { return e.Err }

// PanicError is the error of a job whose handler panicked, and of a Submit
// during which Config.Limits did. If the value is an error, it is unwrapped.
type PanicError struct {
	Value any    // what was passed to panic
	Stack []byte // as [runtime/debug.Stack] prints it
}

// Error implements error. It leaves out the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("dispatcher: panic: %v", e.Value) }

// Unwrap returns Value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// StopError is returned by Run when its context has ended. It matches the error of the
// context and its cause.
type StopError struct {
	Dropped int   // jobs that have ended as [Dropped] because of it
	Err     error // the cause of the end of the context

	end error // the error of the context
}

// Error implements error.
func (e *StopError) Error() string {
	return fmt.Sprintf("dispatcher: stopped, %d jobs dropped: %v", e.Dropped, e.Err)
}

// Unwrap returns the cause and the error of the context.
func (e *StopError) Unwrap() []error {
	if e.end == nil {
		return []error{e.Err}
	}
	return []error{e.Err, e.end}
}

// ShutdownError says what is left when Shutdown does not wait for it, and why it doesn't. The
// dispatcher goes on draining; end the context of Run to stop it.
type ShutdownError struct {
	Waiting int   // jobs that have not started
	Running int   // jobs whose handlers have not returned
	Err     error // the cause of the end of Shutdown's context, [ErrReentrant] or [ErrStuck]
}

// Error implements error.
func (e *ShutdownError) Error() string {
	return fmt.Sprintf("dispatcher: shutdown: %d jobs waiting and %d running: %v", e.Waiting, e.Running, e.Err)
}

// Unwrap returns e.Err.
func (e *ShutdownError) Unwrap() error { return e.Err }
