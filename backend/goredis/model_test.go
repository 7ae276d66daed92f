package goredis

import (
	"fmt"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
)

// model is what the scripts should do, in Go and on gcra.Ledger, which counts in
// nanoseconds: all are whole microseconds here, so both are exact, and have to agree
// exactly.
type model struct {
	keys map[string]modelKey
	now  int64
}

// modelKey is a key that was charged or held. Its charges are those of a ledger that it
// shares with the keys that it is copied to.
type modelKey struct {
	ledger *gcra.Ledger
	closed int64 // the key is held until then
	turn   int64 // the latest turn given
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
		k.ledger = &gcra.Ledger{}
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
	k.turn = 0
	return k, true
}

func (m *model) save(key string, k modelKey) {
	k.at = m.now
	m.keys[key] = k
}

// reserve decides a batch.
func (m *model) reserve(reqs []backend.Request) []backend.Decision {
	turns := map[string]int64{} // given in this batch
	ds := make([]backend.Decision, len(reqs))
	for i := range reqs {
		ds[i] = m.decide(&reqs[i], turns)
	}
	return ds
}

func (m *model) decide(r *backend.Request, turns map[string]int64) backend.Decision {
	horizon := int64(min(max(r.Horizon, 0), backend.Unlimited) / time.Microsecond)
	slot, binding, held := m.now, -1, false
	opens := make([]int64, len(r.Limits))
	if !r.NotBefore.IsZero() {
		slot = max(slot, r.NotBefore.UnixMicro())
	}
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
		opens[i] = max(k.closed, k.slot(m.now, l))
		if opens[i] > slot {
			slot, binding, held = opens[i], i, opens[i] == k.closed
		}
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
	d := backend.Decision{Slot: time.UnixMicro(slot), Stamp: slot, Binding: binding, Held: held}
	polite := r.InTurn && r.Horizon < backend.Unlimited && binding >= 0
	if slot-m.now <= horizon && !(polite && m.wastes(r.Limits, opens, slot)) {
		d.Granted = true
		for _, l := range r.Limits {
			m.charge(l, slot, horizon)
		}
		return d
	}
	if r.InTurn {
		d.Turn = d.Slot
		if binding >= 0 && slot-m.now > horizon && r.Limits[binding].Params.Interval() <= 10*time.Second {
			d.Turn = time.UnixMicro(max(slot, m.turn(r.Limits[binding], slot, horizon, turns)))
		}
	}
	return d
}

// wastes reports whether a limit for which others have turns would be put off by
// an interval or more.
func (m *model) wastes(limits []backend.Limit, opens []int64, slot int64) bool {
	for i, l := range limits {
		k, _ := m.load(l.Key)
		if k.turn > m.now && slot-opens[i] >= interval(l.Params) {
			return true
		}
	}
	return false
}

func (m *model) charge(l backend.Limit, slot, horizon int64) {
	p := micro(l.Params)
	k, _ := m.load(l.Key)
	// Even one more of these could have started a horizon ago: nobody waits.
	if k.ledger.State().TAT-gcra.Headroom(p, l.Units())+int64(l.Units())*int64(p.Interval())+nanos(horizon) < nanos(m.now) {
		k.turn = 0
	}
	k.ledger.Charge(nanos(m.now), nanos(slot), p, l.Units())
	m.save(l.Key, k)
}

// slot is when a limit opens, not before now.
func (k modelKey) slot(now int64, l backend.Limit) int64 {
	return k.ledger.Slot(nanos(now), micro(l.Params), l.Units()) / nanos(1)
}

// turn returns the turn that this batch has at a limit.
func (m *model) turn(l backend.Limit, slot, horizon int64, turns map[string]int64) int64 {
	if _, given := turns[l.Key]; !given {
		k, _ := m.load(l.Key)
		t := interval(l.Params)
		step := max(t, horizon/2/t*t)
		first := max(k.state().TAT, k.closed) - (burst(l.Params)-1)*t
		k.turn = max(first, min(k.turn+step, first+10_000_000))
		turns[l.Key] = k.turn
		m.save(l.Key, k)
	}
	return turns[l.Key]
}

func (m *model) holdKey(key string, micros int64) {
	k, _ := m.load(key)
	if to := m.now + micros; to > k.closed {
		k.closed = to
		m.save(key, k)
	}
}

// release returns the limits that took the slot back.
func (m *model) release(limits []backend.Limit, stamp int64) (back []int) {
	for i, l := range limits {
		k, changed := m.load(l.Key)
		ok := k.ledger.Refund(nanos(stamp), micro(l.Params), l.Units())
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
	return max(k.state().TAT, k.closed, k.turn) <= m.now
}

func (m *model) forget(key string) { delete(m.keys, key) }

// same returns nil if a decision is the one that the model makes.
func same(got, want backend.Decision) error {
	if got.Err != nil || got.Granted != want.Granted || got.Stamp != want.Stamp || got.Binding != want.Binding ||
		got.Held != want.Held || !got.Turn.Equal(want.Turn) {
		return fmt.Errorf("decision = %+v, want %+v", got, want)
	}
	return nil
}
