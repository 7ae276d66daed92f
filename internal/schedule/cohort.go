package schedule

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/freqlimit/dispatcher/internal/pqueue"
)

// cohort is the lanes that wait for the same gates. While it has lanes it is attached to one of
// the gates: a closed one, or one that has to be looked at.
type cohort struct {
	gates *gateSet // nil: only the gate to which it is attached
	lanes pqueue.Queue[*lane]

	at  *gate // to which it is attached; nil without lanes
	pos int32 // in at.waiting
}

// gateSet is two or more gates for which lanes wait.
type gateSet struct {
	gates   []*gate
	waited  []int64 // in a forecast: how long the cohort has been at each gate, in units of waitUnit
	reading int64   // of the meter when that was added up
}

// Before implements [pqueue.Element], for the cohorts at a gate. Each must have a lane.
func (c *cohort) Before(o *cohort) bool { return c.lanes.Top().Before(o.lanes.Top()) }
func (c *cohort) Position() *int32      { return &c.pos }

func (c *cohort) has(g *gate) bool {
	return c.at == g || c.gates != nil && slices.Contains(c.gates.gates, g)
}

// binding returns the gate that opens last, nil if all are open at tau.
func (c *cohort) binding(tau int64) *gate {
	if c.gates == nil {
		if c.at.open() > tau {
			return c.at
		}
		return nil
	}
	var last *gate
	latest := tau
	for _, g := range c.gates.gates {
		if at := g.open(); at > latest {
			last, latest = g, at
		}
	}
	return last
}

// joinCohort puts a lane into the cohort where it has to wait. If no other lane uses the gate
// that opens last for it, the lane waits for that gate alone. Otherwise it waits for all gates
// that it shares with others. A gate that only this lane uses does not matter once it is open: it
// stays open until the lane itself is taken.
func (s *Scheduler) joinCohort(l *lane) {
	var binding *gate
	latest := s.tau
	shared := s.shared[:0]
	for i := range l.refs {
		g := l.refs[i].gate
		if at := g.open(); at > latest {
			binding, latest = g, at
		}
		if g.limit.refs > 1 {
			shared = append(shared, g)
		}
	}
	s.shared = shared
	switch {
	case binding != nil && binding.limit.refs == 1:
		s.addToCohort(l, &binding.solo, binding)
	case len(shared) == 0 && l.head.set == nil:
		s.addToCohort(l, &s.free.solo, &s.free)
	case len(shared) == 0:
		s.addToCohort(l, &s.unbound.solo, &s.unbound)
	case len(shared) == 1:
		s.addToCohort(l, &shared[0].solo, shared[0])
	default:
		if binding == nil {
			binding = shared[0]
		}
		s.addToCohort(l, s.cohortOf(shared), binding)
	}
}

// cohortOf sorts gates, of which there are two or more, and returns their cohort.
func (s *Scheduler) cohortOf(gates []*gate) *cohort {
	key := s.sortedGateKey(gates)
	c, ok := s.cohorts.Get(string(key))
	if !ok {
		c = &cohort{gates: &gateSet{gates: slices.Clone(gates)}}
		s.cohorts.Set(string(key), c)
	}
	return c
}

// sortedGateKey sorts gates and returns their gateKey. It is valid until the next call.
func (s *Scheduler) sortedGateKey(gates []*gate) []byte {
	slices.SortFunc(gates, func(a, b *gate) int { return cmp.Compare(a.id, b.id) })
	s.gateKey = gateKey(gates, s.gateKey)
	return s.gateKey
}

// gateKey returns the key under which Scheduler.cohorts has the cohort of these gates, in
// the given memory.
func gateKey(gates []*gate, memory []byte) []byte {
	key := memory[:0]
	for _, g := range gates {
		key = binary.LittleEndian.AppendUint64(key, g.id)
	}
	return key
}

