package goredis

import (
	"fmt"
	"slices"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/turns"
)

// model is what the scripts should do, in Go and on gcra.Ledger, which counts in
// nanoseconds: all are whole microseconds here, so both are exact, and have to agree
// exactly.
type model struct {
	keys  map[string]modelKey
	lines map[string]*turns.Line // of the keys of this batch that are new
	now   int64
}

// modelKey is a key that was charged or held. Its charges are those of a ledger that it
// shares with the keys that it is copied to.
type modelKey struct {
	ledger *gcra.Ledger
	closed int64 // the key is held until then
	line   *turns.Line
	at     int64 // when the key was written last
}

// micro is an interval that is rounded up to microseconds.
func micro(p gcra.FreqLimitParams) gcra.FreqLimitParams {
	t := (p.Interval() + time.Microsecond - 1) / time.Microsecond * time.Microsecond
	return gcra.FreqLimitParams{Limit: 1, Period: t, Burst: p.Burst}
}

// nanos is micros in nanoseconds.
func nanos(micros int64) int64 { return micros * int64(time.Microsecond) }

// inMicros is a state in which a nanosecond stands for a microsecond.
func inMicros(s gcra.State) gcra.State {
	return gcra.State{TAT: s.TAT / nanos(1), Last: s.Last / nanos(1), Interval: s.Interval / nanos(1)}
}

// rebase is gcra.State.Rebase for a state in microseconds. That counts at most MaxSpan,
// of nanoseconds.
func rebase(s gcra.State, now int64, p gcra.FreqLimitParams) gcra.State {
	p = gcra.FreqLimitParams{Limit: 1, Period: micro(p).Period / time.Microsecond, Burst: p.Burst}
	rebased := s.Rebase(now, p)
	if base := max(now, s.Last); rebased.Interval != s.Interval && s.TAT > base {
		rebased.TAT = min(rebased.TAT, base+int64(gcra.MaxSpan/time.Microsecond))
	}
	return rebased
}

// state is what the key's charges add up to.
func (k modelKey) state() gcra.State { return inMicros(k.ledger.State()) }

// replace gives the key another ledger, of charges that can't be taken back.
func (k *modelKey) replace(s gcra.State) {
	l := gcra.NewLedger(gcra.State{TAT: nanos(s.TAT), Last: nanos(s.Last), Interval: nanos(s.Interval)})
	k.ledger = &l
}

// load returns a key as it is now, and whether it differs from what was written:
// so it does if it was written later than now, by the clock before that was set
// back. Then what is left to wait is what it was when it was written.
func (m *model) load(key string) (k modelKey, moved bool) {
	k = m.keys[key]
	if k.ledger == nil {
		k.ledger, k.line = &gcra.Ledger{}, m.lines[key]
	}
	if k.line == nil {
		k.line = &turns.Line{}
	}
	back := k.at - m.now
	if back <= 0 {
		return k, false
	}
	s := k.state()
	s.TAT -= back
	s.Last -= back
	k.replace(s)
	k.closed = max(k.closed-back, 0)
	k.line = &turns.Line{}
	return k, true
}

func (m *model) save(key string, k modelKey) {
	k.at = m.now
	m.keys[key] = k
}

// modelRules are the constants of line.lua.
var modelRules = turns.Rules{Step: 25_000, SlowStep: 20_000, Forget: 5_000_000, Longest: 256}

// reserve decides a batch.
func (m *model) reserve(reqs []backend.Request) []backend.Decision {
	b := turns.NewBatch(modelRules, m.now)
	m.lines = map[string]*turns.Line{}
	defer func() { m.lines = nil }()
	before := map[string][]turns.Waiter{}
	for _, r := range reqs {
		for _, l := range r.Limits {
			k, _ := m.load(l.Key)
			m.lines[l.Key] = k.line
			before[l.Key] = slices.Clone(k.line.Waiters)
		}
	}
	ds := make([]backend.Decision, len(reqs))
	for i := range reqs {
		m.decide(b, i, &reqs[i], &ds[i])
	}
	told := b.End(func(key string) turns.Limit {
		k, _ := m.load(key)
		return turns.Limit{TAT: k.state().TAT, Closed: k.closed}
	})
	for _, t := range told {
		d := &ds[t.Request]
		if t.Binding != d.Binding {
			d.Binding, d.Held = t.Binding, false
		}
		d.Token, d.Slot = t.Slot, time.UnixMicro(t.Slot)
		d.RetryAt = time.UnixMicro(t.RetryAt)
		d.MinHorizon = time.Duration(t.MinHorizon) * time.Microsecond
	}
	for key, before := range before {
		if k, _ := m.load(key); !slices.Equal(before, k.line.Waiters) {
			m.save(key, k)
		}
	}
	return ds
}

