package schedule

import "slices"

// A gate is blocked while a claim keeps all its lanes waiting: it is in the queue by time until
// the claim ends. It is looked at earlier if
//
//   - the limit is taken, or opens earlier: see unblock;
//   - the holder waits no longer, or ranks lower: see leaveContest and rankLowered;
//   - a limit of the holder opens after the claimed instant: see debtRaised and opensLater;
//   - a lane of higher rank comes to it: see advanced.
//
// If a limit has a gateTree, none of its gates is blocked: the tree has the claim.

// holderWatch watches one limit of the holder of a claim that blocks gates.
type holderWatch struct {
	claim *claim
	limit *limit
	most  int64 // the TAT with which the holder can still start as claimed
	pos   int32 // in contest.watches
}

func (p *holderWatch) Before(o *holderWatch) bool { return p.most < o.most }
func (p *holderWatch) Position() *int32           { return &p.pos }

// block blocks a gate because of a claim.
func (s *Scheduler) block(g *gate, c *claim) {
	if g.in != inTree {
		s.unwatch(g)
	}
	at := c.limit.ensureContest()
	if at.claim != c {
		s.endClaim(c.limit)
		at.claim = c
	}
	if s.tau > s.decided {
		s.earlyClaims = append(s.earlyClaims, earlyClaim{c, s.tau})
	}
	if !c.blocks() {
		s.watchHolder(c)
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
	s.timed.Push((*timedGate)(g))
}

// blocks reports whether the claim keeps anyone waiting.
func (c *claim) blocks() bool {
	return len(c.blocked) > 0 || c.limit.tree != nil && c.limit.tree.claim == c
}

// watchHolder watches the limits of a claim's holder: the claim ends if one opens too late.
func (s *Scheduler) watchHolder(c *claim) {
	if c.watches == nil {
		c.watches = make([]holderWatch, 0, len(c.lane.refs))
	}
	for i := range c.lane.refs {
		ref := &c.lane.refs[i]
		if ref.index < 0 {
			continue
		}
		c.watches = append(c.watches, holderWatch{claim: c, limit: ref.limit(), most: c.start + ref.gate.headroom})
		ref.limit().ensureContest().watches.Push(&c.watches[len(c.watches)-1])
	}
}

// unwatchHolder is the opposite of watchHolder.
func (s *Scheduler) unwatchHolder(c *claim) {
	for i := range c.watches {
		p := &c.watches[i]
		p.limit.contest.watches.Remove(p)
	}
	c.watches = c.watches[:0]
}

// unblocked notes that a gate is no longer blocked.
func (s *Scheduler) unblocked(g *gate) {
	c := g.limit.contest.claim
	g.blocked = false
	c.blocked = slices.DeleteFunc(c.blocked, func(o *gate) bool { return o == g })
	if !c.blocks() {
		s.unwatchHolder(c)
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
	s.unwatchHolder(c)
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

// rankLowered is called when a lane that waits ranks lower than before: lanes that its claims keep
// waiting may rank before it now.
func (s *Scheduler) rankLowered(l *lane) {
	for i := range l.refs {
		lim := l.refs[i].limit()
		if c := lim.claim(); c != nil && c.lane == l {
			s.unblock(lim)
		}
	}
}

// debtRaised is called when a limit may open later than before because of its debt.
func (s *Scheduler) debtRaised(lim *limit) {
	if lim.contest == nil {
		return
	}
	for q := &lim.contest.watches; q.Len() > 0 && q.Top().most < lim.state.TAT; {
		s.unblock(q.Top().claim.limit)
	}
}

// opensLater is debtRaised for any other reason.
func (s *Scheduler) opensLater(lim *limit) {
	if lim.contest == nil {
		return
	}
	for q := &lim.contest.watches; q.Len() > 0; {
		s.unblock(q.Top().claim.limit)
	}
}

// earlyClaim is a claim that blocked a gate at an instant to come.
type earlyClaim struct {
	claim *claim
	at    int64
}

// undoEarlyClaims undoes what claims did at instants that are still to come: there may be no
// reason for it when they come.
func (s *Scheduler) undoEarlyClaims() {
	for _, e := range s.earlyClaims {
		c := e.claim
		if e.at <= s.tau || c.limit.claim() != c {
			continue
		}
		s.unblock(c.limit)
		if c.made > s.tau {
			c.limit.contest.claim = nil
		}
	}
	s.forgetEarlyClaims()
}

// forgetEarlyClaims is called when a decision is made at such an instant: the claims stay.
func (s *Scheduler) forgetEarlyClaims() {
	clear(s.earlyClaims)
	s.earlyClaims = s.earlyClaims[:0]
}
