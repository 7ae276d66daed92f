package schedule

// A claim keeps a limit for a head that others would starve. Others would starve
// it because they take each of its limits as soon as it opens, so that its limits
// are never open together; or because they spend what it has to save up.
//
// A head that has waited for longer than its patience is overdue. If it ranks
// first under a limit, the holder, it may claim the limit: until the instant at
// which the holder can start, no head of lower rank takes the limit if that puts
// the holder off. What does not put it off goes ahead. This is EASY backfilling
// as batch schedulers do it (Lifka, "The ANL/IBM SP Scheduling System", 1995),
// with one reservation a limit.
//
// # When a claim is worth it
//
// A claim costs others time, so it stands only while the holder can start earlier
// for it:
//
//   - The holder waits for its limits alone. One whose limits are all open, and
//     which has not been taken, is kept waiting by a claim of another: its own
//     claims keep nobody waiting.
//   - It can start at the claimed instant, as things stand. If the head that ranks
//     first under another of its limits takes that limit first, or has a claim on
//     it beyond that instant, it can't. Nor can it if it expires before.
//   - Its limits open as foreseen. The claim ends when one of them opens later.
//
// # What a claim costs
//
// A limit is idle when its debt is paid: from its TAT on, capacity is lost. A
// claim keeps a limit idle only for the sake of limits that are no slower, by what
// the holder's job costs them. So the fastest limit of the holder, mostly the one
// that all jobs share, never stands idle for the others. When the slowest limits
// are open, they wait for the faster ones to open once more. So, with c(limit) the
// time by which a job moves a limit's TAT:
//
//   - No limit is idle while a job could start for longer than c of the job that
//     is kept waiting, plus c of the holder's job for each of the holder's limits
//     that are faster than the one that is idle. If the holder has not started by
//     then, others go ahead.
//     A job that is kept waiting at one limit leaves its other limits idle too.
//   - No limit is idle for a hold, a date, or an answer of the backend.
//   - With two limits, a holder costs the slower one less than one job of the
//     faster one takes, and the faster one nothing.
//
// # Why nothing starves
//
// Of the overdue heads the one that ranks first is first under all its limits, and
// no claim keeps it waiting. Whatever takes one of its limits, and puts it off, is
// of higher rank or does so at a limit that is faster than the one that opens last
// for it, which is then the one that opens last; so its start is put off once for
// each of its limits at most. Then the next one is first.
//
// A head that ranks first under a limit but has no use for it for long is set
// aside there: see waive.go.

// claim is a claim on a limit.
type claim struct {
	limit *limit
	lane  *lane // of the holder
	gate  *gate // of the limit, for the holder
	claimTerms
	blocked []*gate
	pledges []pledge
}

// claimTerms is what a claim is about.
type claimTerms struct {
	start int64 // when the holder can start
	idles bool  // the limit may be idle for it
	slack int64 // c of the holder at its faster limits
	made  int64 // the instant of the decision at which it began
}

// contest is what a limit has because of claims.
type contest struct {
	claim   *claim           // nil: none
	waived  queue[*waiver]   // of heads, by when they may come back
	waivers map[*use]*waiver // the same
	pledges queue[*pledge]   // of claims whose holders are under the limit
}

// contested returns lim.contest.
func (lim *limit) contested() *contest {
	if lim.contest == nil {
		lim.contest = &contest{}
	}
	return lim.contest
}

// claim returns the claim on a limit, nil if there is none.
func (lim *limit) claim() *claim {
	if lim.contest == nil {
		return nil
	}
	return lim.contest.claim
}

// claimed returns a gate of a lane at which a claim of another keeps it waiting
// now, and the claim, which may be a new one; nil if there is none. It judges all
// lanes by one slot, the clock of the decisions, not each by its own: so where one
// is kept waiting, those of lower rank at the same gate are too.
func (s *Scheduler) claimed(l *lane) (*gate, *claim) {
	for i := range l.uses {
		u := &l.uses[i]
		if c := u.limit().claim(); c != nil && u.index >= 0 && s.stands(c) && s.bars(c, u) {
			return u.gate, c
		}
	}
	for i := range l.uses {
		u := &l.uses[i]
		if u.index < 0 {
			continue
		}
		if c := s.claimBefore(u); c != nil {
			return u.gate, c
		}
	}
	return nil, nil
}

