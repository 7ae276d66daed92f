// Package memory keeps limits in this process.
//
//   - Decisions are exact to the nanosecond, on the monotonic clock: setting the
//     machine's clock moves nothing.
//   - A request under several limits is one atomic step.
//   - A key takes memory while it has debt, is held, or was used within
//     [Config.IdleTTL]. Debt is never forgotten.
//
// It works in a testing/synctest bubble.
package memory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
)

var (
	_ backend.Backend  = (*Backend)(nil)
	_ backend.Releaser = (*Backend)(nil)
	_ backend.Watcher  = (*Backend)(nil)
)

// Config configures a [Backend]. All fields are optional.
type Config struct {
	// IdleTTL is how long a key is kept after its latest slot. A key with debt or a hold is
	// kept at least until both are over. So IdleTTL changes no decision, only what
	// [Backend.Len] counts. Defaults to 0: keys may go once their debt is paid.
	IdleTTL time.Duration

	// SweepInterval is how often a goroutine drops keys that are due. If you set it, call
	// [Backend.Close]. Defaults to 0: no goroutine. Each new key then drops a few old
	// ones, so that memory stays within a small factor of the live keys, but does not
	// shrink while there are no new keys.
	SweepInterval time.Duration
}

// Backend is the in-process [backend.Backend]. The zero value is an empty backend with
// the zero Config, ready to use. A Backend must not be copied after first use.
type Backend struct {
	idleTTL time.Duration

	made  sync.Once // guards the making of epoch, shards, mask and stop
	epoch time.Time // instant 0

	shards []shard
	mask   uint64 // of a hash, to the number of its shard

	many  sync.Mutex // guards found; locked before the shards
	found []found    // scratch for requests of more than few limits

	watchers backend.Watchers
	holdsEnd atomic.Int64 // the end of the longest hold

	stop    chan struct{} // closed by Close
	stopped sync.Once
	sweeper sync.WaitGroup
}

// few is the most limits whose list of found fits on the stack. Requests of more limits share
// Backend.found, so that they allocate nothing either.
const few = 4

// found is where the backend keeps a limit of a request.
type found struct {
	shard *shard
	entry *entry // nil if the key is new
}

// entry is the state of a key.
type entry struct {
	gcra.Ledger
	closed int64 // the key is held until then
}

// New returns an empty backend. It panics if a duration in cfg is negative.
func New(cfg Config) *Backend {
	if cfg.IdleTTL < 0 {
		panic(fmt.Sprintf("memory: Config.IdleTTL is %v: must not be negative", cfg.IdleTTL))
	}
	if cfg.SweepInterval < 0 {
		panic(fmt.Sprintf("memory: Config.SweepInterval is %v: must not be negative", cfg.SweepInterval))
	}
	b := &Backend{idleTTL: min(cfg.IdleTTL, backend.Unlimited)}
	b.ready()
	if cfg.SweepInterval > 0 {
		b.sweeper.Go(func() { b.sweepEvery(cfg.SweepInterval) })
	}
	return b
}

// ready completes the zero value. Every exported method calls it first.
func (b *Backend) ready() { b.made.Do(b.makeReady) }

func (b *Backend) makeReady() {
	b.epoch = time.Now()
	b.shards = makeShards()
	b.mask = uint64(len(b.shards) - 1)
	b.stop = make(chan struct{})
}

// errContext is the error for a nil context.
var errContext = errors.New("memory: ctx is nil: must be given, for example context.Background()")

// enter is called first by all methods that take a context. A method does nothing if enter
// returns an error.
func (b *Backend) enter(ctx context.Context) error {
	if ctx == nil {
		return errContext
	}
	b.ready()
	return ctx.Err()
}

// Reserve implements [backend.Backend]. It does not allocate for keys that the backend
// already keeps. It fails only if ctx is nil or has ended, and then decides nothing.
func (b *Backend) Reserve(ctx context.Context, reqs []backend.Request, decisions []backend.Decision) error {
	if err := b.enter(ctx); err != nil {
		return err
	}
	decisions = decisions[:len(reqs)] // a panic comes before anything is charged
	now := b.now()                    // before the locks, to hold them for less time
	for i := range reqs {
		req, d := &reqs[i], &decisions[i]
		if err := backend.Validate(req.Limits); err != nil {
			*d = backend.Decision{Binding: -1, Err: err}
			continue
		}
		if len(req.Limits) <= few {
			var list [few]found
			b.decide(now, req, d, list[:len(req.Limits)])
		} else {
			b.many.Lock()
			b.found = slices.Grow(b.found[:0], len(req.Limits))
			b.decide(now, req, d, b.found[:len(req.Limits)])
			b.many.Unlock()
		}
	}
	return nil
}

