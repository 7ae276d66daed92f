package dispatcher_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/turns"
)

// hub is a server that the dispatchers of a fleet share, as goredis has it share limits.
type hub struct {
	epoch time.Time

	roughFor time.Duration // for so long since the epoch each message takes roughBy more at most
	stalls   int           // and later one of so many; 0: none
	roughBy  time.Duration

	mu      sync.Mutex // guards what follows, and the members
	limits  map[string]*hubLimit
	members []*member
	calls   int
}

// hubRules are the constants that goredis uses.
var hubRules = turns.Rules{
	Step: int64(25 * time.Millisecond), SlowStep: int64(20 * time.Millisecond),
	Forget: int64(5 * time.Second), Longest: 256,
}

// hubLimit is a limit that a hub keeps. It takes a slot back only if that was the last.
type hubLimit struct {
	tat    int64
	params gcra.FreqLimitParams
	line   turns.Line
}

func (l *hubLimit) limit() turns.Limit {
	return turns.Limit{TAT: l.tat, Interval: int64(l.params.Interval())}
}

func newHub() *hub { return &hub{epoch: time.Now(), limits: map[string]*hubLimit{}} }

func (h *hub) now() int64 { return int64(time.Since(h.epoch)) }

func (h *hub) local(at int64) time.Time { return h.epoch.Add(time.Duration(at)) }

// member is the backend of one process of a fleet.
type member struct {
	hub    *hub
	way    time.Duration // to the hub, at least
	jitter time.Duration // and so much more at most
	rand   *rand.Rand
	id     uint32 // of the dispatcher
	dead   bool   // killed: nothing reaches the hub any more
	heard  backend.Watchers
	slots  map[string][]time.Duration // that it was granted, since the epoch
}

func (h *hub) join(way, jitter time.Duration) *member {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := &member{
		hub: h, way: way, jitter: jitter, slots: map[string][]time.Duration{},
		rand: rand.New(rand.NewPCG(1, uint64(len(h.members)))),
	}
	h.members = append(h.members, m)
	return m
}

// travel takes the time that a message is on its way, and reports whether it arrives.
func (m *member) travel() bool {
	m.hub.mu.Lock()
	d := m.way + time.Duration(m.rand.Int64N(int64(m.jitter)+1))
	if h := m.hub; h.now() < int64(h.roughFor) || h.stalls > 0 && m.rand.IntN(h.stalls) == 0 {
		d += time.Duration(m.rand.Int64N(int64(h.roughBy) + 1))
	}
	m.hub.mu.Unlock()
	time.Sleep(d)
	m.hub.mu.Lock()
	defer m.hub.mu.Unlock()
	return !m.dead
}

func (m *member) kill() {
	m.hub.mu.Lock()
	defer m.hub.mu.Unlock()
	m.dead = true
}

func (m *member) Watch(f func(backend.Change)) func() {
	remove := m.heard.Add(f)
	f(backend.Change{Kind: backend.ChangeCurrent})
	return remove
}

func (m *member) Hold(context.Context, string, time.Duration) error { return nil }
func (m *member) Clear(context.Context) error                       { return nil }
func (m *member) Traits() backend.Traits                            { return backend.Traits{Releaser: m, Watcher: m} }

func (m *member) Release(_ context.Context, limits []backend.Limit, stamp int64) error {
	if !m.travel() {
		return nil
	}
	h := m.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, l := range limits {
		k := h.limits[l.Key]
		if k.tat == stamp+int64(l.Params.Interval()) {
			k.tat = stamp
			h.tell(m, backend.Change{Kind: backend.ChangeRelease, Key: l.Key})
		}
		if i := slices.Index(m.slots[l.Key], time.Duration(stamp)); i >= 0 {
			m.slots[l.Key] = slices.Delete(m.slots[l.Key], i, i+1)
		}
	}
	return nil
}

func (m *member) Reserve(ctx context.Context, reqs []backend.Request, ds []backend.Decision) error {
	if !m.travel() {
		<-ctx.Done()
		return ctx.Err()
	}
	m.hub.decide(m, reqs, ds)
	m.travel()
	return nil
}

// decide does what reserve.lua does.
func (h *hub) decide(m *member, reqs []backend.Request, ds []backend.Decision) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls++
	m.id = reqs[0].MemberID
	b := turns.NewBatch(hubRules, h.now())
	for i := range reqs {
		h.decideOne(m, b, i, &reqs[i], &ds[i])
	}
	for _, told := range b.End(func(key string) turns.Limit { return h.limits[key].limit() }) {
		d := &ds[told.Request]
		d.Binding, d.Token, d.Slot = told.Binding, told.Slot, h.local(told.Slot)
		d.RetryAt, d.MinHorizon = h.local(told.RetryAt), time.Duration(told.MinHorizon)
	}
	b.Taken(func(key string, interval int64, others bool) {
		if others && hubRules.Slow(interval) {
			h.tellTurns(m, key)
		}
	})
}

func (h *hub) decideOne(m *member, b *turns.Batch, at int, r *backend.Request, d *backend.Decision) {
	slot, binding := b.Now, -1
	asked := turns.Request{Member: m.id, MinHorizon: int64(r.MinHorizon), BusiestLimit: r.BusiestLimit}
	for i, l := range r.Limits {
		if h.limits[l.Key] == nil {
			h.limits[l.Key] = &hubLimit{}
		}
		k := h.limits[l.Key]
		k.params = l.Params
		a := turns.Asked{Key: l.Key, Line: &k.line, Limit: k.limit(), Room: gcra.Headroom(l.Params, l.Units())}
		asked.Limits = append(asked.Limits, a)
		if open := a.Limit.Open(a.Room); open > slot {
			slot, binding = open, i
		}
	}
	far := slot-b.Now > int64(r.Horizon)
	had, out, wastes := b.May(asked, slot, binding)
	*d = backend.Decision{Granted: !far && had < 0 && out < 0 && !wastes, Binding: binding, Token: slot, Slot: h.local(slot)}
	if d.Granted {
		for _, l := range r.Limits {
			k := h.limits[l.Key]
			k.tat = max(k.tat, slot) + int64(l.Units())*int64(l.Params.Interval())
			m.slots[l.Key] = append(m.slots[l.Key], time.Duration(slot))
		}
		b.Granted(asked)
		return
	}
	if binding < 0 {
		binding = had
	}
	if !far && had < 0 && !wastes {
		binding = out
	}
	b.Refused(at, asked, binding)
}

// tellTurns tells those in the line of a limit when their turns begin.
func (h *hub) tellTurns(by *member, key string) {
	k := h.limits[key]
	lim, lead := k.limit(), k.line.Lead()
	for _, w := range k.line.Waiters {
		h.tell(by, backend.Change{
			Kind: backend.ChangeRetryAt, Key: key, MemberID: w.Member,
			Until:      h.local(hubRules.Turn(&k.line, lim, w.Member, w.Room) - lead),
			TAT:        h.local(lim.TAT),
			Is:         k.params.Interval(),
			MinHorizon: time.Duration(2 * lead),
		})
	}
}

// tell tells a change to all members but the one that has made it.
func (h *hub) tell(by *member, c backend.Change) {
	for _, m := range h.members {
		if m != by && !m.dead && (c.MemberID == 0 || c.MemberID == m.id) {
			go func() {
				if m.travel() {
					m.heard.Tell(c)
				}
			}()
		}
	}
}
