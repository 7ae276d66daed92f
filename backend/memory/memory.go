// Package memory keeps limits in this process.
//
//   - Decisions are exact to the nanosecond, on the monotonic clock: setting the
//     machine's clock moves nothing.
//   - A request under several limits is one atomic step.
//   - A key takes memory while it is in debt, deferred, or younger than
//     [Config.IdleTTL]. Debt is never forgotten.
//
// It works inside a bubble of testing/synctest.
package memory

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
)

var (
	_ backend.Backend   = (*Backend)(nil)
	_ backend.Releaser  = (*Backend)(nil)
	_ backend.InProcess = (*Backend)(nil)
)

// Config is optional in every field.
type Config struct {
	// IdleTTL is how long a key is kept after its latest slot. A key in debt or
	// deferred is kept longer, until it is neither; so this is for watching keys
	// with [Backend.Len] at the most, and changes no decision. Defaults to 0:
	// keys go when their debt is paid.
	IdleTTL time.Duration

	// SweepInterval is how often a goroutine drops the keys that are due.
	// Whoever sets it calls [Backend.Close]. Defaults to 0: no goroutine; new
	// keys then pay for dropping old ones, a few at a time, so that memory
	// stays within a small factor of the live keys but does not shrink while
	// nothing new comes.
	SweepInterval time.Duration
}

// Backend is the in-process [backend.Backend]. Use [New].
type Backend struct {
	idleTTL time.Duration
	epoch   time.Time // instant 0

	mu    sync.Mutex // guards what follows
	keys  map[string]*entry
	found []*entry // scratch of decide: the request's entries, nil where new
	added int      // keys added since the last round of dropping
	peak  int      // the most keys that this map has held

	stop    chan struct{} // closed by Close
	stopped sync.Once
	sweeper sync.WaitGroup
}

// entry is what is kept of a key.
type entry struct {
	gcra.State
	closed int64 // the key is deferred until then
}

// New returns an empty backend. It panics if a duration in cfg is negative.
func New(cfg Config) *Backend {
	if cfg.IdleTTL < 0 {
		panic(fmt.Sprintf("memory: Config.IdleTTL is %v: must not be negative", cfg.IdleTTL))
	}
	if cfg.SweepInterval < 0 {
		panic(fmt.Sprintf("memory: Config.SweepInterval is %v: must not be negative", cfg.SweepInterval))
	}
	b := &Backend{
		idleTTL: min(cfg.IdleTTL, backend.Unlimited),
		epoch:   time.Now(),
		keys:    make(map[string]*entry),
		stop:    make(chan struct{}),
	}
	if cfg.SweepInterval > 0 {
		b.sweeper.Go(func() { b.sweepEvery(cfg.SweepInterval) })
	}
	return b
}

// Reserve implements [backend.Backend]. It does not allocate for keys that it
// holds. It fails only if ctx has ended, and then decides nothing.
func (b *Backend) Reserve(ctx context.Context, reqs []backend.Request, decisions []backend.Decision) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	for i := range reqs {
		decisions[i] = b.decide(now, &reqs[i])
	}
	b.dropSome(now)
	return nil
}

// decide requires that mu is held.
func (b *Backend) decide(now int64, req *backend.Request) backend.Decision {
	if err := backend.Validate(req.Limits); err != nil {
		return backend.Decision{Binding: -1, Err: err}
	}
	horizon := min(max(req.Horizon, 0), backend.Unlimited)
	slot, binding, deferred := now, -1, false
	if !req.NotBefore.IsZero() {
		slot = max(now, int64(req.NotBefore.Sub(b.epoch)))
	}
	b.found = b.found[:0]
	for i := range req.Limits {
		l := &req.Limits[i]
		e := b.keys[l.Key]
		b.found = append(b.found, e)
		if e == nil {
			continue
		}
		if horizon < backend.Unlimited {
			// Kept even if the request is refused: rebased anew at a later now,
			// the slot that a refusal names would move away from it.
			e.State = e.Rebase(now, l.Params)
		}
		if open := max(e.closed, e.Slot(now, l.Params, l.Units())); open > slot {
			slot, binding, deferred = open, i, open == e.closed
		}
	}
	d := backend.Decision{
		Slot:     b.epoch.Add(time.Duration(slot)),
		Stamp:    slot,
		Binding:  binding,
		Deferred: deferred,
	}
	if slot-now > int64(horizon) {
		return d
	}
	d.Granted = true
	for i := range req.Limits {
		l := &req.Limits[i]
		e := b.found[i]
		if e == nil {
			e = b.add(l.Key)
		}
		e.State = e.Charge(slot, l.Params, l.Units())
	}
	return d
}

// Defer implements [backend.Backend]. It fails only if ctx has ended.
func (b *Backend) Defer(ctx context.Context, key string, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if d <= 0 {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	e := b.keys[key]
	if e == nil {
		e = b.add(key)
	}
	e.closed = max(e.closed, now+int64(min(d, backend.Unlimited)))
	b.dropSome(now)
	return nil
}

// Release implements [backend.Releaser]: a stamp is nanoseconds since New. It
// fails only if ctx has ended.
func (b *Backend) Release(ctx context.Context, limits []backend.Limit, stamp int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range limits {
		if e := b.keys[l.Key]; e != nil {
			e.State, _ = e.Refund(stamp, l.Params, l.Units())
		}
	}
	return nil
}

// Clear implements [backend.Backend]. It fails only if ctx has ended.
func (b *Backend) Clear(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.keys, b.peak = make(map[string]*entry), 0
	return nil
}

// InProcess implements [backend.InProcess].
func (b *Backend) InProcess() {}

// now is the present instant.
func (b *Backend) now() int64 { return int64(time.Since(b.epoch)) }

// add puts a new key into the map. It requires that mu is held.
func (b *Backend) add(key string) *entry {
	e := &entry{}
	b.keys[key] = e
	b.added++
	b.peak = max(b.peak, len(b.keys))
	return e
}
