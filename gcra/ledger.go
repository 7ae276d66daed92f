package gcra

import (
	"math"
	"slices"
	"time"
)

// Recall is how long after its slot a charge can be taken back if later charges were made. The
// latest charge can be taken back however old it is.
const Recall = 500 * time.Millisecond

// Ledger is a [State] that remembers its latest charges one by one, so that any of them can be
// taken back, in any order. The state is then as if the charge had never been made, with all
// other charges at the slots that they have.
//
// A Ledger remembers charges made since the key last had no debt, if their slots are not older
// than [Recall]. Charges of equal cost at one slot, or evenly spaced at the limit's rate, share
// a record. There are at most 33 records. One more, and the charges of the oldest can't be
// taken back any more. So a Ledger is small: a key that is used evenly needs no memory
// beyond the Ledger itself.
//
// The zero value is a key that was never charged. A Ledger must not be copied, and
// the caller guards it against concurrent use. Params given to its methods must be
// valid, and costs valid for the params.
type Ledger struct {
	state State

	// Invariant: state.TAT is base after the charges of older and then latest.
	// state.Last is the latest slot of these, or a slot that has passed.
	base   int64
	latest run
	older  *history // nil until it is needed
}

// history holds the records before the latest, in the order of the charges.
type history struct{ runs []run }

// mostRuns is the most records of a history.
const mostRuns = 32

// NewLedger returns a ledger that starts with state s. Charges made before can't be taken
// back.
func NewLedger(s State) Ledger {
	return Ledger{state: s, base: s.TAT, latest: sealed(s.Last)}
}

// State returns the state of the key.
func (l *Ledger) State() State { return l.state }

// Slot is [State.Slot].
func (l *Ledger) Slot(now int64, p FreqLimitParams, cost int) int64 {
	return l.state.Slot(now, p, cost)
}

// Rebase is [State.Rebase]. If the interval changes, no charge made before can be
// taken back.
func (l *Ledger) Rebase(now int64, p FreqLimitParams) {
	if s := l.state.Rebase(now, p); s != l.state {
		l.state = s
		l.seal()
	}
}

// Open is Rebase, and then Slot.
func (l *Ledger) Open(now int64, p FreqLimitParams, cost int) int64 {
	t := int64(p.Interval())
	if l.state.Interval != t {
		l.Rebase(now, p)
	}
	return max(now, l.state.TAT-int64(p.burst()-cost)*t)
}

// Charge is [State.Charge], made at now, which must not go back. Slots may come in any
// order.
func (l *Ledger) Charge(now, slot int64, p FreqLimitParams, cost int) {
	t := int64(p.Interval())
	s := &l.state
	switch {
	case s.TAT <= now: // the key has rested
		l.base = s.TAT
		l.latest = run{slot: slot, cost: int32(cost), count: 1}
		if l.older != nil {
			l.older.runs = l.older.runs[:0]
		}
	case s.Interval == t && l.latest.add(slot, cost, t):
	default:
		if s.Interval != t {
			l.seal()
		}
		l.keep(now, t)
		l.latest = run{slot: slot, cost: int32(cost), count: 1}
	}
	s.TAT = max(s.TAT, slot) + int64(cost)*t
	s.Last = max(s.Last, slot)
	s.Interval = t
	if cost > math.MaxInt32 {
		l.seal() // no record can hold it
	}
}

// Refund takes back a charge of this slot, params and cost, and reports whether it
// could. It can't if there is no such charge, if it was taken back before, or if it
// is forgotten: see [Ledger], [Ledger.Rebase] and [Recall]. Charges of one cost at
// one slot are all the same: each Refund takes back one of them.
//
// The limit never opens before a slot that is still held. So a refund may have no effect until
// later slots are taken back too, or have passed: at Burst 1 a charge taken back between two
// others leaves a hole of one interval.
func (l *Ledger) Refund(slot int64, p FreqLimitParams, cost int) bool {
	t := int64(p.Interval())
	if l.state.Interval != t || !l.remove(slot, cost, t) {
		return false
	}
	tat, last := l.base, int64(0)
	for _, r := range l.history() {
		tat, last = r.after(tat, t), max(last, r.last(t))
	}
	l.state.TAT, l.state.Last = l.latest.after(tat, t), max(last, l.latest.last(t))
	return true
}

// history returns the records before the latest.
func (l *Ledger) history() []run {
	if l.older == nil {
		return nil
	}
	return l.older.runs
}

// seal forgets all charges so far, so that they can't be taken back.
func (l *Ledger) seal() {
	l.base, l.latest = l.state.TAT, sealed(l.state.Last)
	if l.older != nil {
		l.older.runs = l.older.runs[:0]
	}
}

// keep moves the latest record to the older ones, and drops those that are outdated.
func (l *Ledger) keep(now, t int64) {
	runs, n := l.history(), 0
	for n < len(runs) && runs[n].outdated(now, t) {
		l.base = runs[n].after(l.base, t)
		n++
	}
	if n > 0 {
		l.older.runs = slices.Delete(runs, 0, n)
	}
	if n == len(runs) && l.latest.outdated(now, t) {
		l.base = l.latest.after(l.base, t)
		return
	}
	l.insert(len(runs)-n, l.latest, t)
}

// insert adds a record to the older ones. If there are too many, it merges the two oldest into
// one that can't be taken back.
func (l *Ledger) insert(at int, r run, t int64) {
	if l.older == nil {
		l.older = &history{}
	}
	runs := slices.Insert(l.older.runs, at, r)
	if len(runs) > mostRuns {
		l.base = runs[1].after(runs[0].after(l.base, t), t)
		runs[1] = sealed(max(runs[0].last(t), runs[1].last(t)))
		runs = slices.Delete(runs, 0, 1)
	}
	l.older.runs = runs
}

// remove takes out the latest charge of that slot and cost, and reports whether there
// is one.
func (l *Ledger) remove(slot int64, cost int, t int64) bool {
	if before, after, ok := l.latest.split(slot, cost, t); ok {
		if l.latest = after; after.count == 0 {
			l.latest = before
		} else if before.count != 0 {
			l.insert(len(l.history()), before, t)
		}
		if last := len(l.history()) - 1; l.latest.count == 0 && last >= 0 {
			l.latest = l.older.runs[last]
			l.older.runs = l.older.runs[:last]
		}
		return true
	}
	for i, r := range slices.Backward(l.history()) {
		before, after, ok := r.split(slot, cost, t)
		switch {
		case !ok:
			continue
		case before.count == 0 && after.count == 0:
			l.older.runs = slices.Delete(l.older.runs, i, i+1)
		case before.count == 0:
			l.older.runs[i] = after
		case after.count == 0:
			l.older.runs[i] = before
		default:
			l.older.runs[i] = after
			l.insert(i, before, t)
		}
		return true
	}
	return false
}
