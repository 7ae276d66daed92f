package goredis

import (
	"fmt"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
)

// model is what the scripts should do, in Go and on gcra.State, in whose
// arithmetic a nanosecond stands for a microsecond here: so both are exact, and
// have to agree exactly.
type model struct {
	keys map[string]modelKey
	now  int64
}

// modelKey is a key that was charged or held.
type modelKey struct {
	gcra.State
	closed int64 // the key is held until then
	turn   int64 // the latest turn given
	at     int64 // when the key was written last
}

// micro is the params for the arithmetic in microseconds.
func micro(p gcra.FreqLimitParams) gcra.FreqLimitParams {
	t := (p.Interval() + time.Microsecond - 1) / time.Microsecond
	return gcra.FreqLimitParams{Limit: 1, Period: t, Burst: p.Burst}
}

// rebase is gcra.State.Rebase, which counts at most MaxSpan: that of nanoseconds.
func rebase(s gcra.State, now int64, p gcra.FreqLimitParams) gcra.State {
	rebased := s.Rebase(now, micro(p))
	if base := max(now, s.Last); rebased.Interval != s.Interval && s.TAT > base {
		rebased.TAT = min(rebased.TAT, base+int64(gcra.MaxSpan/time.Microsecond))
	}
	return rebased
}

// load returns a key as it is now, and whether it differs from what was written:
// so it does if it was written later than now, by the clock before that was set
// back. Then what is left to wait is what it was when it was written.
func (m *model) load(key string) (k modelKey, moved bool) {
	k = m.keys[key]
	back := k.at - m.now
	if back <= 0 {
		return k, false
	}
	k.TAT -= back
	k.Last -= back
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
			rebased := rebase(k.State, m.now, l.Params)
			// Of a key that has no debt the script keeps no new interval: nothing
			// is counted in it.
			inDebt := k.TAT > max(m.now, k.Last)
			changed = changed || rebased.TAT != k.TAT || rebased.Interval != k.Interval && inDebt
			k.State = rebased
		}
		if changed {
			m.save(l.Key, k)
		}
		opens[i] = max(k.closed, k.Slot(m.now, micro(l.Params), l.Units()))
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
		if k.turn > m.now && slot-opens[i] >= int64(micro(l.Params).Interval()) {
			return true
		}
	}
	return false
}

func (m *model) charge(l backend.Limit, slot, horizon int64) {
	p := micro(l.Params)
	k, _ := m.load(l.Key)
	// Even one more of these could have started a horizon ago: nobody waits.
	if k.TAT-gcra.Headroom(p, l.Units())+int64(l.Units())*int64(p.Interval())+horizon < m.now {
		k.turn = 0
	}
	k.State = k.Charge(slot, p, l.Units())
	m.save(l.Key, k)
}

// turn returns the turn that this batch has at a limit.
func (m *model) turn(l backend.Limit, slot, horizon int64, turns map[string]int64) int64 {
	if _, given := turns[l.Key]; !given {
		k, _ := m.load(l.Key)
		p := micro(l.Params)
		t := int64(p.Interval())
		step := max(t, horizon/2/t*t)
		first := max(k.TAT, k.closed) - gcra.Headroom(p, l.Units()) - int64(l.Units()-1)*t
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
		refunded, ok := k.Refund(stamp, micro(l.Params), l.Units())
		if ok {
			k.State = refunded
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
	return max(k.TAT, k.closed, k.turn) <= m.now
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
