package schedule

import "math"

// Next takes the next job, if one may be taken now. With ask, the job has limits
// and the backend must be asked for [Scheduler.Request] within the horizon; the
// answer is one of [Scheduler.Granted], [Scheduler.Refused], [Scheduler.Failed]
// and [Scheduler.Rejected]. Without, the job starts at j.Slot. Either way it has
// a worker. Next returns nil when no job may be taken; it is called again after
// any event, and at the instant that [Scheduler.Wake] returns.
//
// Who answers each job before taking the next gets the exact order. Who takes
// several first, to ask for them in one batch, gets jobs of other lanes in place
// of the second job of a lane.
func (s *Scheduler) Next(now int64) (j *Job, ask bool) {
	s.tick(now)
	s.forget(now)
	s.tau = max(s.tau, now)
	s.decided = s.tau
	s.came, s.lapsed = 0, 0
	all := s.arriveAll(now)
	if s.paused {
		s.filling = false
		s.meter.runs = false
		return nil, false
	}
	if len(s.early) > 0 {
		s.unblockEarly()
	}
	reach := s.cfg.Lead
	if s.filling {
		reach = s.cfg.Horizon
	}
	for s.idle > 0 && s.lapsed < mostLapses {
		s.openGates()
		if s.ready.len() > 0 {
			if l := s.pick(now); l != nil {
				s.filling = true
				return s.take(now, l)
			}
			continue
		}
		at, ok := s.coming()
		if !all || !ok || at > now+reach {
			break
		}
		s.tau = at
		all = s.arriveAll(now)
	}
	s.tau = s.decided
	s.retreat(now, now+reach)
	s.filling = false
	s.meter.runs = s.idle > 0
	return nil, false
}

// Wake returns the instant at which Next is to be called again if nothing
// happens before; false if there is none.
func (s *Scheduler) Wake() (int64, bool) {
	at, ok := int64(math.MaxInt64), false
	look := func(then int64) { at, ok = min(at, then), true }
	if len(s.expired) > 0 || s.lapsed == mostLapses {
		look(s.decided)
	}
	if s.idle > 0 && !s.paused {
		if s.timed.len() > 0 {
			look(s.timed.top().at - s.cfg.Lead)
		}
		if s.dates.len() > 0 {
			look(s.dates.top().NotBefore - s.cfg.Lead)
		}
		if s.tried.len() > 0 {
			look(s.tried.top().NotBefore)
		}
	}
	if s.deadlines.len() > 0 {
		look(s.deadlines.top().Deadline + 1)
	}
	return at, ok
}

// coming returns the next instant at which a gate opens or a job's date comes.
func (s *Scheduler) coming() (at int64, ok bool) {
	at = math.MaxInt64
	if s.timed.len() > 0 {
		at, ok = s.timed.top().at, true
	}
	for _, q := range [...]*queue[*byDate]{&s.dates, &s.tried} {
		if q.len() > 0 {
			at, ok = min(at, q.top().NotBefore), true
		}
	}
	return at, ok
}

// Tidy returns the instant at which Next is to be called if nothing is to be
// done but to give back memory; false if there is none to give.
func (s *Scheduler) Tidy() (int64, bool) {
	if s.debts.len() == 0 {
		return 0, false
	}
	return s.debts.top().forgetAt + tidyDelay, true
}

// tidyDelay is how long after it may go a limit is kept, nanoseconds, so that
// Next is called for many at a time: a second.
const tidyDelay = 1e9

// decide makes tau the instant of a decision: nothing is taken back of what has been
// looked at up to it.
func (s *Scheduler) decide() {
	s.decided = s.tau
	s.keepEarly()
	s.keepAhead()
}

// openGates moves the gates that have opened from the queue by time to that by
// rank.
func (s *Scheduler) openGates() {
	for s.timed.len() > 0 {
		g := (*gate)(s.timed.top())
		if g.at > s.tau {
			return
		}
		s.rewatch(g)
	}
}