// decide decides a valid request. list is scratch with one element per limit. If later requests
// were decided while it waited for the locks, it uses their instant: debt paid by then may
// have been forgotten.
func (b *Backend) decide(now int64, req *backend.Request, d *backend.Decision, list []found) {
	var set uint64
	for i := range list {
		n := b.number(req.Limits[i].Key)
		list[i].shard = &b.shards[n]
		set |= 1 << n
	}
	for _, key := range req.HeldBy {
		set |= 1 << b.number(key)
	}
	b.lock(set)
	for i := range list {
		now = max(now, list[i].shard.latest)
	}
	horizon := min(max(req.Horizon, 0), backend.Unlimited)
	slot, binding, held := now, -1, false
	mixed, was := -1, int64(0) // a limit that had other params, and its interval then
	if !req.NotBefore.IsZero() {
		slot = max(now, int64(req.NotBefore.Sub(b.epoch)))
	}
	for i := range list {
		l := &req.Limits[i]
		e := list[i].shard.keys[l.Key]
		list[i].entry = e
		if e == nil {
			continue
		}
		open := e.closed
		if horizon < backend.Unlimited {
			// Rebased even if the request is refused. If each request rebased the key again
			// at a later now, the slot of a refusal would keep moving.
			before := e.State().Interval
			open = max(open, e.Open(now, l.Params, l.Units()))
			if before != e.State().Interval {
				mixed, was = i, before
			}
		} else {
			open = max(open, e.Slot(now, l.Params, l.Units()))
		}
		if open > slot {
			slot, binding, held = open, i, open == e.closed
		}
	}
	for _, key := range req.HeldBy {
		if e := b.shardOf(key).keys[key]; e != nil && e.closed > slot {
			slot, binding, held = e.closed, -1, true
		}
	}
	granted := slot-now <= int64(horizon)
	if granted {
		for i := range list {
			l, s, e := &req.Limits[i], list[i].shard, list[i].entry
			if e == nil {
				e = s.add(l.Key)
			}
			e.Charge(now, slot, l.Params, l.Units())
		}
		for i := range list {
			list[i].shard.latest = now
			b.dropSome(list[i].shard)
		}
	}
	b.unlock(set)
	if mixed >= 0 {
		l := &req.Limits[mixed]
		b.watchers.Tell(backend.Change{Kind: backend.ChangeParams, Key: l.Key, Was: time.Duration(was), Is: l.Params.Interval()})
	}
	// A literal would be made elsewhere and copied here.
	*d = backend.Decision{}
	d.Granted = granted
	d.Slot = b.epoch.Add(time.Duration(slot))
	d.Token = slot
	d.Binding = binding
	d.Held = held
}

// Hold implements [backend.Backend]. It fails only if ctx is nil or has ended.
func (b *Backend) Hold(ctx context.Context, key string, d time.Duration) error {
	if err := b.enter(ctx); err != nil {
		return err
	}
	if d <= 0 {
		return nil
	}
	if until, extended := b.hold(key, int64(min(d, backend.Unlimited))); extended {
		b.tellHold(key, until)
	}
	return nil
}

func (b *Backend) hold(key string, d int64) (until int64, extended bool) {
	s := b.shardOf(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latest = b.now()
	e := s.keys[key]
	if e == nil {
		e = s.add(key)
	}
	if until = s.latest + d; until > e.closed {
		e.closed, extended = until, true
		b.extendHolds(until)
	}
	b.dropSome(s)
	return until, extended
}

// Release implements [backend.Releaser]. A token is the slot in nanoseconds since New. Release
// fails only if ctx is nil or has ended. It handles the limits one after another.
func (b *Backend) Release(ctx context.Context, limits []backend.Limit, token int64) error {
	if err := b.enter(ctx); err != nil {
		return err
	}
	for i := range limits {
		if b.release(&limits[i], token) {
			b.watchers.Tell(backend.Change{Kind: backend.ChangeRelease, Key: limits[i].Key})
		}
	}
	return nil
}

// release reports whether the limit took the slot back.
func (b *Backend) release(l *backend.Limit, token int64) (ok bool) {
	s := b.shardOf(l.Key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.keys[l.Key]; e != nil {
		ok = e.Refund(token, l.Params, l.Units())
	}
	return ok
}

// Clear implements [backend.Backend]. It forgets all keys at one instant. It fails only if
// ctx is nil or has ended.
func (b *Backend) Clear(ctx context.Context) error {
	if err := b.enter(ctx); err != nil {
		return err
	}
	b.lock(b.every())
	for i := range b.shards {
		b.shards[i].clear()
	}
	b.unlock(b.every())
	b.watchers.Tell(backend.Change{Kind: backend.ChangeClear})
	return nil
}

// Traits implements [backend.Backend]: the backend is in this process, takes slots back and
// reports changes.
func (b *Backend) Traits() backend.Traits {
	return backend.Traits{InProcess: true, Releaser: b, Watcher: b}
}

// now is the present instant.
func (b *Backend) now() int64 { return int64(time.Since(b.epoch)) }
