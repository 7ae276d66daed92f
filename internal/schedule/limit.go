package schedule

import (
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/pqueue"
)

// limit is what the scheduler knows of one limit. In the backend the limit may have more debt than
// the scheduler knows of, and never less.
type limit struct {
	keyState *keyState
	params   gcra.FreqLimitParams // those given last
	state    gcra.State
	known    int64 // what state.TAT is without the jobs for which the backend is being asked
	closed   int64 // the end of its hold

	gate gate // for the cost that was used first

	tree *gateTree // nil while there are few gates

	sets  int32                   // limit sets that name it and have jobs
	refs  int32                   // lanes that wait or ask under it
	heads pqueue.Queue[*limitRef] // of waiting lanes, by rank, without those that waive their places

	contest *contest // nil until there is something in it

	costs *pqueue.Queue[*setCost] // of jobs that wait and cost more than one; nil: none
	hold  *hold                   // nil unless it is held
	turn  *turn                   // nil unless a turn is awaited

	charged         bool // in Scheduler.charged
	inDebts         bool // in Scheduler.debts
	burstLowered    bool // in Scheduler.lowered
	paramsChanged   bool // in Scheduler.paramsChanged
	intervalChanged bool // and its interval has changed
	speculative     int8 // speculative jobs taken for this batch
	told            bool // its TAT by news while jobs ask
	missed          int8 // jobs refused in a row because of another limit, mostMissed at most

	clears   uint32 // Scheduler.clears when it was last cleared or made
	pos      int32  // in Scheduler.debts
	waiting  int32  // heads at its gates
	asked    int32  // jobs that ask and have charged it
	forgetAt int64  // its place in Scheduler.debts
	waited   int64  // see Scheduler.waitedFor
}

// Before implements [pqueue.Element], for the limits in debt.
func (lim *limit) Before(o *limit) bool { return lim.forgetAt < o.forgetAt }
func (lim *limit) Position() *int32     { return &lim.pos }

func (s *Scheduler) setParams(now int64, lim *limit, p gcra.FreqLimitParams) {
	p.Burst = max(p.Burst, 1)
	if lim.params == p {
		return
	}
	if lim.params != (gcra.FreqLimitParams{}) {
		s.noteParams(lim, lim.params.Interval() != p.Interval())
	}
	known := lim.state
	known.TAT = lim.known
	lim.known = known.Rebase(now, p).TAT
	lim.state = lim.state.Rebase(now, p)
	if was, ok := s.unconfirmed.Get(lim); ok {
		s.unconfirmed.Set(lim, was.Rebase(now, p))
	}
	lim.params = p
	s.noteLimit(lim)
	for g := &lim.gate; g != nil; g = g.next {
		if g.cost > 0 {
			g.applyParams(p)
		}
	}
	s.checkBurst(lim)
	s.endClaim(lim)
	s.opensLater(lim)
	s.opensEarlier(lim)
}

// noteParams notes that a limit has other params.
func (s *Scheduler) noteParams(lim *limit, intervalChanged bool) {
	lim.intervalChanged = lim.intervalChanged || intervalChanged
	if !lim.paramsChanged {
		lim.paramsChanged = true
		s.paramsChanged = append(s.paramsChanged, lim)
	}
}

// limitOf returns the limit with a key. If there is none it makes one.
func (s *Scheduler) limitOf(key string) *limit {
	k := s.keyStateOf(key)
	if k.limit == nil {
		k.limit = &limit{keyState: k, clears: s.clears, waited: s.waitTimes.recall(key)}
	}
	return k.limit
}

// unused is called when a limit may no longer be in use. It is kept while it has debt or is held.
func (s *Scheduler) unused(lim *limit) {
	if lim.used() || lim.inDebts {
		return
	}
	lim.inDebts = true
	lim.forgetAt = lim.until()
	s.debts.Push(lim)
}

// forget drops the limits that are not in use, have no debt and are not held.
func (s *Scheduler) forget(now int64) {
	for s.debts.Len() > 0 {
		lim := s.debts.Top()
		if lim.forgetAt > now {
			return
		}
		if at := lim.until(); !lim.used() && at > now {
			lim.forgetAt = at
			s.debts.Fix(lim)
			continue
		}
		s.debts.Remove(lim)
		lim.inDebts = false
		if !lim.used() {
			s.confirm(lim)
			s.endTurn(lim)
			s.waitTimes.remember(lim)
			lim.keyState.limit = nil
			s.dropKeyState(lim.keyState)
		}
	}
}

func (lim *limit) used() bool { return lim.sets > 0 || lim.refs > 0 }

// until returns the instant from which the limit has no debt and is not held.
func (lim *limit) until() int64 { return max(lim.state.TAT, lim.closed) }
