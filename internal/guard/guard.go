// Package guard calls a backend safely. A panic of the backend becomes an error, and cleaning up after
// a call may outlive the caller's context for a bounded time.
package guard

import (
	"context"
	"errors"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/panics"
)

// Another program may use a limit at a shorter interval. Each of its events, measured in the longer
// interval of this program, puts this program's slot off, so it would never get one. Once this program
// has waited for Patience intervals, it may take a slot up to MaxAhead ahead. The other program then
// waits that long, and so does a worker here.
const (
	Patience = 3
	MaxAhead = 10 * time.Second
)

// ErrGoexit is the error of a call in which the backend called runtime.Goexit.
var ErrGoexit = errors.New("dispatcher: backend called runtime.Goexit")

// Reserve calls b.Reserve. It returns a panic of the backend as an error.
func Reserve(ctx context.Context, b backend.Backend, requests []backend.Request, decisions []backend.Decision) (err error) {
	defer panics.Catch(&err)
	return b.Reserve(ctx, requests, decisions)
}

// Call calls f, which calls another method of a backend. It returns a panic as an error.
func Call(f func() error) (err error) {
	defer panics.Catch(&err)
	return f()
}

// CleanupTimeout is how long cleaning up may take after the end of a caller's context.
const CleanupTimeout = time.Second

// CleanupContext returns a context for calls that others depend on, such as giving slots back. It has
// the values of ctx, but ends after CleanupTimeout, even if ctx has ended before.
func CleanupContext(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), CleanupTimeout)
}
