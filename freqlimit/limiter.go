package freqlimit

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/misuse"
	"github.com/freqlimit/dispatcher/internal/roundtrip"
	"github.com/freqlimit/dispatcher/internal/table"
)

// ErrConfig is matched by every [*ConfigError].
var ErrConfig = misuse.ErrConfig

// ConfigError says which argument is wrong. It is the type of the same name in package dispatcher.
// Its fields are:
//
//	Field  string // as in "params"
//	Value  any    // the offending value
//	Reason string // what the value must be
//	Err    error  // a more precise error, or nil
type ConfigError = misuse.ConfigError

// Limiter limits the rate of each key: see the package comment. Make one with [New] and share it.
// Methods with a context return a [*ConfigError] if the limiter is the zero value or the context
// is nil.
//
// All methods are safe for concurrent use.
type Limiter struct {
	backend  backend.Backend
	releaser backend.Releaser // nil if the backend has none
	watcher  backend.Watcher  // nil if the backend has none
	params   gcra.FreqLimitParams
	remote   bool // the backend is in another process

	mu   sync.Mutex // guards what follows, and the lines with their waiters
	keys table.Map[string, *line]
	trip roundtrip.Estimator // round trips to a remote backend

	watching bool   // a watch of the backend has begun or is about to
	stop     func() // ends the watch; nil until it has begun
}

// New returns a limiter that gives every key the same params. The backend b keeps the limits.
//
// It returns a [*ConfigError] if b is nil or the params are invalid.
func New(b backend.Backend, params gcra.FreqLimitParams) (*Limiter, error) {
	if err := misuse.CheckBackend(b); err != nil {
		return nil, err
	}
	if err := cmp.Or(params.Validate(), backend.Check(b, []backend.Limit{{Params: params}})); err != nil {
		return nil, &ConfigError{Field: "params", Value: params, Reason: err.Error(), Err: err}
	}
	t := backend.TraitsOf(b)
	return &Limiter{
		backend: b, params: params, remote: !t.InProcess, releaser: t.Releaser, watcher: t.Watcher,
	}, nil
}

// Params returns the params that every key has.
func (f *Limiter) Params() gcra.FreqLimitParams { return f.params }

// Backend returns the backend that keeps the limits.
func (f *Limiter) Backend() backend.Backend { return f.backend }

// Wait returns nil at the key's next slot, never earlier. The empty key is the
// global bucket, a key like any other.
//
// If ctx ends first, or the backend fails, Wait returns an error that wraps the
// cause, and uses no slot. If the backend charges a slot and fails to answer, that slot is lost;
// it is never given out twice.
func (f *Limiter) Wait(ctx context.Context, key string) error {
	if err := f.check(ctx); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return endError(ctx, "wait")
	}
	w := &waiter{news: make(chan struct{}, 1)}
	l, e := f.join(key, w)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		step, at := f.look(l, e)
		var due <-chan time.Time
		switch step {
		case goOn:
			f.leave(key, l, e)
			return nil
		case askNow:
			if f.remote {
				// Meanwhile it may get the slot of a canceled wait.
				l.asks.Go(func() { f.ask(ctx, key, l, w) })
			} else {
				f.ask(ctx, key, l, w)
			}
			continue
		case giveUp:
			f.cancel(ctx, key, l, e)
			return fmt.Errorf("dispatcher: wait: %w", w.failed)
		case waitUntil:
			timer.Reset(time.Until(at))
			due = timer.C
		}
		select {
		case <-due:
		case <-w.news:
		case <-ctx.Done():
			f.cancel(ctx, key, l, e)
			return endError(ctx, "wait")
		}
	}
}

// endError returns the error of a call whose ctx has ended: it matches the error of
// ctx and its cause.
func endError(ctx context.Context, call string) error {
	if cause := context.Cause(ctx); cause != ctx.Err() {
		return fmt.Errorf("dispatcher: %s: %w: %w", call, ctx.Err(), cause)
	}
	return fmt.Errorf("dispatcher: %s: %w", call, ctx.Err())
}

// Do waits for the key's next slot and calls fn with ctx. It returns the error of fn, or
// the error of [Limiter.Wait] if that fails; then fn is not called. If fn is nil, Do returns a
// [*ConfigError] and uses no slot.
func (f *Limiter) Do(ctx context.Context, key string, fn func(context.Context) error) error {
	if err := f.check(ctx); err != nil {
		return err
	}
	if fn == nil {
		return misuse.Nil("fn")
	}
	if err := f.Wait(ctx, key); err != nil {
		return err
	}
	return fn(ctx)
}

// Clear clears the whole backend: it forgets the debt and the hold of every key, also of keys
// that other limiters and dispatchers use. Waits ask the backend again.
func (f *Limiter) Clear(ctx context.Context) error {
	if err := f.check(ctx); err != nil {
		return err
	}
	if err := f.backend.Clear(ctx); err != nil {
		return fmt.Errorf("dispatcher: clear: %w", err)
	}
	f.askAgain()
	return nil
}

// check returns an error if New has not made the limiter, or if there is no context.
func (f *Limiter) check(ctx context.Context) error {
	switch {
	case f.backend == nil:
		return misuse.Zero("Limiter", "freqlimit.New")
	case ctx == nil:
		return misuse.Nil("ctx")
	}
	return nil
}