// stands reports whether a claim is still good for something.
func (s *Scheduler) stands(c *claim) bool { return s.tau < c.start && c.lane.opens() <= c.start }

// bars reports whether a claim that stands keeps a lane from taking the limit now.
func (s *Scheduler) bars(c *claim, u *use) bool {
	return c.lane != u.lane && c.lane.before(u.lane) && s.keeps(c, u.gate)
}

// keeps is bars, whatever the rank of the lane at the gate. If it is so at a gate, it is
// at those for jobs that cost more.
func (s *Scheduler) keeps(c *claim, g *gate) bool {
	return s.delays(c, g) && s.tau < c.until(g)
}

// delays reports whether the holder starts later if the limit is taken now.
func (s *Scheduler) delays(c *claim, g *gate) bool {
	return c.limit.state.Charge(s.tau, c.limit.params, g.cost).TAT-c.gate.headroom > c.start
}

// until is how long a claim keeps those at a gate waiting.
func (c *claim) until(g *gate) int64 {
	full := c.limit.state.TAT // from then on the limit is idle
	if c.idles && c.start-full <= g.charge()+c.slack {
		return c.start
	}
	return min(c.start, full)
}

// claimBefore returns a new claim that keeps a lane from taking a limit now, nil
// if nobody has one.
func (s *Scheduler) claimBefore(u *use) *claim {
	lim := u.limit()
	holder := s.first(lim)
	if holder == nil {
		return nil // the lane itself is set aside, and nobody else is there
	}
	h := holder.lane
	if h == u.lane || h.overdue() > s.tau || !h.before(u.lane) {
		return nil
	}
	if c := lim.claim(); c != nil && s.stands(c) {
		return nil
	}
	start, last := h.binding()
	if start > s.Deadline(h.head) {
		return nil
	}
	c := claim{limit: lim, lane: h, gate: holder.gate, claimTerms: claimTerms{start: start, made: s.tau}}
	c.idles = last.indebted() && last.gate.charge() <= holder.gate.charge()
	for i := range h.uses {
		if o := &h.uses[i]; o.gate.charge() < holder.gate.charge() {
			c.slack += o.gate.charge()
		}
	}
	if !s.bars(&c, u) || !s.startsAt(h, start) {
		return nil
	}
	return new(c)
}

// overdue is from when on the head may have a claim.
func (l *lane) overdue() int64 { return l.since + l.patience() }

// binding is when the last of the head's limits opens, and which that is: the
// slowest, if there are several.
func (l *lane) binding() (at int64, last *use) {
	for i := range l.uses {
		u := &l.uses[i]
		opens := u.gate.open()
		if last == nil || opens > at || opens == at && u.gate.charge() > last.gate.charge() {
			at, last = opens, u
		}
	}
	return at, last
}

// indebted reports whether it is for its debt that a limit opens no earlier.
func (u *use) indebted() bool {
	return u.index >= 0 && u.gate.open() == u.limit().state.TAT-u.gate.headroom
}

// startsAt reports whether a head can start at the instant at which its limits
// open, as far as can be told from who is first under each of them.
func (s *Scheduler) startsAt(h *lane, at int64) bool {
	for i := range h.uses {
		u := &h.uses[i]
		if u.index < 0 {
			continue
		}
		first := s.first(u.limit())
		if s.hinders(first, u, at) {
			return false
		}
		// Until then one that has waived its place may come back.
		if then := u.limit().firstAt(at); then != first && s.hinders(then, u, at) {
			return false
		}
	}
	return true
}

// hinders reports whether a head that is first under a limit keeps another from taking
// it at an instant. It may be nil.
func (s *Scheduler) hinders(first, u *use, at int64) bool {
	if first == nil || !first.before(u) {
		return false
	}
	lim, opens := u.limit(), first.lane.opens()
	switch {
	case opens <= s.tau:
		return false // it is kept waiting
	case opens <= at:
		return lim.state.Charge(opens, lim.params, first.gate.cost).TAT-u.gate.headroom > at
	}
	return first.lane.overdue() <= at &&
		lim.state.Charge(at, lim.params, u.gate.cost).TAT-first.gate.headroom > opens
}

// isClaimed reports whether a claim keeps a lane waiting.
func (s *Scheduler) isClaimed(l *lane) bool {
	g, _ := s.claimed(l)
	return g != nil
}
