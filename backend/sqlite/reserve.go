package sqlite

import (
	"context"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// Reserve implements [backend.Backend]. It returns when what it granted is in the file: the claims
// of the jobs and the debt of their limits. If that fails, it gives back what it charged.
//
// A request for a job that is not kept, or is dead, is refused with [ErrNoJob]. One for a
// claimed job is decided like one for a job that waits.
func (b *Backend) Reserve(ctx context.Context, reqs []backend.Request, decisions []backend.Decision) error {
	return b.do(ctx, &reserveOp{reqs, decisions[:len(reqs)]})
}

// reserveOp is a call of Reserve.
type reserveOp struct {
	reqs      []backend.Request
	decisions []backend.Decision
}

func (o *reserveOp) weight() int { return 2 * len(o.reqs) }

func (o *reserveOp) decide(b *Backend) {
	for i := range o.reqs {
		o.markRebased(b, &o.reqs[i])
	}
	if err := b.limits.Reserve(context.Background(), o.reqs, o.decisions); err != nil {
		panic(err) // only a context can make it fail
	}
	for i := range o.reqs {
		if o.decisions[i].Granted {
			for _, l := range o.reqs[i].Limits {
				b.keys[l.Key] = struct{}{}
			}
		}
	}
}

// markRebased marks the keys whose params change, even if the request is refused. Rebased later,
// after a crash, they would have less debt.
func (*reserveOp) markRebased(b *Backend, r *backend.Request) {
	if r.Horizon >= backend.Unlimited {
		return
	}
	for _, l := range r.Limits {
		if s, ok := b.limits.State(l.Key); ok && s.Interval != 0 && s.Interval != l.Params.Interval() {
			b.keys[l.Key] = struct{}{}
		}
	}
}

// store claims the jobs. The states of the limits are stored with those of the other calls.
func (o *reserveOp) store(t *tx) error {
	for i := range o.reqs {
		r, d := &o.reqs[i], &o.decisions[i]
		if r.Job == 0 || !d.Granted {
			continue
		}
		c, err := t.begun()
		if err != nil {
			return err
		}
		n, err := c.exec("UPDATE jobs SET state = 'claimed' WHERE number = ? AND state <> 'dead'", r.Job)
		if err != nil {
			return err
		}
		if n == 0 {
			o.giveBack(t.b, i)
			*d = backend.Decision{Slot: d.Slot, Binding: -1, Err: ErrNoJob}
		}
	}
	return nil
}

func (o *reserveOp) undo(b *Backend) {
	for i := range o.reqs {
		if o.decisions[i].Granted {
			o.giveBack(b, i)
		}
	}
}

func (o *reserveOp) giveBack(b *Backend, i int) {
	_ = b.limits.Release(context.Background(), o.reqs[i].Limits, o.decisions[i].Token)
}

// Hold implements [backend.Backend]. It returns when the hold is in the file. If that fails, the
// key is held until the process ends.
func (b *Backend) Hold(ctx context.Context, key string, d time.Duration) error {
	return b.do(ctx, &holdOp{key, d})
}

// holdOp is a call of Hold.
type holdOp struct {
	key string
	d   time.Duration
}

func (o *holdOp) decide(b *Backend) {
	_ = b.limits.Hold(context.Background(), o.key, o.d)
	b.keys[o.key] = struct{}{}
}

func (*holdOp) store(*tx) error { return nil }
func (*holdOp) undo(*Backend)   {}
func (*holdOp) weight() int     { return 1 }

// Clear implements [backend.Backend]. It forgets limits, not jobs.
func (b *Backend) Clear(ctx context.Context) error { return b.do(ctx, clearOp{}) }

// clearOp is a call of Clear.
type clearOp struct{}

func (clearOp) decide(b *Backend) { _ = b.limits.Clear(context.Background()) }

func (clearOp) store(t *tx) error {
	c, err := t.begun()
	if err == nil {
		_, err = c.exec("DELETE FROM limit_states")
	}
	return err
}

func (clearOp) undo(*Backend) {}
func (clearOp) weight() int   { return 1 }

// Release implements [backend.Releaser]. It does not wait for the file: until the next write, a
// crash loses the slot that was given back.
func (b *Backend) Release(ctx context.Context, limits []backend.Limit, token int64) error {
	if err := b.limits.Release(ctx, limits, token); err != nil {
		return err
	}
	b.releasing.Lock()
	defer b.releasing.Unlock()
	for _, l := range limits {
		b.released[l.Key] = struct{}{}
	}
	return nil
}

// takeReleased moves the keys that got slots back to those whose states are stored next.
func (b *Backend) takeReleased() {
	b.releasing.Lock()
	defer b.releasing.Unlock()
	for key := range b.released {
		b.keys[key] = struct{}{}
	}
	clear(b.released)
}

// Watch implements [backend.Watcher]. Holds are reported before they are in the file. It panics
// if f is nil.
func (b *Backend) Watch(f func(backend.Change)) (stop func()) {
	if f == nil {
		panic("sqlite: Watch: f is nil: must be given")
	}
	return b.limits.Watch(f)
}
