package schedule

import (
	"math"

	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/pqueue"
)

// gate is a limit as jobs of one cost see it.
type gate struct {
	id       uint64
	limit    *limit // nil: none
	next     *gate  // of the limit, for another cost
	cost     int    // 0: for jobs that are not charged, and wait only for a hold
	headroom int64  // how long before the TAT the gate opens; 0 if it is shut
	turn     int64  // closed until then, for the turns of others: see turn.go
	outage   *int64 // closed until then in any case; nil for jobs without limits
	also     *int64 // the same, but slots do not depend on it: shutUntil, gateTree.turn or openFrom

	waiting pqueue.Queue[*cohort]
	solo    cohort // the lanes that wait for this gate alone
	at      int64  // its place in Scheduler.timed
	pos     int32  // there, or in Scheduler.ready
	in      gateState
	shut    bool // the cost is above Burst
	blocked bool // by a claim: it is timed

	node *gateNode // in limit.tree; of a tree's ready gate, where the first lane is
}

// gate.also points to shutUntil if the gate is shut, and to openFrom if it is neither shut nor in a
// tree. So gate.open is short enough to be inlined.
var (
	shutUntil int64 = never
	openFrom  int64 = math.MinInt64
)

// gateState is where a gate is.
type gateState uint8

const (
	nowhere gateState = iota // without cohorts
	timed                    // in Scheduler.timed
	ready                    // in Scheduler.ready
	inTree                   // in limit.tree
)

// timedGate is a gate in Scheduler.timed.
type timedGate gate

func (g *timedGate) Before(o *timedGate) bool { return g.at < o.at }
func (g *timedGate) Position() *int32         { return &g.pos }

// readyGate is a gate in Scheduler.ready.
type readyGate gate

func (g *readyGate) Before(o *readyGate) bool { return (*gate)(g).first().Before((*gate)(o).first()) }
func (g *readyGate) Position() *int32         { return &g.pos }

// open returns the instant from which the gate is open.
func (g *gate) open() int64 {
	return max(g.slot(), g.turn, *g.also)
}

// slot returns the earliest slot behind the gate. The slot may be before the instant at which the
// gate opens, if the scheduler awaits its turn.
func (g *gate) slot() int64 {
	at := int64(math.MinInt64)
	if g.outage != nil {
		at = *g.outage
	}
	if g.limit == nil {
		return at
	}
	at = max(at, g.limit.closed)
	if g.cost > 0 {
		at = max(at, g.limit.state.TAT-g.headroom)
	}
	return at
}

// charge returns by how much a job at the gate moves the limit's TAT.
func (g *gate) charge() int64 {
	if g.limit == nil {
		return 0
	}
	return chargeOf(g.limit.params, g.cost)
}

// gateOf returns the gate of a limit for jobs of one cost. If there is none it makes one.
func (s *Scheduler) gateOf(lim *limit, cost int) *gate {
	if lim.gate.limit == nil {
		s.initGate(&lim.gate, lim, cost)
		return &lim.gate
	}
	g, gates := lim.find(cost)
	if g != nil {
		return g
	}
	g = &gate{next: lim.gate.next}
	lim.gate.next = g
	s.initGate(g, lim, cost)
	if lim.tree != nil {
		lim.tree.byCost[cost] = g
	} else if gates >= s.few {
		s.growTree(lim)
	}
	return g
}

// find returns the gate for a cost. If there is none it returns nil and how many gates the limit
// has, or 0 if it has a tree.
func (lim *limit) find(cost int) (g *gate, gates int) {
	if lim.tree != nil && lim.gate.cost != cost {
		return lim.tree.byCost[cost], 0
	}
	for g := &lim.gate; g != nil; g = g.next {
		if g.cost == cost {
			return g, 0
		}
		gates++
	}
	return nil, gates
}

// initGate sets up a gate of a limit, which may be nil.
func (s *Scheduler) initGate(g *gate, lim *limit, cost int) {
	s.gateID++
	g.id, g.limit, g.cost, g.also = s.gateID, lim, cost, &openFrom
	if cost > 0 {
		g.applyParams(lim.params)
		g.outage = &s.outage
	}
}

// opensEarlier is called when a limit may open earlier than it seemed to.
func (s *Scheduler) opensEarlier(lim *limit) {
	if lim.tree != nil {
		s.refresh(lim.tree)
		if g := lim.tree.byCost[0]; g != nil {
			s.hasten(g)
		}
		return
	}
	for g := &lim.gate; g != nil; g = g.next {
		s.hasten(g)
	}
}

// hasten is called when a gate may open earlier than it seemed to.
func (s *Scheduler) hasten(g *gate) {
	if g.in != timed {
		return
	}
	if at := g.open(); at < g.at {
		g.at = at
		s.timed.Fix((*timedGate)(g))
	}
}

// applyParams sets what depends on the params of the limit.
func (g *gate) applyParams(p gcra.FreqLimitParams) {
	most := max(p.Burst, 1)
	g.shut = g.cost > most
	switch t := g.tree(); {
	case g.shut:
		g.also = &shutUntil
	case t != nil:
		g.also = &t.turn
	default:
		g.also = &openFrom
	}
	g.headroom = gcra.Headroom(p, min(g.cost, most))
}
