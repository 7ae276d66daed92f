package schedule

import (
	"math"
	"time"
)

// A backend that other schedulers use too may name an instant before which not to ask for a limit:
// the turn of this scheduler. The instant is one of the real clock. tau may be up to a horizon
// ahead of it, so the gate stays closed until the clock, and not only tau, is there.

// turn is when the backend is to be asked again for jobs under a limit.
type turn struct {
	limit *limit
	at    int64
	pos   int32 // in Scheduler.turns
}

func (t *turn) Before(o *turn) bool { return t.at < o.at }
func (t *turn) Position() *int32    { return &t.pos }

// awaitTurn notes when to ask the backend again for jobs of at least this cost. If the limit has a
// gateTree, that applies to all its jobs. The latest answer counts: the backend knows which turns
// were used.
func (s *Scheduler) awaitTurn(lim *limit, cost int, at int64) {
	closed := at + s.cfg.Horizon // which no decision before that looks at
	if lim.tree != nil {
		lim.tree.turn = closed
	} else {
		for g := &lim.gate; g != nil; g = g.next {
			if g.cost >= cost {
				g.turn = closed
			}
		}
	}
	if lim.turn == nil {
		lim.turn = &turn{limit: lim, at: at}
		s.turns.Push(lim.turn)
		return
	}
	lim.turn.at = at
	s.turns.Fix(lim.turn)
}

// leastTurnCost returns the least cost of jobs that wait for a turn at the limit.
func (lim *limit) leastTurnCost() int {
	if lim.tree != nil {
		return 1
	}
	cost := math.MaxInt
	for g := &lim.gate; g != nil; g = g.next {
		if g.turn != 0 {
			cost = min(cost, g.cost)
		}
	}
	return cost
}

// Turn says that the turn of this scheduler at a limit is at another instant than a refusal said.
// It also tells the TAT of the limit under the given interval.
func (s *Scheduler) Turn(now int64, key string, at, tat int64, interval time.Duration) {
	lim := s.lookUp(key).limit
	if lim == nil {
		return
	}
	s.tick(now)
	if lim.turn != nil {
		s.awaitTurn(lim, lim.leastTurnCost(), at)
	}
	lim.told = lim.told || lim.asked > 0
	const rounding = time.Microsecond // a backend may count in these
	if same := (interval - lim.params.Interval()).Abs() < rounding; same && lim.learn(tat) {
		s.confirm(lim)
		s.debtRaised(lim)
	}
}

// takeTurns opens the limits whose turns have come.
func (s *Scheduler) takeTurns(now int64) {
	for s.turns.Len() > 0 && s.turns.Top().at <= now {
		lim := s.turns.Top().limit
		s.endTurn(lim)
		s.opensEarlier(lim)
	}
}

// endTurn ends the waiting for a turn at a limit.
func (s *Scheduler) endTurn(lim *limit) {
	if lim.turn == nil {
		return
	}
	s.turns.Remove(lim.turn)
	lim.turn = nil
	if lim.tree != nil {
		lim.tree.turn = 0
	}
	for g := &lim.gate; g != nil; g = g.next {
		g.turn = 0
	}
}

// BusiestLimit returns the limit of a job under which the most heads wait or ask: its index plus
// one. It returns 0 if as many do under each of them.
func (s *Scheduler) BusiestLimit(j *Job) int {
	if j.set == nil {
		return 0
	}
	main, most, least := 0, int32(0), int32(math.MaxInt32)
	for i, lim := range j.set.under {
		if lim.refs > most {
			main, most = i+1, lim.refs
		}
		least = min(least, lim.refs)
	}
	if most == least {
		return 0
	}
	return main
}
