package dispatchertest

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/memory"
)

// Backend keeps limits in this process, as [memory.Backend] does, and fails on demand. The zero
// value is ready to use. A Backend must not be copied after first use.
type Backend struct {
	memory.Backend

	failure atomic.Pointer[error] // nil: none
}

// Fail makes all calls return err, like those of a server that can't be reached, until Fail(nil).
// The backend forgets nothing meanwhile.
func (b *Backend) Fail(err error) {
	if err == nil {
		b.failure.Store(nil)
		return
	}
	b.failure.Store(&err)
}

func (b *Backend) err() error {
	if err := b.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// Reserve implements [backend.Backend].
func (b *Backend) Reserve(ctx context.Context, reqs []backend.Request, decisions []backend.Decision) error {
	if err := b.err(); err != nil {
		return err
	}
	return b.Backend.Reserve(ctx, reqs, decisions)
}

// Hold implements [backend.Backend].
func (b *Backend) Hold(ctx context.Context, key string, d time.Duration) error {
	if err := b.err(); err != nil {
		return err
	}
	return b.Backend.Hold(ctx, key, d)
}

// Clear implements [backend.Backend].
func (b *Backend) Clear(ctx context.Context) error {
	if err := b.err(); err != nil {
		return err
	}
	return b.Backend.Clear(ctx)
}

// Release implements [backend.Releaser].
func (b *Backend) Release(ctx context.Context, limits []backend.Limit, token int64) error {
	if err := b.err(); err != nil {
		return err
	}
	return b.Backend.Release(ctx, limits, token)
}

// Traits implements [backend.Backend]. The abilities are those of [memory.Backend], and its Release
// is the one that can fail.
func (b *Backend) Traits() backend.Traits {
	traits := b.Backend.Traits()
	traits.Releaser = b
	return traits
}
