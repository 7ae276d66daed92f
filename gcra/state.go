package gcra

import "math/bits"

// State is what GCRA stores for one key. The zero value is a key that was never charged. A
// State is a plain value: methods return the changed State, and the caller guards it against
// concurrent use. To take charges back, use a [Ledger].
//
// Params given to its methods must be valid, and costs valid for the params.
type State struct {
	// TAT is the theoretical arrival time. The key has debt until then.
	TAT int64

	// Last is the latest slot given out.
	Last int64

	// Interval is T of the latest charge; 0 if there was none.
	Interval int64
}

// Slot returns the earliest instant, not before now, at which an event of the
// given cost may happen.
func (s State) Slot(now int64, p FreqLimitParams, cost int) int64 {
	return max(now, s.TAT-Headroom(p, cost))
}

// Headroom returns how long before a key's TAT an event of the given cost may happen:
// (Burst - cost) * T nanoseconds. At cost 1 it is tau.
func Headroom(p FreqLimitParams, cost int) int64 {
	return int64(p.burst()-cost) * int64(p.Interval())
}

// Charge returns the state after an event of the given cost at slot. It never moves TAT
// back, whatever the order of the slots. It does not check that the event is allowed: see
// [State.Slot].
func (s State) Charge(slot int64, p FreqLimitParams, cost int) State {
	interval := int64(p.Interval())
	return State{
		TAT:      max(s.TAT, slot) + int64(cost)*interval,
		Last:     max(s.Last, slot),
		Interval: interval,
	}
}

// Rebase converts a state that was charged under other params to p. It counts the debt after
// now, and after the last slot given out, in events, and measures it in the new interval. So
// a raised limit lets events through at the new rate at once, and a lowered one pays for the
// burst that was used before. Rebase forgives no debt: callers that use one key with
// different params don't erase each other's.
//
// Without Rebase, a TAT is an instant, and the interval that it was charged with does not
// matter. aiofreqlimit treats a key with two sets of params that way.
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
