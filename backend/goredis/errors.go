package goredis

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Sentinel errors, for [errors.Is].
var (
	// ErrConfig is matched by every [*ConfigError].
	ErrConfig = errors.New("goredis: invalid configuration")

	// ErrSetup is matched by every [*SetupError].
	ErrSetup = errors.New("goredis: Redis is not set up for this")

	// ErrCrossSlot is matched by the error for a request whose limits lie in
	// several hash slots of a Redis Cluster.
	ErrCrossSlot = errors.New("goredis: on a Redis Cluster the keys of one request must be in one hash slot: give them one hash tag, as in {bot7}:chat:42")

	// ErrForeign is matched by the error for a limit whose Redis key holds
	// something else.
	ErrForeign = errors.New("goredis: the Redis key holds something else, or what another version of this package has written: choose another Config.Prefix")
)

// ConfigError says which argument of [New] is wrong. It matches [ErrConfig].
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

// SetupError is a refusal of Redis that does not go away by itself. It matches
// [ErrSetup] and whatever Err matches.
//
// It is final: a dispatcher ends the jobs with it. One about the user or the
// password is final if Redis has never answered or has said so for ten seconds:
// what worked before may be mended soon, as when a password is changed.
type SetupError struct {
	Advice string // what to change
	Err    error  // what Redis said

	rights bool // it is about the user's rights, which may be mended soon
}

// Error implements error.
func (e *SetupError) Error() string { return fmt.Sprintf("goredis: %v: %s", e.Err, e.Advice) }

// Is reports whether target is [ErrSetup].
func (e *SetupError) Is(target error) bool { return target == ErrSetup }

// Unwrap returns e.Err.
func (e *SetupError) Unwrap() error { return e.Err }

// setups are the beginnings of the errors that are SetupErrors, with the advice.
// All others are taken to pass: LOADING, READONLY, OOM, CLUSTERDOWN and so on.
var setups = []struct{ prefix, advice string }{
	{"NOPERM", "give the Redis user the commands EVALSHA, EVAL, TIME, MGET, EXISTS and SET on the prefix of the limits"},
	{"NOAUTH", "set Username and Password of the client"},
	{"WRONGPASS", "set Username and Password of the client"},
	{"ERR unknown command", "use a server that has Lua scripts, and does not rename or disable EVALSHA, EVAL, TIME, MGET, EXISTS and SET"},
	{"ERR no such library", "use a server whose Lua scripts have the library struct"},
	{"ERR DB index is out of range", "set DB of the client to a database that the server has"},
	{"ERR SELECT is not allowed in cluster mode", "set DB of the client to 0"},
	{"MOVED", "the server belongs to a Redis Cluster: use a cluster client"},
	{"CROSSSLOT", "the server belongs to a Redis Cluster: use a cluster client, and one hash tag for the keys of a request"},
	{"ERR This instance has cluster support disabled", "the server belongs to no Redis Cluster: use a client for a single server"},
}

// setupError returns err as a *SetupError if it is one, else nil.
func (b *Backend) setupError(err error) error {
	var said redis.Error
	if !errors.As(err, &said) {
		return nil
	}
	// What a command inside a script says comes with words around it.
	text := said.Error()
	inner := text
	if _, after, ok := strings.Cut(text, "can't run this command"); ok {
		inner = "NOPERM" + after
	} else if strings.Contains(text, "Unknown Redis command called from") {
		inner = "ERR unknown command"
	} else if strings.Contains(text, "nonexistent global variable") {
		inner = "ERR no such library"
	}
	for _, s := range setups {
		if s.prefix == "MOVED" && b.cluster {
			continue // the nodes do not agree yet who has the slot
		}
		if redis.HasErrorPrefix(err, s.prefix) || strings.HasPrefix(inner, s.prefix) {
			rights := s.prefix == "NOPERM" || s.prefix == "NOAUTH" || s.prefix == "WRONGPASS"
			return &SetupError{Advice: s.advice, Err: err, rights: rights}
		}
	}
	return nil
}

// setupPatience is how long a refusal is taken to pass if there were answers before.
const setupPatience = 10 * time.Second

// setup tells which refusals are final.
type setup struct {
	answered bool
	since    int64 // when the refusals began, nanoseconds; 0: the last was an answer
}

// lasts takes in what came of a call at an instant, and reports whether it is a
// [*SetupError] that is final.
func (s *setup) lasts(err error, now int64) bool {
	if err == nil {
		s.answered, s.since = true, 0
		return false
	}
	refusal, ok := errors.AsType[*SetupError](err)
	if !ok || !refusal.rights {
		return ok
	}
	if s.since == 0 {
		s.since = max(now, 1)
	}
	return !s.answered || now-s.since >= int64(setupPatience)
}
