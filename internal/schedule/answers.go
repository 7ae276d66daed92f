package schedule

// Granted says that the backend has charged the limits of a job that was taken, at slot. The job
// starts at j.Slot: that is slot, or later if slot is before [Scheduler.NotBefore].
func (s *Scheduler) Granted(now int64, j *Job, slot int64) {
	s.tick(now)
	l := j.lane
	for i := range l.refs {
		if ref := &l.refs[i]; ref.index >= 0 {
			lim := ref.limit()
			tat := max(lim.known, slot)
			if lim.told {
				// The limit was open at slot: news of a later TAT is of before, or of this grant.
				tat = min(tat, slot+ref.gate.headroom)
			}
			lim.learn(tat + chargeOf(lim.params, ref.gate.cost))
			s.answered(lim, 0)
			lim.state.Last = max(lim.state.Last, slot)
			lim.missed = 0
			s.confirm(lim)
			s.debtRaised(lim)
		}
	}
	s.start(now, l, slot)
}

// start starts the head of a lane that asks.
func (s *Scheduler) start(now int64, l *lane, slot int64) {
	s.noteLane(l)
	slot = max(slot, s.floor(l))
	s.place = l.placeOf()
	same := s.nextIsUnderTheSame(now, l)
	if same {
		s.leaveGroup(l)
		l.state, l.declined = parked, false
	} else {
		s.park(l)
	}
	j := l.pop()
	s.noteLeft(j)
	s.jobs--
	j.Slot = slot
	s.noteStarted(j)
	l.lastSlot = j.Slot
	l.running++
	goOn := false
	if j.keeps() {
		s.noteKeptStart(now, l, slot)
		goOn = s.unkeep(l, j)
	}
	s.enter(now, l, true)
	if same && l.state == parked {
		s.release(l)
	}
	if goOn {
		s.enterAll(now, l.keyState, nil)
	}
}

// nextIsUnderTheSame reports whether the next head of a lane that asks will have the same
// refs. Then the lane keeps them: to release and acquire them is a good part of the time
// that a start takes.
func (s *Scheduler) nextIsUnderTheSame(now int64, l *lane) bool {
	next := l.head.next
	return next != nil && next.set == l.head.set && next.seq&(datedBit|goneBit) == 0 &&
		len(l.refs) > 0 && l.refs[len(l.refs)-1].index >= 0 && l.aside() == nil && s.holdsEnd <= now
}

// Refusal is the answer of a backend that does not grant a request.
type Refusal struct {
	Binding int   // the index of the limit that opens last; -1 if the job's key is held
	Until   int64 // when it opens
	Held    bool  // the limit is held, and not in debt
	Turn    int64 // when to ask again for that limit, if that is later than Until; else 0
}

// Refused says that the backend has not granted the limits of a job that was
// taken and has charged nothing. The job waits again, in its old place.
func (s *Scheduler) Refused(now int64, j *Job, r Refusal) {
	s.tick(now)
	l := j.lane
	s.uncharge(l)
	if r.Binding < 0 {
		s.Hold(now, l.keyState.key, r.Until)
		s.back(now, l)
		return
	}
	for i := range l.refs {
		ref := &l.refs[i]
		lim := ref.limit()
		if int(ref.index) != r.Binding {
			lim.missed = min(lim.missed+1, mostMissed)
			continue
		}
		lim.missed = 0
		s.confirm(lim)
		if r.Held {
			s.Hold(now, lim.keyState.key, r.Until)
		} else {
			lim.learn(r.Until + ref.gate.headroom)
		}
		if r.Turn != 0 {
			s.awaitTurn(lim, ref.gate.cost, r.Turn)
		}
		s.debtRaised(lim)
	}
	s.back(now, l)
}

// Failed says that the backend could not be asked about a job that was taken.
// The job waits again, in its old place. No job that has limits is taken before until, and with
// Config.AskAll no job at all.
func (s *Scheduler) Failed(now int64, j *Job, until int64) {
	s.tick(now)
	s.uncharge(j.lane)
	s.outage = max(s.outage, until)
	s.back(now, j.lane)
}

// Rejected says that the backend will never grant the limits of a job that was
// taken. The scheduler drops the job.
func (s *Scheduler) Rejected(now int64, j *Job) {
	s.tick(now)
	l := j.lane
	s.uncharge(l)
	s.noteLane(l)
	s.park(l)
	s.noteLeft(j)
	s.releaseSet(l.pop())
	s.jobs--
	s.idle++
	goOn := s.unkeep(l, j)
	s.advance(now, l)
	if goOn {
		s.enterAll(now, l.keyState, nil)
	}
}

// back puts a lane that asked back where it was. If a job has come back meanwhile that belongs
// before its head, that job is the head.
func (s *Scheduler) back(now int64, l *lane) {
	declined := l.declined
	s.park(l)
	s.idle++
	if l.head.hasDates() {
		s.watchDeadline(s.datesOf(l.head))
	}
	old, j := l, l.head
	if l.overtaken() {
		s.insert(l, l.pop())
		if !declined { // else the lane has the rank of the job that has returned
			old = nil
		}
	}
	s.startWaiting(j)
	s.lineUp(now, l, l != old)
	if s.cfg.Serial {
		s.enterAll(now, l.keyState, old)
	}
}

// uncharge takes back the charges that were made when the head of a lane was taken.
func (s *Scheduler) uncharge(l *lane) {
	for i := range l.refs {
		if ref := &l.refs[i]; ref.index >= 0 {
			s.answered(ref.limit(), chargeOf(ref.limit().params, ref.gate.cost))
		}
	}
}

// answered is called when a job that was charged no longer asks. less is its charge if that is
// taken back, else 0. While other jobs ask, the limit may seem to open later than it does. When
// none does, its TAT is the known one.
func (s *Scheduler) answered(lim *limit, less int64) {
	before := lim.state.TAT
	if lim.asked--; lim.asked == 0 {
		lim.state.TAT, lim.told = lim.known, false
	} else {
		lim.state.TAT = max(lim.state.TAT-less, lim.known)
	}
	if lim.state.TAT < before {
		s.opensEarlier(lim)
	}
}

// learn notes that a limit's TAT is at least tat, and reports whether that is news.
func (lim *limit) learn(tat int64) bool {
	lim.known = max(lim.known, tat)
	if tat <= lim.state.TAT {
		return false
	}
	lim.state.TAT = tat
	return true
}
