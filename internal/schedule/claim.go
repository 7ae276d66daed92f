package schedule

import "github.com/freqlimit/dispatcher/internal/pqueue"

// A claim keeps a limit for a head that would starve without it. A head starves if others take
// each of its limits as soon as that opens, so that the limits are never open together, or if
// others spend what the head has to save up.
//
// A head that has waited for longer than its patience is overdue. If it ranks
// first under a limit, the holder, it may claim the limit: until the instant at
// which the holder can start, no head of lower rank takes the limit if that delays
// the holder. Heads that do not delay it go ahead. This is EASY backfilling
// as batch schedulers do it (Lifka, "The ANL/IBM SP Scheduling System", 1995),
// with one reservation a limit.
//
// # When a claim is worth it
//
// A claim costs others time, so it stands only while it lets the holder start earlier:
//
//   - The holder waits for its limits alone. A holder whose limits are all open, and
//     which has not been taken, waits for the claim of another head: then its own
//     claims keep nobody waiting.
//   - As things stand, it can start at the claimed instant. It can't if the head that
//     ranks first under another of its limits takes that limit first, or has a claim
//     on it beyond that instant, and it can't if it expires before.
//   - Its limits open as foreseen. The claim ends when one of them opens later.
//
// # What a claim costs
//
// A limit is idle when its debt is paid: from its TAT on, capacity is lost. A
// claim keeps a limit idle only to wait for limits that are no slower, measured by what
// the holder's job costs each of them. So the fastest limit of the holder, in most cases
// the one that all jobs share, is never idle for the others. When the slowest limits
// are open, they wait for the faster ones to open once more. Let c(limit) be the
// time by which a job moves a limit's TAT. Then:
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
// Of the overdue heads, the one that ranks first is first under all its limits, and
// no claim keeps it waiting. A head that takes one of its limits and delays it either
// ranks higher, or takes a limit that is faster than the one that opens last for it.
// In the second case the faster limit is then the one that opens last. So each of its
// limits delays its start once at most. When it has started, the next head is first.
//
// A head that ranks first under a limit and cannot use it for long waives its
// place there: see waive.go.

// claim is a claim on a limit.
type claim struct {
	limit *limit
	lane  *lane // of the holder
	gate  *gate // of the limit, for the holder
	claimTerms
	blocked []*gate
	watches []holderWatch
}

// claimTerms says what a claim keeps, and until when.
type claimTerms struct {
	start int64 // when the holder can start
	idles bool  // the limit may be idle for it
	slack int64 // c of the holder at its faster limits
	made  int64 // the instant of the decision at which it began
}

// contest is what a limit has while there are claims, or heads that waive their places.
type contest struct {
	claim   *claim                     // nil: none
	waived  pqueue.Queue[*waiver]      // of heads, by when they may come back
	waivers map[*limitRef]*waiver      // the same
	watches pqueue.Queue[*holderWatch] // for claims whose holders are under the limit
}

