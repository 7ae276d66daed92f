package gcra

import "math"

// run is a record of consecutive charges of one cost c. Either all are at one slot, like a
// burst after a rest, or they are c intervals apart, like the slots of a busy limit. The zero
// value is a record of no charges.
type run struct {
	slot  int64 // of the first
	cost  int32 // of each; 0: see sealed
	count int32 // the number of charges, negative if they are spaced
}

// sealed returns a record of charges that can't be taken back, the latest of them at slot.
// It changes no TAT.
func sealed(slot int64) run { return run{slot: slot, count: 1} }

// newRun returns a record of n charges.
func newRun(slot int64, cost int32, n int64, spaced bool) run {
	switch {
	case n == 0:
		return run{}
	case spaced && n > 1:
		n = -n
	}
	return run{slot, cost, int32(n)}
}

// size returns the number of charges.
func (r run) size() int64 { return max(int64(r.count), -int64(r.count)) }

// total returns how far all charges together move a TAT. Here and below, t is the interval T.
func (r run) total(t int64) int64 { return r.size() * int64(r.cost) * t }

// after returns what the charges make of a TAT. The result is the same for charges at one slot
// and for spaced ones: a later slot of the latter has as much less charged after it.
func (r run) after(tat, t int64) int64 { return max(tat, r.slot) + r.total(t) }

// last returns the slot of the last charge.
func (r run) last(t int64) int64 {
	if r.count > 0 {
		return r.slot
	}
	return r.slot + max(r.size()-1, 0)*int64(r.cost)*t
}

// outdated reports whether the record can be forgotten without any effect.
func (r run) outdated(now, t int64) bool {
	if r.cost == 0 {
		return r.slot <= now
	}
	return r.last(t) < now-int64(Recall)
}

// add adds a charge, and reports whether it could.
func (r *run) add(slot int64, cost int, t int64) bool {
	if int(r.cost) != cost || r.size() == math.MaxInt32 {
		return false
	}
	switch {
	case r.count > 0 && slot == r.slot:
		r.count++
	case r.count <= 1 && slot == r.slot+r.total(t):
		r.count = int32(-r.size() - 1)
	default:
		return false
	}
	return true
}

// split returns the charges before and after one of that slot and cost, and whether there
// is one.
func (r run) split(slot int64, cost int, t int64) (before, after run, ok bool) {
	if r.cost == 0 || int(r.cost) != cost {
		return run{}, run{}, false
	}
	if r.count > 0 {
		return newRun(r.slot, r.cost, r.size()-1, false), run{}, slot == r.slot
	}
	step, ahead := int64(cost)*t, slot-r.slot
	n := ahead / step
	if ahead < 0 || ahead%step != 0 || n >= r.size() {
		return run{}, run{}, false
	}
	return newRun(r.slot, r.cost, n, true), newRun(slot+step, r.cost, r.size()-1-n, true), true
}
