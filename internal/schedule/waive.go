package schedule

// A limit has one claim at a time: the claim of the head that ranks first there. A head that cannot
// use the limit for long must not stand in the way of others: it waits for another limit that
// opens much later, or a claim on another limit keeps it waiting. When a head of lower rank
// takes the limit before it, it waives its place there until the limit may matter to it again.
// At each of its limits, a start lets one head waive and two come back at most, so it takes
// O(log n).

// waiver is a head that waives its place under a limit.
type waiver struct {
	ref  *limitRef
	from int64 // when it may come back
	pos  int32 // in contest.waived
}

func (w *waiver) Before(o *waiver) bool {
	if w.from != o.from {
		return w.from < o.from
	}
	return w.ref.lane.head.before(o.ref.lane.head)
}
func (w *waiver) Position() *int32 { return &w.pos }

// first returns the head that ranks first under a limit, nil if there is none. Of the heads that
// have waived and may come back, only the one that may for longest counts.
func (s *Scheduler) first(lim *limit) *limitRef { return lim.firstAt(s.tau) }

// firstAt returns the head that will be first at an instant, of those that wait now.
func (lim *limit) firstAt(at int64) *limitRef {
	ref := lim.heads.Top()
	if lim.contest == nil || lim.contest.waived.Len() == 0 {
		return ref
	}
	if w := lim.contest.waived.Top(); w.from <= at && (ref == nil || w.ref.Before(ref)) {
		return w.ref
	}
	return ref
}

// isFirst reports whether a lane ranks first under all its limits and none of these has a
// contest. In most cases it does.
func (l *lane) isFirst() bool {
	for i := range l.refs {
		ref := &l.refs[i]
		if lim := ref.limit(); ref.index >= 0 && (lim.heads.Top() != ref || lim.contest != nil) {
			return false
		}
	}
	return true
}

// passed is called when a lane that was not first is about to take its limits. It waits no
// longer.
func (s *Scheduler) passed(l *lane) {
	for i := range l.refs {
		if ref := &l.refs[i]; ref.index >= 0 {
			s.passedAt(ref)
		}
	}
}

// passedAt is passed for one limit.
func (s *Scheduler) passedAt(by *limitRef) {
	lim := by.limit()
	if ref := s.first(lim); ref != nil && ref.Before(by) {
		if from := s.matters(ref, by); from > s.tau {
			s.waive(ref, from)
		}
	}
	if lim.contest == nil {
		return
	}
	for range mostBack {
		q := &lim.contest.waived
		if q.Len() == 0 || q.Top().from > s.tau {
			return
		}
		ref := q.Top().ref
		ref.comeBack()
		lim.heads.Push(ref)
	}
}

// mostBack is how many heads come back to a limit with a start: more than waive with it.
const mostBack = 2

// matters returns the instant from which a limit may matter again to ref, the head that is first
// under it, when by takes it.
func (s *Scheduler) matters(ref, by *limitRef) int64 {
	h := ref.lane
	start := h.opens()
	// However it is taken, it opens again when it has served one job of the head.
	if soon := start - ref.gate.charge(); soon > s.tau {
		return soon
	}
	if start <= s.tau || start > s.Deadline(h.head) || h.overdue() <= s.tau && !s.startsAt(h, start) {
		return s.tau + by.gate.charge()
	}
	return s.tau
}

// waive has a head waive its place under a limit.
func (s *Scheduler) waive(ref *limitRef, from int64) {
	c := ref.limit().ensureContest()
	if ref.hasWaived() {
		ref.comeBack()
	} else {
		ref.limit().heads.Remove(ref)
	}
	w := &waiver{ref: ref, from: from}
	if c.waivers == nil {
		c.waivers = make(map[*limitRef]*waiver)
	}
	c.waivers[ref] = w
	c.waived.Push(w)
}

// hasWaived reports whether a head that waits has waived its place under a limit.
func (ref *limitRef) hasWaived() bool {
	c := ref.limit().contest
	return c != nil && c.waivers[ref] != nil
}

// comeBack ends a waiver. The head is not among limit.heads yet.
func (ref *limitRef) comeBack() {
	c := ref.limit().contest
	c.waived.Remove(c.waivers[ref])
	delete(c.waivers, ref)
}

// leaveContest is called when a head no longer waits under a limit that has a contest.
func (s *Scheduler) leaveContest(ref *limitRef) {
	if c := ref.limit().contest.claim; c != nil && c.lane == ref.lane {
		s.endClaim(ref.limit())
	}
	if ref.hasWaived() {
		ref.comeBack()
	} else {
		ref.limit().heads.Remove(ref)
	}
}