// pick looks at the lane that ranks first behind an open gate, and returns it if
// it may be taken. If not, it moves what is in the wrong place and returns nil.
func (s *Scheduler) pick(now int64) *lane {
	c := (*gate)(s.ready.top()).first()
	g := c.at
	if g.open() > s.tau {
		s.rewatch(g)
		return nil
	}
	if closed := c.binding(s.tau); closed != nil {
		s.move(c, closed)
		return nil
	}
	l := c.lanes.top()
	if l.opens() > s.tau {
		// By a gate that the cohort is not for: the lane was alone with it.
		s.resettle(l)
		return nil
	}
	if !l.isFirst() && s.barred(l, g) {
		return nil
	}
	if l.head.hasDates() && s.slot(now, l) > s.Deadline(l.head) {
		s.decide()
		s.lapsed++
		s.expired = append(s.expired, l.head)
		s.Remove(now, l.head)
		return nil
	}
	return l
}

// barred reports whether a claim keeps a lane waiting that was found at a gate. If so,
// it waits from now on for the claim to end.
func (s *Scheduler) barred(l *lane, at *gate) bool {
	claimed, c := s.claimed(l)
	switch {
	case claimed == nil:
		return false
	case claimed == at:
		s.block(at, c)
	case l.cohort.has(claimed):
		s.move(l.cohort, claimed)
	default:
		s.resettle(l)
	}
	return true
}

// resettle puts a lane where it has to wait now.
func (s *Scheduler) resettle(l *lane) {
	s.unsettle(l)
	s.settle(l)
}

// reenter has a lane that competes do so under all that its head is under now.
func (s *Scheduler) reenter(now int64, l *lane) {
	s.suspend(l)
	s.compete(now, l, false)
}

// take gives the head of a waiting lane a worker and charges its limits.
func (s *Scheduler) take(now int64, l *lane) (j *Job, ask bool) {
	s.touch(l)
	j = l.head
	slot := s.slot(now, l)
	if j.hasDates() {
		s.leave(j)
	}
	s.decide()
	s.tick(s.tau)
	s.idle--
	s.meter.runs = s.idle > 0
	if j.terms == nil && s.goesOn(now, l) {
		s.startFree(now, l, slot)
		return j, false
	}
	first := j.terms == nil || l.isFirst()
	s.withdraw(l)
	s.unawait(j)
	l.state = asking
	s.occupy(now, l)
	j.Slot = slot
	if j.terms == nil {
		s.start(now, l, slot)
		return j, false
	}
	if !first {
		s.passed(l)
	}
	for i := range l.uses {
		if u := &l.uses[i]; u.index >= 0 {
			lim := u.limit()
			lim.uncharged = lim.state.TAT
			lim.state = lim.state.Charge(slot, lim.params, u.gate.cost)
			if lim.contest != nil {
				s.endClaim(lim)
				s.raised(lim)
			}
			if s.cfg.Shared && !lim.charged {
				lim.charged = true
				s.charged = append(s.charged, lim)
			}
		}
	}
	return j, true
}

// goesOn reports whether the next head of a lane, when this one has started, will
// wait in the same place: behind no limit.
func (s *Scheduler) goesOn(now int64, l *lane) bool {
	next := l.head.next
	return !s.cfg.Serial && len(l.uses) == 0 && next != nil && next.terms == nil &&
		l.head.seq&(datedBit|keepBit) == 0 && next.seq&(datedBit|goneBit) == 0 && l.aside() == nil && s.holdsEnd <= now
}

// startFree makes the head of a lane that goes on a running job. It is start for
// a lane that stays in its cohort, with its next head: most of what a plain pool of
// workers does. When the head is overdue counts for lanes with limits only.
func (s *Scheduler) startFree(now int64, l *lane, slot int64) {
	s.place = l.placeOf()
	j := l.pop()
	s.leaves(j)
	s.jobs--
	j.Slot = slot
	s.starts(j)
	l.lastSlot = slot
	l.running++
	s.rerankHead(l, s.slot(now, l), true)
	l.cohort.lanes.fix(l)
	s.rerank(l.cohort)
}
