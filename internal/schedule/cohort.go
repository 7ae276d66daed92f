package schedule

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// cohort is the lanes that wait for the same gates. While it has lanes it sits
// at one of the gates: at a closed one, or at one that has to be looked at.
type cohort struct {
	cross *crossing // nil: the gate at which it sits, and no other
	lanes queue[*lane]

	at  *gate // where it sits; nil without lanes
	pos int32 // in at.waiting
}

// crossing is two or more gates for which lanes wait.
type crossing struct {
	gates []*gate
	sat   []int64 // for stays: how long the cohort has been at each gate
	shown int64   // what the meter showed when that was added up
}

// before implements element, for the cohorts at a gate. Each must have a lane.
func (c *cohort) before(o *cohort) bool { return c.lanes.top().before(o.lanes.top()) }
func (c *cohort) place() *int32         { return &c.pos }

func (c *cohort) has(g *gate) bool {
	return c.at == g || c.cross != nil && slices.Contains(c.cross.gates, g)
}

// binding is the gate that opens last, if any is closed at tau.
func (c *cohort) binding(tau int64) *gate {
	if c.cross == nil {
		if c.at.open() > tau {
			return c.at
		}
		return nil
	}
	var last *gate
	latest := tau
	for _, g := range c.cross.gates {
		if at := g.open(); at > latest {
			last, latest = g, at
		}
	}
	return last
}

// settle puts a lane into the cohort where it has to wait. If the gate that
// binds the lane now is used by no other lane, that is all it waits for; else it
// waits for all gates that it shares. A gate that only this lane uses, and which
// is open, stays open until the lane itself is taken.
func (s *Scheduler) settle(l *lane) {
	var binding *gate
	latest := s.tau
	shared := s.shared[:0]
	for i := range l.uses {
		g := l.uses[i].gate
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
		s.join(l, &binding.solo, binding)
	case len(shared) == 0 && l.head.terms == nil:
		s.join(l, &s.free.solo, &s.free)
	case len(shared) == 0:
		s.join(l, &s.unbound.solo, &s.unbound)
	case len(shared) == 1:
		s.join(l, &shared[0].solo, shared[0])
	default:
		if binding == nil {
			binding = shared[0]
		}
		s.join(l, s.cohortOf(shared), binding)
	}
}

// cohortOf returns the cohort of two or more gates, which it sorts.
func (s *Scheduler) cohortOf(gates []*gate) *cohort {
	name := s.sortedName(gates)
	c, ok := s.cohorts.Get(string(name))
	if !ok {
		c = &cohort{cross: &crossing{gates: slices.Clone(gates)}}
		s.cohorts.Set(string(name), c)
	}
	return c
}

// sortedName returns what gates are called together, which it sorts: until the next call.
func (s *Scheduler) sortedName(gates []*gate) []byte {
	slices.SortFunc(gates, func(a, b *gate) int { return cmp.Compare(a.id, b.id) })
	s.cohortName = gatesName(gates, s.cohortName)
	return s.cohortName
}

// gatesName returns what a cohort of these gates is called in Scheduler.cohorts, in
// the given memory.
func gatesName(gates []*gate, memory []byte) []byte {
	name := memory[:0]
	for _, g := range gates {
		name = binary.LittleEndian.AppendUint64(name, g.id)
	}
	return name
}

// join adds a lane to a cohort, which comes to sit at g if it sits nowhere.
func (s *Scheduler) join(l *lane, c *cohort, g *gate) {
	l.cohort = c
	c.lanes.push(l)
	if c.at == nil {
		s.sit(c, g)
	} else if c.lanes.top() == l {
		s.rerank(c)
	}
	s.waits(c.at, 1)
	l.stay().come(c, s.meter.shows)
}

// unsettle takes a lane out of its cohort.
func (s *Scheduler) unsettle(l *lane) {
	c := l.cohort
	s.waits(c.at, -1)
	l.stay().leave(c, s.meter.shows)
	l.cohort = nil
	first := c.lanes.top() == l
	c.lanes.remove(l)
	if c.lanes.len() == 0 {
		s.rise(c)
		if c.cross != nil {
			s.cohortName = gatesName(c.cross.gates, s.cohortName)
			s.cohorts.Delete(string(s.cohortName))
		}
	} else if first {
		s.rerank(c)
	}
}

// rerank is called when the first lane of a cohort is another, or has another
// rank.
func (s *Scheduler) rerank(c *cohort) {
	g := c.at
	g.waiting.fix(c)
	s.advanced(g)
}

// advanced is called when the first lane of a gate may be another, or rank
// higher than before.
func (s *Scheduler) advanced(g *gate) {
	switch {
	case g.in == ready:
		s.ready.fix((*readyGate)(g))
	case g.in == inTree:
		s.reranked(g)
	case g.blocked:
		s.rewatch(g)
	}
}

// reranked is called when the first lane of a gate in a tree is another, or has another
// rank.
func (s *Scheduler) reranked(g *gate) {
	t := g.limit.tree
	t.root.update(g.cost)
	s.refresh(t)
}

// sit puts a cohort at a gate.
func (s *Scheduler) sit(c *cohort, g *gate) {
	c.at = g
	g.waiting.push(c)
	switch {
	case g.waiting.len() == 1:
		s.watch(g)
	case g.waiting.top() == c:
		s.advanced(g)
	}
}

// rise takes a cohort away from its gate.
func (s *Scheduler) rise(c *cohort) {
	g := c.at
	c.at = nil
	first := g.waiting.top() == c
	if g.waiting.len() > 1 {
		g.waiting.remove(c)
		switch {
		case first && g.in == ready:
			s.ready.fix((*readyGate)(g))
		case first && g.in == inTree:
			s.reranked(g)
		}
		return
	}
	// The queue of gates goes by the first cohort, so the gate leaves first.
	s.unwatch(g)
	g.waiting.remove(c)
}

// move is rise and sit.
func (s *Scheduler) move(c *cohort, g *gate) {
	if s.stays && c.cross != nil {
		c.cross.sit(c.at, s.meter.shows)
	}
	n := c.lanes.len()
	s.waits(c.at, -n)
	s.waits(g, n)
	s.rise(c)
	s.sit(c, g)
}

// watch puts a gate with cohorts where it will be found: by time while it is
// closed, by rank when it is open.
func (s *Scheduler) watch(g *gate) {
	if t := g.tree(); t != nil {
		t.insert(g)
		s.refresh(t)
	} else if at := g.open(); at > s.tau {
		g.at = at
		g.in = timed
		s.timed.push((*timedGate)(g))
	} else {
		g.in = ready
		s.ready.push((*readyGate)(g))
	}
}

// unwatch takes a gate out of its queue.
func (s *Scheduler) unwatch(g *gate) {
	switch g.in {
	case timed:
		s.timed.remove((*timedGate)(g))
	case ready:
		s.ready.remove((*readyGate)(g))
	case inTree:
		g.limit.tree.remove(g)
		s.refresh(g.limit.tree)
	}
	if g.blocked {
		s.unblocked(g)
	}
	g.in = nowhere
}

// rewatch looks again at whether a gate is closed.
func (s *Scheduler) rewatch(g *gate) {
	if g.in == inTree || g.ofTree() {
		s.refresh(g.limit.tree)
		return
	}
	s.unwatch(g)
	s.watch(g)
}
