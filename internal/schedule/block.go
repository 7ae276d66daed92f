package schedule

import "slices"

// A gate at which a claim keeps everyone waiting is blocked: it waits in the queue
// by time for the claim to end. Before, it is looked at again when
//
//   - the limit is taken, or opens earlier: see unblock;
//   - the holder waits no longer, or ranks lower: see retire and yield;
//   - a limit of the holder opens after the claimed instant: see raised;
//   - a lane of higher rank comes to it: see advanced.
//
// Of a limit with a gateTree no single gate is blocked: the tree knows the claim.

// pledge is one limit of the holder of a claim that blocks gates.
type pledge struct {
	claim *claim
	limit *limit
	most  int64 // the TAT with which the holder can still start as claimed
	pos   int32 // in contest.pledges
}

func (p *pledge) before(o *pledge) bool { return p.most < o.most }
func (p *pledge) place() *int32         { return &p.pos }

// block keeps a gate waiting because of a claim.
func (s *Scheduler) block(g *gate, c *claim) {
	if g.in != inTree {
		s.unwatch(g)
	}
	at := c.limit.contested()
	if at.claim != c {
		s.endClaim(c.limit)
		at.claim = c
	}
	if s.tau > s.decided {
		s.early = append(s.early, early{c, s.tau})
	}
	if !c.blocks() {
		s.pledge(c)
	}
	if g.in == inTree {
		g.limit.tree.claim = c
		s.refresh(g.limit.tree)
		return
	}
	c.blocked = append(c.blocked, g)
	g.blocked = true
	g.at = c.until(g)
	g.in = timed
	s.timed.push((*timedGate)(g))
}

// blocks reports whether the claim keeps anyone waiting.
func (c *claim) blocks() bool {
	return len(c.blocked) > 0 || c.limit.tree != nil && c.limit.tree.claim == c
}

// pledge has the limits of a claim's holder tell when they open too late.
func (s *Scheduler) pledge(c *claim) {
	if c.pledges == nil {
		c.pledges = make([]pledge, 0, len(c.lane.uses))
	}
	for i := range c.lane.uses {
		u := &c.lane.uses[i]
		if u.index < 0 {
			continue
		}
		c.pledges = append(c.pledges, pledge{claim: c, limit: u.limit(), most: c.start + u.gate.headroom})
		u.limit().contested().pledges.push(&c.pledges[len(c.pledges)-1])
	}
}

// retract is the opposite of pledge.
func (s *Scheduler) retract(c *claim) {
	for i := range c.pledges {
		p := &c.pledges[i]
		p.limit.contest.pledges.remove(p)
	}
	c.pledges = c.pledges[:0]
}

// unblocked takes a gate from those that are blocked.
func (s *Scheduler) unblocked(g *gate) {
	c := g.limit.contest.claim
	g.blocked = false
	c.blocked = slices.DeleteFunc(c.blocked, func(o *gate) bool { return o == g })
	if !c.blocks() {
		s.retract(c)
	}
}

// unblock has the blocked gates of a limit looked at again.
func (s *Scheduler) unblock(lim *limit) {
	c := lim.claim()
	if c == nil || !c.blocks() {
		return
	}
	blocked := c.blocked
	c.blocked = nil
	s.retract(c)
	if t := lim.tree; t != nil {
		t.claim = nil
		s.refresh(t)
	}
	for _, g := range blocked {
		g.blocked = false
		s.unwatch(g)
		s.watch(g)
	}
}

// endClaim ends the claim on a limit, if there is one.
func (s *Scheduler) endClaim(lim *limit) {
	if lim.claim() != nil {
		s.unblock(lim)
		lim.contest.claim = nil
	}
}

// yield is called when a lane that waits ranks lower than before: those whom its
// claims keep waiting may rank before it now.
func (s *Scheduler) yield(l *lane) {
	for i := range l.uses {
		lim := l.uses[i].limit()
		if c := lim.claim(); c != nil && c.lane == l {
			s.unblock(lim)
		}
	}
}

// raised is called when a limit may open later than before because of its debt.
func (s *Scheduler) raised(lim *limit) {
	if lim.contest == nil {
		return
	}
	for q := &lim.contest.pledges; q.len() > 0 && q.top().most < lim.state.TAT; {
		s.unblock(q.top().claim.limit)
	}
}

// upset is raised for whatever else may have it open later.
func (s *Scheduler) upset(lim *limit) {
	if lim.contest == nil {
		return
	}
	for q := &lim.contest.pledges; q.len() > 0; {
		s.unblock(q.top().claim.limit)
	}
}

// early is a claim that blocked a gate at an instant to come.
type early struct {
	claim *claim
	at    int64
}

// unblockEarly takes back what claims did at instants that are still to come: by
// then there may be no reason for it.
func (s *Scheduler) unblockEarly() {
	for _, e := range s.early {
		c := e.claim
		if e.at <= s.tau || c.limit.claim() != c {
			continue
		}
		s.unblock(c.limit)
		if c.made > s.tau {
			c.limit.contest.claim = nil
		}
	}
	s.keepEarly()
}

// keepEarly is called when a decision makes such an instant its own.
func (s *Scheduler) keepEarly() {
	clear(s.early)
	s.early = s.early[:0]
}