// ensureContest returns lim.contest. If there is none it makes one.
func (lim *limit) ensureContest() *contest {
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

// claimed returns a gate of a lane at which a claim of another lane keeps it waiting
// now, and the claim, which may be a new one. It returns nil if there is none. It judges all
// lanes by one slot, tau, and not each by its own. So if one lane is kept waiting at a
// gate, those of lower rank at the same gate are too.
func (s *Scheduler) claimed(l *lane) (*gate, *claim) {
	for i := range l.refs {
		ref := &l.refs[i]
		if c := ref.limit().claim(); c != nil && ref.index >= 0 && s.stands(c) && s.bars(c, ref) {
			return ref.gate, c
		}
	}
	for i := range l.refs {
		ref := &l.refs[i]
		if ref.index < 0 {
			continue
		}
		if c := s.claimBefore(ref); c != nil {
			return ref.gate, c
		}
	}
	return nil, nil
}

// stands reports whether a claim can still let its holder start earlier.
func (s *Scheduler) stands(c *claim) bool { return s.tau < c.start && c.lane.opens() <= c.start }

// bars reports whether a claim that stands keeps a lane from taking the limit now.
func (s *Scheduler) bars(c *claim, ref *limitRef) bool {
	return c.lane != ref.lane && c.lane.Before(ref.lane) && s.keeps(c, ref.gate)
}

// keeps is bars without regard to the rank of the lane. If it is true for a gate, it is true
// for those for jobs that cost more.
func (s *Scheduler) keeps(c *claim, g *gate) bool {
	return s.delays(c, g) && s.tau < c.until(g)
}

// delays reports whether the holder starts later if the limit is taken now.
func (s *Scheduler) delays(c *claim, g *gate) bool {
	return c.limit.state.Charge(s.tau, c.limit.params, g.cost).TAT-c.gate.headroom > c.start
}

// until returns the instant until which a claim keeps the lanes at a gate waiting.
func (c *claim) until(g *gate) int64 {
	full := c.limit.state.TAT // from then on the limit is idle
	if c.idles && c.start-full <= g.charge()+c.slack {
		return c.start
	}
	return min(c.start, full)
}

// claimBefore returns a new claim that keeps a lane from taking a limit now, nil if no head may
// make one.
func (s *Scheduler) claimBefore(ref *limitRef) *claim {
	lim := ref.limit()
	holder := s.first(lim)
	if holder == nil {
		return nil // the lane itself is set aside, and nobody else is there
	}
	h := holder.lane
	if h == ref.lane || h.overdue() > s.tau || !h.Before(ref.lane) {
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
	for i := range h.refs {
		if o := &h.refs[i]; o.gate.charge() < holder.gate.charge() {
			c.slack += o.gate.charge()
		}
	}
	if !s.bars(&c, ref) || !s.startsAt(h, start) {
		return nil
	}
	return new(c)
}

// overdue returns the instant from which the head may have a claim.
func (l *lane) overdue() int64 { return l.since + l.patience() }

// binding returns the instant at which the last of the head's limits opens, and that limit: the
// slowest of them if there are several.
func (l *lane) binding() (at int64, last *limitRef) {
	for i := range l.refs {
		ref := &l.refs[i]
		opens := ref.gate.open()
		if last == nil || opens > at || opens == at && ref.gate.charge() > last.gate.charge() {
			at, last = opens, ref
		}
	}
	return at, last
}

// indebted reports whether a limit opens as late as it does because of its debt.
func (ref *limitRef) indebted() bool {
	return ref.index >= 0 && ref.gate.open() == ref.limit().state.TAT-ref.gate.headroom
}

// startsAt reports whether a head can start at the instant at which its limits
// open, as far as can be told from who is first under each of them.
func (s *Scheduler) startsAt(h *lane, at int64) bool {
	for i := range h.refs {
		ref := &h.refs[i]
		if ref.index < 0 {
			continue
		}
		first := s.first(ref.limit())
		if s.hinders(first, ref, at) {
			return false
		}
		// Until then one that has waived its place may come back.
		if then := ref.limit().firstAt(at); then != first && s.hinders(then, ref, at) {
			return false
		}
	}
	return true
}

// hinders reports whether a head that is first under a limit keeps another from taking
// it at an instant. It may be nil.
func (s *Scheduler) hinders(first, ref *limitRef, at int64) bool {
	if first == nil || !first.Before(ref) {
		return false
	}
	lim, opens := ref.limit(), first.lane.opens()
	switch {
	case opens <= s.tau:
		return false // it is kept waiting
	case opens <= at:
		return lim.state.Charge(opens, lim.params, first.gate.cost).TAT-ref.gate.headroom > at
	}
	return first.lane.overdue() <= at &&
		lim.state.Charge(at, lim.params, ref.gate.cost).TAT-first.gate.headroom > opens
}

// isClaimed reports whether a claim keeps a lane waiting.
func (s *Scheduler) isClaimed(l *lane) bool {
	g, _ := s.claimed(l)
	return g != nil
}
