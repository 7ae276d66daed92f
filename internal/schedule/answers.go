package schedule

// Granted says that the backend has charged the limits of a job that was taken,
// at slot: the job starts at j.Slot, which is that or, if the backend did not
// mind [Scheduler.NotBefore], later.
func (s *Scheduler) Granted(now int64, j *Job, slot int64) {
	s.tick(now)
	l := j.lane
	for i := range l.uses {
		if u := &l.uses[i]; u.index >= 0 {
			lim := u.limit()
			lim.state.TAT = max(lim.state.TAT, slot+chargeOf(lim.params, u.gate.cost))
			lim.state.Last = max(lim.state.Last, slot)
			lim.missed = 0
			s.trust(lim)
			s.raised(lim)
		}
	}
	s.start(now, l, slot)
}

// start makes the head of a lane that asks a running job.
func (s *Scheduler) start(now int64, l *lane, slot int64) {
	s.touch(l)
	slot = max(slot, s.floor(l))
	s.place = l.placeOf()
	same := s.nextIsUnderTheSame(now, l)
	if same {
		s.leavePeers(l)
		l.state, l.declined = parked, false
	} else {
		s.park(l)
	}
	j := l.pop()
	s.leaves(j)
	s.jobs--
	j.Slot = slot
	s.starts(j)
	l.lastSlot = j.Slot
	l.running++
	goOn := false
	if j.keeps() {
		s.lead(now, l, slot)
		goOn = s.unkeep(l, j)
	}
	s.enter(now, l, true)
	if same && l.state == parked {
		s.release(l)
	}
	if goOn {
		s.enterAll(now, l.name, nil)
	}
}

// nextIsUnderTheSame reports whether the next head of a lane that asks will have the same
// uses, which then need not be given up and acquired again: that is a good part of what a
// start takes.
func (s *Scheduler) nextIsUnderTheSame(now int64, l *lane) bool {
	next := l.head.next
	return next != nil && next.terms == l.head.terms && next.seq&(datedBit|goneBit) == 0 &&
		len(l.uses) > 0 && l.uses[len(l.uses)-1].index >= 0 && l.aside() == nil && s.holdsEnd <= now
}

// Refusal is what the backend said of a request that it did not grant.
type Refusal struct {
	Binding int   // which limit opens last; -1: none, the job's key is held
	Until   int64 // when it opens
	Held    bool  // because it is held, not in debt
	Turn    int64 // when to ask again under that limit, if later; 0: then
}

// Refused says that the backend has not granted the limits of a job that was
// taken, and charged nothing. The job waits again, in its old place.
func (s *Scheduler) Refused(now int64, j *Job, r Refusal) {
	s.tick(now)
	l := j.lane
	s.uncharge(l)
	if r.Binding < 0 {
		s.Hold(now, l.name.key, r.Until)
		s.back(now, l)
		return
	}
	for i := range l.uses {
		u := &l.uses[i]
		lim := u.limit()
		if int(u.index) != r.Binding {
			lim.missed = min(lim.missed+1, mostMissed)
			continue
		}
		lim.missed = 0
		s.trust(lim)
		if r.Held {
			s.Hold(now, lim.name.key, r.Until)
		} else {
			lim.state.TAT = max(lim.state.TAT, r.Until+u.gate.headroom)
		}
		s.wait(now, u.gate, r.Turn)
		s.raised(lim)
	}
	s.back(now, l)
}

// Failed says that the backend could not be asked about a job that was taken.
// The job waits again, in its old place; no job that has limits is taken before
// until.
func (s *Scheduler) Failed(now int64, j *Job, until int64) {
	s.tick(now)
	s.uncharge(j.lane)
	s.outage = max(s.outage, until)
	s.back(now, j.lane)
}

// Rejected says that the backend will never grant the limits of a job that was
// taken: the job is gone.
func (s *Scheduler) Rejected(now int64, j *Job) {
	s.tick(now)
	l := j.lane
	s.uncharge(l)
	s.touch(l)
	s.park(l)
	s.leaves(j)
	s.over(l.pop())
	s.jobs--
	s.idle++
	goOn := s.unkeep(l, j)
	s.next(now, l)
	if goOn {
		s.enterAll(now, l.name, nil)
	}
}

// back puts a lane that asked back where it was, unless a job has come back
// meanwhile that goes first.
func (s *Scheduler) back(now int64, l *lane) {
	declined := l.declined
	s.park(l)
	s.idle++
	if l.head.hasDates() {
		s.press(s.datesOf(l.head))
	}
	old, j := l, l.head
	if l.overtaken() {
		s.insert(l, l.pop())
		if !declined { // else the lane has the rank of the job that has returned
			old = nil
		}
	}
	s.await(j)
	s.lineUp(now, l, l != old)
	if s.cfg.Serial {
		s.enterAll(now, l.name, old)
	}
}

// uncharge takes back what taking the head of a lane charged: exactly, if it was the
// latest charge. Else the limit may seem to open up to a horizon later than it does; the
// backend's next answer puts that right.
func (s *Scheduler) uncharge(l *lane) {
	for i := range l.uses {
		if u := &l.uses[i]; u.index >= 0 {
			lim := u.limit()
			charge := chargeOf(lim.params, u.gate.cost)
			if lim.state.TAT == max(lim.uncharged, l.head.Slot)+charge {
				lim.state.TAT = lim.uncharged
			} else {
				lim.state.TAT -= charge
			}
			s.opensEarlier(lim)
		}
	}
}
