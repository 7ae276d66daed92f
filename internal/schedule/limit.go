package schedule

import (
	"math"

	"github.com/freqlimit/dispatcher/gcra"
)

// limit is the scheduler's picture of one limit. The backend may know of more
// debt than the picture shows, never of less.
type limit struct {
	name      *name
	params    gcra.FreqLimitParams // those used last
	state     gcra.State
	uncharged int64 // state.TAT before the latest charge
	closed    int64 // held until then

	gate gate // for the cost that was used first

	tree *gateTree // nil while there are few gates

	terms int32       // that name it and have jobs
	refs  int32       // lanes that wait or ask under it
	heads queue[*use] // of waiting lanes, by rank, but those that have waived

	contest *contest // nil until there is something in it

	prices *queue[*price] // of jobs that cost more than one and wait; nil: none
	hold   *hold          // nil unless it is held

	charged bool  // in Scheduler.charged
	inDebts bool  // in Scheduler.debts
	lowered bool  // in Scheduler.lowered
	renewed bool  // in Scheduler.renewed
	repaced bool  // and its interval is another
	spares  int16 // spare jobs taken for this batch
	missed  int16 // jobs refused in a row because of another limit, mostMissed at most

	clears   uint32 // Scheduler.clears, if it is in the picture
	pos      int32  // in Scheduler.debts
	waiting  int32  // heads at its gates
	forgetAt int64  // its place in Scheduler.debts
	lost     int64  // see Scheduler.lossOf
}

// before implements element, for the limits in debt.
func (lim *limit) before(o *limit) bool { return lim.forgetAt < o.forgetAt }
func (lim *limit) place() *int32        { return &lim.pos }

// gate is a limit as jobs of one cost see it.
type gate struct {
	id       uint64
	limit    *limit // nil: none
	next     *gate  // of the limit, for another cost
	cost     int    // 0: jobs that are not charged, and mind only a hold
	headroom int64  // how long before the TAT it opens; 0 if it is shut
	turn     int64  // the backend is not to be asked for a slot before then
	outage   *int64 // closed until then in any case; nil for jobs without limits
	also     *int64 // the same, but that is no slot: shutUntil, gateTree.turn or openFrom

	waiting queue[*cohort]
	solo    cohort // the lanes that wait for this gate alone
	at      int64  // its place in Scheduler.timed
	pos     int32  // there, or in Scheduler.ready
	in      gateState
	shut    bool // the cost is above Burst
	blocked bool // by a claim: it is timed

	node *gateNode // in limit.tree; of a tree's ready gate, where the first lane is
}

// What gate.also points to, so that gate.open is short enough to be inlined: if the gate is
// shut, and if it is neither shut nor in a tree.
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

func (g *timedGate) before(o *timedGate) bool { return g.at < o.at }
func (g *timedGate) place() *int32            { return &g.pos }

// readyGate is a gate in Scheduler.ready.
type readyGate gate

func (g *readyGate) before(o *readyGate) bool { return (*gate)(g).first().before((*gate)(o).first()) }
func (g *readyGate) place() *int32            { return &g.pos }

// open is the instant from which the gate is open.
func (g *gate) open() int64 {
	return max(g.slot(), g.turn, *g.also)
}

// slot is the earliest slot behind the gate. It may be before the instant at
// which the gate opens: others have been told to ask before.
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

// wait notes the turn that was given to a job behind a gate. Jobs that cost less
// have a turn of their own, unless there are many costs. Of two turns that are still to
// come, given for batches that crossed, the first one counts.
func (s *Scheduler) wait(now int64, asked *gate, turn int64) {
	if turn == 0 {
		return
	}
	note := func(at *int64) {
		if *at-s.cfg.Lead > now {
			*at = min(*at, turn)
		} else {
			*at = turn
		}
	}
	if t := asked.tree(); t != nil {
		note(&t.turn)
		return
	}
	for g := &asked.limit.gate; g != nil; g = g.next {
		if g.cost >= asked.cost {
			note(&g.turn)
		}
	}
}

func (s *Scheduler) setParams(now int64, lim *limit, p gcra.FreqLimitParams) {
	p.Burst = max(p.Burst, 1)
	if lim.params == p {
		return
	}
	if lim.params != (gcra.FreqLimitParams{}) {
		s.renew(lim, lim.params.Interval() != p.Interval())
	}
	lim.state = lim.state.Rebase(now, p)
	lim.uncharged = lim.state.TAT
	if doubted, ok := s.doubted.Get(lim); ok {
		s.doubted.Set(lim, doubted.Rebase(now, p))
	}
	lim.params = p
	s.alters(lim)
	for g := &lim.gate; g != nil; g = g.next {
		if g.cost > 0 {
			g.suit(p)
		}
	}
	s.lower(lim)
	s.endClaim(lim)
	s.upset(lim)
	s.opensEarlier(lim)
}

// charge is by how much a job at the gate moves the limit's TAT.
func (g *gate) charge() int64 {
	if g.limit == nil {
		return 0
	}
	return chargeOf(g.limit.params, g.cost)
}

// renew notes that a limit has got other params.
func (s *Scheduler) renew(lim *limit, repaced bool) {
	lim.repaced = lim.repaced || repaced
	if !lim.renewed {
		lim.renewed = true
		s.renewed = append(s.renewed, lim)
	}
}

// limitOf returns the limit with a key, a new one if need be.
func (s *Scheduler) limitOf(key string) *limit {
	n := s.nameOf(key)
	if n.limit == nil {
		n.limit = &limit{name: n, clears: s.clears, lost: s.losses.recall(key)}
	}
	return n.limit
}

// gateOf returns the gate of a limit for jobs of one cost.
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

// find returns the gate for a cost, nil if there is none, and how many there are if they
// are few.
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
		g.suit(lim.params)
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
		s.timed.fix((*timedGate)(g))
	}
}

// unused is called when a limit may be in use no more. It is kept while it has
// something to remember.
func (s *Scheduler) unused(lim *limit) {
	if lim.used() || lim.inDebts {
		return
	}
	lim.inDebts = true
	lim.forgetAt = lim.until()
	s.debts.push(lim)
}

// forget drops the limits that are not in use and have nothing to remember.
func (s *Scheduler) forget(now int64) {
	for s.debts.len() > 0 {
		lim := s.debts.top()
		if lim.forgetAt > now {
			return
		}
		if at := lim.until(); !lim.used() && at > now {
			lim.forgetAt = at
			s.debts.fix(lim)
			continue
		}
		s.debts.remove(lim)
		lim.inDebts = false
		if !lim.used() {
			s.trust(lim)
			s.losses.remember(lim)
			lim.name.limit = nil
			s.dropName(lim.name)
		}
	}
}

// muchMemory is how many elements are worth giving back the memory of.
const muchMemory = 1024

func (lim *limit) used() bool { return lim.terms > 0 || lim.refs > 0 }

// until is when the limit is as good as one never seen.
func (lim *limit) until() int64 { return max(lim.state.TAT, lim.closed) }
