package schedule

// A limit has one claim at a time, that of the head that ranks first there. So one
// that has no use for the limit for long must not be in the way of others: a head
// that waits for another limit, which opens much later, or which a claim on another
// limit keeps waiting. When a head of lower rank takes the limit past it, it waives
// its place there until the limit may matter to it again. Each start lets one head
// waive at each of its limits, and two come back at most, so it takes O(log n).

// waiver is a head that waives its place under a limit.
type waiver struct {
	use  *use
	from int64 // when it may come back
	pos  int32 // in contest.waived
}

func (w *waiver) before(o *waiver) bool {
	if w.from != o.from {
		return w.from < o.from
	}
	return w.use.lane.head.before(o.use.lane.head)
}
func (w *waiver) place() *int32 { return &w.pos }

// first is the head that ranks first under a limit, nil if there is none. Of those
// that have waived and may come back, only the one counts that may for longest.
func (s *Scheduler) first(lim *limit) *use { return lim.firstAt(s.tau) }

// firstAt is the head that will be the first at an instant, of those that wait now.
func (lim *limit) firstAt(at int64) *use {
	u := lim.heads.top()
	if lim.contest == nil || lim.contest.waived.len() == 0 {
		return u
	}
	if w := lim.contest.waived.top(); w.from <= at && (u == nil || w.use.before(u)) {
		return w.use
	}
	return u
}

// isFirst reports whether a lane ranks first under all its limits, and there are no
// claims on them: mostly that is so.
func (l *lane) isFirst() bool {
	for i := range l.uses {
		u := &l.uses[i]
		if lim := u.limit(); u.index >= 0 && (lim.heads.top() != u || lim.contest != nil) {
			return false
		}
	}
	return true
}

// passed is called when a lane that waits no longer is about to take its limits, unless
// it was the first.
func (s *Scheduler) passed(l *lane) {
	for i := range l.uses {
		if u := &l.uses[i]; u.index >= 0 {
			s.passedAt(u)
		}
	}
}

func (s *Scheduler) passedAt(by *use) {
	lim := by.limit()
	if u := s.first(lim); u != nil && u.before(by) {
		if from := s.matters(u, by); from > s.tau {
			s.waive(u, from)
		}
	}
	if lim.contest == nil {
		return
	}
	for range mostBack {
		q := &lim.contest.waived
		if q.len() == 0 || q.top().from > s.tau {
			return
		}
		u := q.top().use
		u.comeBack()
		lim.heads.push(u)
	}
}

// mostBack is how many heads come back to a limit with a start: more than waive.
const mostBack = 2

// matters is from when on a limit may matter again to the head that is first under it
// and past which another takes it.
func (s *Scheduler) matters(u, by *use) int64 {
	h := u.lane
	start := h.opens()
	// However it is taken, it opens again when it has served one job of the head.
	if soon := start - u.gate.charge(); soon > s.tau {
		return soon
	}
	if start <= s.tau || start > s.Deadline(h.head) || h.overdue() <= s.tau && !s.startsAt(h, start) {
		return s.tau + by.gate.charge()
	}
	return s.tau
}

// waive has a head waive its place under a limit.
func (s *Scheduler) waive(u *use, from int64) {
	c := u.limit().contested()
	if u.hasWaived() {
		u.comeBack()
	} else {
		u.limit().heads.remove(u)
	}
	w := &waiver{use: u, from: from}
	if c.waivers == nil {
		c.waivers = make(map[*use]*waiver)
	}
	c.waivers[u] = w
	c.waived.push(w)
}

// hasWaived reports whether a head that waits has waived its place under a limit.
func (u *use) hasWaived() bool {
	c := u.limit().contest
	return c != nil && c.waivers[u] != nil
}

// comeBack ends a waiver. The head is not among limit.heads yet.
func (u *use) comeBack() {
	c := u.limit().contest
	c.waived.remove(c.waivers[u])
	delete(c.waivers, u)
}

// retire is called when a head no longer waits under a limit that has a contest.
func (s *Scheduler) retire(u *use) {
	if c := u.limit().contest.claim; c != nil && c.lane == u.lane {
		s.endClaim(u.limit())
	}
	if u.hasWaived() {
		u.comeBack()
	} else {
		u.limit().heads.remove(u)
	}
}
