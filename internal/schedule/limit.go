package schedule

import (
	"math"
	"slices"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
)

// limit is the scheduler's picture of one limit. The backend may know of more
// debt than the picture shows, never of less.
type limit struct {
	key    string
	params gcra.FreqLimitParams // those used last
	state  gcra.State
	closed int64 // deferred until then

	gates []*gate    // one for each cost in use
	jobs  int        // jobs under it that have not ended
	refs  int        // lanes that wait or ask under it
	heads heap[*use] // of waiting lanes; the one overdue first is first
	held  []*gate    // its open gates at which a claim keeps everyone waiting
	holds []*limit   // limits with held gates, whose claims go by this one too

	charged bool // in Scheduler.charged
	spares  int  // spare jobs taken for this batch
	missed  int  // jobs refused in a row because of another limit, mostMissed at most

	inDebts  bool  // in Scheduler.debts
	pos      int32 // there
	forgetAt int64 // its place there
}

// gate is a limit as jobs of one cost see it.
type gate struct {
	id       uint64
	limit    *limit // nil: none
	cost     int    // 0: jobs that are not charged, and mind only a deferral
	headroom int64  // how long before the TAT it opens
	turn     int64  // the backend is not to be asked for a slot before then
	outage   *int64 // closed until then in any case; nil for jobs without limits

	waiting heap[*cohort]
	solo    cohort // the lanes that wait for this gate alone
	in      *heap[*gate]
	at      int64 // its place in Scheduler.timed
	pos     int32
}

// open is the instant from which the gate is open.
func (g *gate) open() int64 { return max(g.slot(), g.turn) }

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

// rank is that of the first lane; the gate must have a cohort.
func (g *gate) rank() *rank { return g.waiting.top().rank() }

// under is one limit of a job.
type under struct {
	limit *limit
	cost  int
}

// wait notes the turn that was given to a job behind a gate. Jobs that cost less
// have a turn of their own. Of two turns that are still to come, given for batches
// that crossed, the first one counts.
func (s *Scheduler) wait(now int64, asked *gate, turn int64) {
	if turn == 0 {
		return
	}
	for _, g := range asked.limit.gates {
		if g.cost < asked.cost {
			continue
		}
		if g.turn-s.cfg.Lead > now {
			g.turn = min(g.turn, turn)
		} else {
			g.turn = turn
		}
	}
}

// resolve finds the limits that a job names, and makes their params those that
// it names: a limit has one set of params, the newest. Jobs of a lane mostly are
// under the same limits and share the result.
func (s *Scheduler) resolve(now int64, limits []backend.Limit, last *Job) []under {
	found := s.found[:0]
	for i := range limits {
		l := &limits[i]
		lim := s.limits[l.Key]
		if lim == nil {
			lim = newLimit(l.Key)
			s.limits[l.Key] = lim
			s.peak = max(s.peak, len(s.limits))
		}
		s.setParams(now, lim, l.Params)
		lim.jobs++
		found = append(found, under{lim, l.Units()})
	}
	s.found = found
	if last != nil && slices.Equal(last.under, found) {
		return last.under
	}
	return slices.Clone(found)
}

// unresolve gives up the limits of a job that has ended.
func (s *Scheduler) unresolve(j *Job) {
	for _, u := range j.under {
		u.limit.jobs--
		s.unused(u.limit)
	}
	j.under = nil
}

func (s *Scheduler) setParams(now int64, lim *limit, p gcra.FreqLimitParams) {
	p.Burst = max(p.Burst, 1)
	if lim.params == p {
		return
	}
	lim.state = lim.state.Rebase(now, p)
	lim.params = p
	for _, g := range lim.gates {
		if g.cost > 0 {
			g.headroom = gcra.Headroom(p, g.cost)
		}
	}
	s.opensEarlier(lim)
	s.changed(lim)
}

func newLimit(key string) *limit {
	return &limit{key: key, heads: heap[*use]{
		before: func(a, b *use) bool {
			if a.lane.overdue != b.lane.overdue {
				return a.lane.overdue < b.lane.overdue
			}
			return a.lane.rank.seq < b.lane.rank.seq
		},
		place: func(u *use) *int32 { return &u.pos },
	}}
}

// gateOf returns the gate of a limit for jobs of one cost.
func (s *Scheduler) gateOf(lim *limit, cost int) *gate {
	for _, g := range lim.gates {
		if g.cost == cost {
			return g
		}
	}
	g := s.newGate(lim, cost)
	if cost > 0 {
		g.headroom = gcra.Headroom(lim.params, cost)
		g.outage = &s.outage
	}
	lim.gates = append(lim.gates, g)
	return g
}

func (s *Scheduler) newGate(lim *limit, cost int) *gate {
	s.gateID++
	g := &gate{id: s.gateID, limit: lim, cost: cost, waiting: heap[*cohort]{
		before: func(a, b *cohort) bool { return a.rank().before(*b.rank()) },
		place:  func(c *cohort) *int32 { return &c.pos },
	}}
	g.solo = newCohort(g)
	return g
}

// opensEarlier is called when a limit may open earlier than it seemed to.
func (s *Scheduler) opensEarlier(lim *limit) {
	for _, g := range lim.gates {
		if at := g.open(); g.in == &s.timed && at < g.at {
			g.at = at
			s.timed.fix(g)
		}
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
			delete(s.limits, lim.key)
		}
	}
	if s.peak > muchMemory && len(s.lanes) == 0 && len(s.limits) == 0 {
		s.reset()
	}
}

// muchMemory is how many limits or lanes are worth giving back the memory of
// once none is left: a map never shrinks.
const muchMemory = 1024

func (lim *limit) used() bool { return lim.jobs > 0 || lim.refs > 0 }

// until is when the limit is as good as one never seen.
func (lim *limit) until() int64 { return max(lim.state.TAT, lim.closed) }
