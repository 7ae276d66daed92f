package goredis

import (
	"errors"
	"fmt"
)

// Sentinel errors, for [errors.Is].
var (
	// ErrConfig is matched by every [*ConfigError].
	ErrConfig = errors.New("goredis: invalid configuration")

	// ErrSetup is matched by every [*SetupError].
	ErrSetup = errors.New("goredis: wrong setup of Redis or its client")

	// ErrCrossSlot is matched by the error for a request whose limits are in several
	// hash slots of a Redis Cluster.
	ErrCrossSlot = errors.New("goredis: on a Redis Cluster the keys of one request must be in one hash slot: give them one hash tag, as in {bot7}:chat:42")

	// ErrForeign is matched by the error for a limit whose Redis key holds a value that
	// this package can't read.
	ErrForeign = errors.New("goredis: the Redis key holds a value that is not a limit, or was written by another version of this package: choose another Config.Prefix")
)

// ConfigError says which argument of [New], or of a method, is wrong. It matches [ErrConfig].
type ConfigError struct {
	Field  string // as in "ExtraTTL"
	Value  any    // the offending value
	Reason string // what the value must be
}

// Error implements error.
func (e *ConfigError) Error() string {
	return fmt.Sprintf("goredis: %s is %v: %s", e.Field, e.Value, e.Reason)
}

// Is reports whether target is [ErrConfig].
func (e *ConfigError) Is(target error) bool { return target == ErrConfig }

// SetupError is an error that won't fix itself: the client, the server or the rights of
// the Redis user have to be changed. It matches [ErrSetup] and whatever Err matches.
//
// It fails the jobs of a dispatcher. If somebody may be fixing it, as with a wrong password,
// jobs fail only if Redis has never answered or the error has lasted for ten seconds.
// Until then they wait.
type SetupError struct {
	Advice string // what to change
	Err    error  // the error of Redis or its client
}

// Error implements error.
func (e *SetupError) Error() string { return fmt.Sprintf("goredis: %v: %s", e.Err, e.Advice) }

// Is reports whether target is [ErrSetup].
func (e *SetupError) Is(target error) bool { return target == ErrSetup }

// Unwrap returns e.Err.
func (e *SetupError) Unwrap() error { return e.Err }
