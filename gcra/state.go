package gcra

import "math/bits"

// State is all that GCRA remembers of one key. The zero value is a key that was
// never charged. A State is a plain value: methods return the changed one, and
// the caller guards it against concurrent use. To take charges back, use a
// [Ledger].
//
// Params given to its methods must be valid, and costs valid for the params.
type State struct {
	// TAT is the theoretical arrival time. The key is in debt until then.
	TAT int64

	// Last is the latest slot given out.
	Last int64

	// Interval is T of the params that charged the key last, 0 before.
	Interval int64
}

// Slot returns the earliest instant, not before now, at which an event of the
// given cost may happen.
func (s State) Slot(now int64, p FreqLimitParams, cost int) int64 {
	return max(now, s.TAT-Headroom(p, cost))
}

// Headroom is how long before a key's TAT an event of the given cost may
// happen: (Burst - cost) * T nanoseconds. At cost 1 it is tau.
func Headroom(p FreqLimitParams, cost int) int64 {
	return int64(p.burst()-cost) * int64(p.Interval())
}

// Charge returns the state after an event of the given cost at slot. It never
// moves TAT back, whatever the order of the slots. It does not ask whether the
// event was allowed: see [State.Slot].
func (s State) Charge(slot int64, p FreqLimitParams, cost int) State {
	interval := int64(p.Interval())
	return State{
		TAT:      max(s.TAT, slot) + int64(cost)*interval,
		Last:     max(s.Last, slot),
		Interval: interval,
	}
}

// Rebase returns the state as the given params see it when others charged it.
// Debt that lies ahead of now and of the last slot given out is counted in
// events and measured in the new interval. So a limit that is raised lets events
// through at the new pace at once, and one that is lowered pays for the burst
// that was used up before. No debt is forgiven, lest users of one key whose
// params differ wipe out each other's.
//
// Without it a TAT is an instant, whoever put it there: that is how
// aiofreqlimit treats a key that is used with two sets of params.
func (s State) Rebase(now int64, p FreqLimitParams) State {
	interval := int64(p.Interval())
	if s.Interval == 0 || s.Interval == interval {
		return s
	}
	if base := max(now, s.Last); s.TAT > base {
		s.TAT = base + scale(s.TAT-base, interval, s.Interval, int64(MaxSpan))
	}
	s.Interval = interval
	return s
}

// scale returns ceil(x*mul/div), or most if that is less. All are positive.
func scale(x, mul, div, most int64) int64 {
	hi, lo := bits.Mul64(uint64(x), uint64(mul))
	if hi >= uint64(div) {
		return most
	}
	quo, rem := bits.Div64(hi, lo, uint64(div))
	if quo >= uint64(most) {
		return most
	}
	if rem > 0 {
		quo++
	}
	return int64(quo)
}
