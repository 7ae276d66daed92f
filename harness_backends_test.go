package dispatcher_test

import (
	"context"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/memory"
)

// remote is a backend as if behind a network: it is not in process, gives
// nothing back and takes its time.
type remote struct {
	inner *memory.Backend
	trip  time.Duration // there and back
	deaf  bool          // does not mind its ctx

	// fault, if not nil, is called before each Reserve and may fail it.
	fault func(ctx context.Context) error

	// change, if not nil, may change what Reserve answers.
	change func(reqs []backend.Request, ds []backend.Decision)
}

func (r *remote) Reserve(ctx context.Context, reqs []backend.Request, ds []backend.Decision) error {
	if err := r.travel(ctx); err != nil {
		return err
	}
	if r.fault != nil {
		if err := r.fault(ctx); err != nil {
			return err
		}
	}
	if err := r.inner.Reserve(ctx, reqs, ds); err != nil {
		return err
	}
	if r.change != nil {
		r.change(reqs, ds)
	}
	return r.travel(ctx)
}

func (r *remote) Hold(ctx context.Context, key string, d time.Duration) error {
	if err := r.travel(ctx); err != nil {
		return err
	}
	if err := r.inner.Hold(ctx, key, d); err != nil {
		return err
	}
	return r.travel(ctx)
}

func (r *remote) Traits() backend.Traits { return backend.Traits{} }

func (r *remote) Clear(ctx context.Context) error { return r.inner.Clear(ctx) }

// travel takes half the time of a trip.
func (r *remote) travel(ctx context.Context) error {
	if r.deaf {
		ctx = context.Background()
	}
	if r.trip == 0 {
		return ctx.Err()
	}
	select {
	case <-time.After(r.trip / 2):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// giver is a remote backend that takes slots back.
type giver struct{ remote }

func (g *giver) Release(ctx context.Context, limits []backend.Limit, stamp int64) error {
	if err := g.travel(ctx); err != nil {
		return err
	}
	return g.inner.Release(ctx, limits, stamp)
}
