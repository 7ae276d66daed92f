package schedule

import (
	"math"

	"github.com/freqlimit/dispatcher/internal/pqueue"
)

// Next takes the next job if one may be taken now, and gives it a worker. If ask is true, the job
// has limits, or Config.AskAll is set, and the caller must ask the backend for [Scheduler.Request] within the horizon. Then
// it calls [Scheduler.Granted], [Scheduler.Refused], [Scheduler.Failed] or [Scheduler.Rejected]. If
// ask is false, the job starts at j.Slot. Next returns nil if no job may be taken. The caller calls
// it again after any event, and at the instant that [Scheduler.Wake] returns.
//
// A caller that answers for each job before it takes the next one gets the exact order. A caller
// that takes several jobs first, to ask for them in one batch, gets at most one job of each lane.
func (s *Scheduler) Next(now int64) (j *Job, ask bool) {
	s.tick(now)
	s.forget(now)
	s.takeTurns(now)
	s.tau = max(s.tau, now)
	s.decided = s.tau
	s.came, s.lapsed = 0, 0
	all := s.noneArrive() || s.arriveAll(now)
	if s.paused {
		s.filling = false
		s.meter.runs = false
		return nil, false
	}
	if len(s.earlyClaims) > 0 {
		s.undoEarlyClaims()
	}
	lookahead := s.cfg.Lead
	if s.filling {
		lookahead = s.cfg.Horizon
	}
	for s.idle > 0 && s.lapsed < mostLapses {
		s.openGates()
		if s.ready.Len() > 0 {
			if l := s.pick(now); l != nil {
				s.filling = true
				return s.take(now, l)
			}
			continue
		}
		at, ok := s.nextInstant()
		if !all || !ok || at > now+lookahead {
			break
		}
		s.tau = at
		all = s.noneArrive() || s.arriveAll(now)
	}
	s.tau = s.decided
	s.retreat(now, now+lookahead)
	s.filling = false
	s.meter.runs = s.idle > 0
	return nil, false
}

// Wake returns the instant at which to call Next again if nothing happens before, or false if there
// is none.
func (s *Scheduler) Wake() (int64, bool) {
	at, ok := int64(math.MaxInt64), false
	look := func(then int64) { at, ok = min(at, then), true }
	if len(s.expired) > 0 || s.lapsed == mostLapses {
		look(s.decided)
	}
	if s.idle > 0 && !s.paused {
		if s.timed.Len() > 0 {
			look(s.timed.Top().at - s.cfg.Lead)
		}
		if s.dates.Len() > 0 {
			look(s.dates.Top().NotBefore - s.cfg.Lead)
		}
		if s.turns.Len() > 0 {
			look(s.turns.Top().at)
		}
		if s.tried.Len() > 0 {
			look(s.tried.Top().NotBefore)
		}
	}
	if s.deadlines.Len() > 0 {
		look(s.deadlines.Top().Deadline + 1)
	}
	return at, ok
}

// nextInstant returns the next instant at which a gate opens or a job's date comes.
func (s *Scheduler) nextInstant() (at int64, ok bool) {
	at = math.MaxInt64
	if s.timed.Len() > 0 {
		at, ok = s.timed.Top().at, true
	}
	for _, q := range [...]*pqueue.Queue[*byDate]{&s.dates, &s.tried} {
		if q.Len() > 0 {
			at, ok = min(at, q.Top().NotBefore), true
		}
	}
	return at, ok
}

// Tidy returns the instant at which to call Next only to give back memory, or false if there is none
// to give back.
func (s *Scheduler) Tidy() (int64, bool) {
	if s.debts.Len() == 0 {
		return 0, false
	}
	return s.debts.Top().forgetAt + tidyDelay, true
}

// tidyDelay is how long Tidy keeps a limit that may be dropped, in nanoseconds, so that one call of
// Next drops many: a second.
const tidyDelay = 1e9

// decide makes tau the instant of a decision: what was done up to it is final.
func (s *Scheduler) decide() {
	s.decided = s.tau
	s.forgetEarlyClaims()
	s.keepAhead()
}