func (m *model) decide(b *turns.Batch, at int, r *backend.Request, d *backend.Decision) {
	horizon := int64(min(max(r.Horizon, 0), backend.Unlimited) / time.Microsecond)
	slot, binding, held := m.now, -1, false
	if !r.NotBefore.IsZero() {
		slot = max(slot, r.NotBefore.UnixMicro())
	}
	asked := turns.Request{Member: r.MemberID, MinHorizon: int64(min(max(r.MinHorizon, 0), mostReach) / time.Microsecond), BusiestLimit: r.BusiestLimit}
	for i, l := range r.Limits {
		k, changed := m.load(l.Key)
		if r.Horizon < backend.Unlimited {
			s := k.state()
			if rebased := rebase(s, m.now, l.Params); rebased != s {
				// Of a key that has no debt the script keeps no new interval: nothing
				// is counted in it.
				changed = changed || s.TAT > max(m.now, s.Last)
				k.replace(rebased)
			}
		}
		if changed {
			m.save(l.Key, k)
		}
		if open := max(k.closed, k.slot(m.now, l)); open > slot {
			slot, binding, held = open, i, open == k.closed
		}
		t := interval(l.Params)
		asked.Limits = append(asked.Limits, turns.Asked{
			Key: l.Key, Line: k.line, Room: (burst(l.Params) - int64(l.Units())) * t,
			Limit: turns.Limit{TAT: k.state().TAT, Closed: k.closed, Interval: t},
		})
	}
	for _, key := range r.HeldBy {
		k, changed := m.load(key)
		if changed {
			m.save(key, k)
		}
		if k.closed > slot {
			slot, binding, held = k.closed, -1, true
		}
	}
	polite := r.MemberID != 0 && r.Horizon < backend.Unlimited
	had, out, wastes := -1, -1, false
	if polite {
		had, out, wastes = b.May(asked, slot, binding)
	}
	far := slot-m.now > horizon
	*d = backend.Decision{Slot: time.UnixMicro(slot), Token: slot, Binding: binding, Held: held}
	if !far && had < 0 && out < 0 && !wastes {
		d.Granted = true
		for _, l := range r.Limits {
			m.charge(l, slot)
		}
		b.Granted(asked)
		return
	}
	if r.MemberID == 0 {
		return
	}
	d.RetryAt = d.Slot
	if !polite {
		return
	}
	if binding < 0 && !held {
		d.Binding = had
	}
	if !far && had < 0 && !wastes {
		d.Binding, d.Held = out, false
	}
	if d.Binding >= 0 {
		b.Refused(at, asked, d.Binding)
	}
}

func (m *model) charge(l backend.Limit, slot int64) {
	k, _ := m.load(l.Key)
	k.ledger.Charge(nanos(m.now), nanos(slot), micro(l.Params), l.Units())
	m.save(l.Key, k)
}

// slot is when a limit opens, not before now.
func (k modelKey) slot(now int64, l backend.Limit) int64 {
	return k.ledger.Slot(nanos(now), micro(l.Params), l.Units()) / nanos(1)
}

func (m *model) holdKey(key string, micros int64) {
	k, _ := m.load(key)
	if to := m.now + micros; to > k.closed {
		k.closed = to
		m.save(key, k)
	}
}

// release returns the limits that took the slot back.
func (m *model) release(limits []backend.Limit, token int64) (back []int) {
	for i, l := range limits {
		k, changed := m.load(l.Key)
		ok := k.ledger.Refund(nanos(token), micro(l.Params), l.Units())
		if ok {
			back = append(back, i)
		}
		if changed || ok {
			m.save(l.Key, k)
		}
	}
	return back
}

// rests reports whether Redis may have forgotten a key by now.
func (m *model) rests(key string) bool {
	k, _ := m.load(key)
	return max(k.state().TAT, k.closed) <= m.now
}

func (m *model) forget(key string) { delete(m.keys, key) }

// same returns nil if a decision is the one that the model makes.
func same(got, want backend.Decision) error {
	if got.Err != nil || got.Granted != want.Granted || got.Token != want.Token || got.Binding != want.Binding ||
		got.Held != want.Held || !got.RetryAt.Equal(want.RetryAt) || got.MinHorizon != want.MinHorizon {
		return fmt.Errorf("decision = %+v, want %+v", got, want)
	}
	return nil
}