// addToCohort adds a lane to a cohort, and attaches the cohort to g if it is attached to no gate.
func (s *Scheduler) addToCohort(l *lane, c *cohort, g *gate) {
	l.cohort = c
	c.lanes.Push(l)
	if c.at == nil {
		s.attach(c, g)
	} else if c.lanes.Top() == l {
		s.rerank(c)
	}
	s.countWaiting(c.at, 1)
	l.waitLog().arrive(c, s.meter.shows)
}

// leaveCohort takes a lane out of its cohort.
func (s *Scheduler) leaveCohort(l *lane) {
	c := l.cohort
	s.countWaiting(c.at, -1)
	l.waitLog().leave(c, s.meter.shows)
	l.cohort = nil
	first := c.lanes.Top() == l
	c.lanes.Remove(l)
	if c.lanes.Len() == 0 {
		s.detach(c)
		if c.gates != nil {
			s.gateKey = gateKey(c.gates.gates, s.gateKey)
			s.cohorts.Delete(string(s.gateKey))
		}
	} else if first {
		s.rerank(c)
	}
}

// rerank is called when a cohort has another first lane, or its first lane has another rank.
func (s *Scheduler) rerank(c *cohort) {
	g := c.at
	g.waiting.Fix(c)
	s.advanced(g)
}

// advanced is called when a gate may have another first lane, or its first lane may rank higher
// than before.
func (s *Scheduler) advanced(g *gate) {
	switch {
	case g.in == ready:
		s.ready.Fix((*readyGate)(g))
	case g.in == inTree:
		s.reranked(g)
	case g.blocked:
		s.rewatch(g)
	}
}

// reranked is called when a gate in a tree has another first lane, or its first lane has another
// rank.
func (s *Scheduler) reranked(g *gate) {
	t := g.limit.tree
	t.root.update(g.cost)
	s.refresh(t)
}

// attach attaches a cohort to a gate.
func (s *Scheduler) attach(c *cohort, g *gate) {
	c.at = g
	g.waiting.Push(c)
	switch {
	case g.waiting.Len() == 1:
		s.watch(g)
	case g.waiting.Top() == c:
		s.advanced(g)
	}
}

// detach is the opposite of attach.
func (s *Scheduler) detach(c *cohort) {
	g := c.at
	c.at = nil
	first := g.waiting.Top() == c
	if g.waiting.Len() > 1 {
		g.waiting.Remove(c)
		switch {
		case first && g.in == ready:
			s.ready.Fix((*readyGate)(g))
		case first && g.in == inTree:
			s.reranked(g)
		}
		return
	}
	// The queue of gates goes by the first cohort, so the gate leaves first.
	s.unwatch(g)
	g.waiting.Remove(c)
}

// move detaches a cohort from its gate and attaches it to g.
func (s *Scheduler) move(c *cohort, g *gate) {
	if s.logWaits && c.gates != nil {
		c.gates.addUp(c.at, s.meter.shows)
	}
	n := c.lanes.Len()
	s.countWaiting(c.at, -n)
	s.countWaiting(g, n)
	s.detach(c)
	s.attach(c, g)
}

// watch puts a gate with cohorts into its queue: by time while it is closed, by rank when it is
// open.
func (s *Scheduler) watch(g *gate) {
	if t := g.tree(); t != nil {
		t.insert(g)
		s.refresh(t)
	} else if at := g.open(); at > s.tau {
		g.at = at
		g.in = timed
		s.timed.Push((*timedGate)(g))
	} else {
		g.in = ready
		s.ready.Push((*readyGate)(g))
	}
}

// unwatch takes a gate out of its queue.
func (s *Scheduler) unwatch(g *gate) {
	switch g.in {
	case timed:
		s.timed.Remove((*timedGate)(g))
	case ready:
		s.ready.Remove((*readyGate)(g))
	case inTree:
		g.limit.tree.remove(g)
		s.refresh(g.limit.tree)
	}
	if g.blocked {
		s.unblocked(g)
	}
	g.in = nowhere
}

// rewatch puts a gate into the queue where it belongs now.
func (s *Scheduler) rewatch(g *gate) {
	if g.in == inTree || g.ofTree() {
		s.refresh(g.limit.tree)
		return
	}
	s.unwatch(g)
	s.watch(g)
}