// openGates moves the gates that have opened from the queue by time to the queue by rank.
func (s *Scheduler) openGates() {
	for s.timed.Len() > 0 {
		g := (*gate)(s.timed.Top())
		if g.at > s.tau {
			return
		}
		s.rewatch(g)
	}
}

// pick returns the lane that ranks first behind an open gate if it may be taken. Otherwise it moves
// what is in the wrong queue and returns nil.
func (s *Scheduler) pick(now int64) *lane {
	c := (*gate)(s.ready.Top()).first()
	g := c.at
	if g.open() > s.tau {
		s.rewatch(g)
		return nil
	}
	if closed := c.binding(s.tau); closed != nil {
		s.move(c, closed)
		return nil
	}
	l := c.lanes.Top()
	if l.opens() > s.tau {
		// By a gate that the cohort is not for: the lane was alone with it.
		s.rejoinCohort(l)
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

// barred reports whether a claim keeps a lane waiting that was found at a gate. If so, the lane
// waits for the claim to end from now on.
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
		s.rejoinCohort(l)
	}
	return true
}

// rejoinCohort puts a lane into the cohort where it has to wait now.
func (s *Scheduler) rejoinCohort(l *lane) {
	s.leaveCohort(l)
	s.joinCohort(l)
}

// reenter makes a lane that competes compete under the limits and holds that its head is under now.
func (s *Scheduler) reenter(now int64, l *lane) {
	s.suspend(l)
	s.compete(now, l, false)
}

// take gives the head of a waiting lane a worker and charges its limits.
func (s *Scheduler) take(now int64, l *lane) (j *Job, ask bool) {
	s.noteLane(l)
	j = l.head
	slot := s.slot(now, l)
	if j.hasDates() {
		s.leave(j)
	}
	s.decide()
	s.tick(s.tau)
	s.idle--
	s.meter.runs = s.idle > 0
	if s.isFree(now, l) {
		s.startFree(now, l, slot)
		return j, false
	}
	first := j.set == nil || l.isFirst()
	s.withdraw(l)
	s.stopWaiting(j)
	l.state = asking
	s.occupy(now, l)
	j.Slot = slot
	if j.set == nil && !s.cfg.AskAll {
		s.start(now, l, slot)
		return j, false
	}
	if !first {
		s.passed(l)
	}
	for i := range l.refs {
		if ref := &l.refs[i]; ref.index >= 0 {
			lim := ref.limit()
			if lim.asked == 0 {
				lim.known = lim.state.TAT
			}
			lim.asked++
			lim.state = lim.state.Charge(slot, lim.params, ref.gate.cost)
			if lim.contest != nil {
				s.endClaim(lim)
				s.debtRaised(lim)
			}
			if s.cfg.Shared && !lim.charged {
				lim.charged = true
				s.charged = append(s.charged, lim)
			}
		}
	}
	return j, true
}

// isFree reports whether startFree may start the head of a lane: neither the head nor the job behind
// it has limits, dates or anything else that delays it.
func (s *Scheduler) isFree(now int64, l *lane) bool {
	j := l.head
	if s.cfg.AskAll || s.cfg.Serial || len(l.refs) > 0 || j.set != nil || j.seq&(datedBit|keepBit) != 0 || l.aside() != nil || s.holdsEnd > now {
		return false
	}
	next := j.next
	return next == nil || next.set == nil && next.seq&(datedBit|goneBit) == 0
}

// startFree is start for a head that is free. If there is a next head, the lane stays in its cohort,
// which saves most of the time that a start takes. It does not set lane.since: only lanes with
// limits are ever overdue.
func (s *Scheduler) startFree(now int64, l *lane, slot int64) {
	s.place = l.placeOf()
	j := l.head
	if j.next == nil {
		s.leaveCohort(l)
		l.state = parked
	}
	l.pop()
	s.noteLeft(j)
	s.jobs--
	j.Slot = slot
	s.noteStarted(j)
	l.lastSlot = slot
	l.running++
	if l.state == waiting {
		s.rerankHead(l, s.slot(now, l), true)
		l.cohort.lanes.Fix(l)
		s.rerank(l.cohort)
	}
}
