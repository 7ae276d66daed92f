package schedule

// A job that has been taken can come back without having run. Its slot is given back to the
// backend, and it waits again in its old place. A job that asks is declined, and comes back when
// the backend has answered. A job that has its slot returns at once.

// Place is the old place of a job that has its slot, for Returned.
type Place struct {
	by, since int64 // of its lane, when it was the head
	keeps     bool  // it kept its key
}

// placeOf returns the place of the head of a lane.
func (l *lane) placeOf() Place { return Place{l.rank.by, l.since, l.head.keeps()} }

// Place returns the place of the job that got its slot last, from Next or Granted.
func (s *Scheduler) Place() Place { return s.place }

// Decline marks a job that asks: it must not start. If the backend grants its limits, the caller
// calls Declined in place of Granted.
func (s *Scheduler) Decline(j *Job) { j.lane.declined = true }

// IsDeclined reports whether Decline was called for a job that asks.
func (s *Scheduler) IsDeclined(j *Job) bool { return j.lane.declined }

// Declined says that a job that was taken does not get its slot: the backend was not asked, or
// the caller gives back what it granted. The job waits again, in its old place.
func (s *Scheduler) Declined(now int64, j *Job) {
	s.tick(now)
	s.uncharge(j.lane)
	s.back(now, j.lane)
}

// Renumber prepares jobs that have their slots for Returned. The caller calls it for each, in the
// order of their slots: so they keep that order if jobs of their key were cut off since.
func (s *Scheduler) Renumber(j *Job) { s.renumber(j) }

// Returned says that a job that has its slot, and hasn't run, gives the slot back. The job
// waits again, in its old place. If several jobs return, the one that got its slot last comes
// first. Before that, the caller declines the job of its lane that asks, if there is one. For
// the part of the slot that the backend takes back, see [Scheduler.GivenBack].
func (s *Scheduler) Returned(now int64, j *Job, p Place) {
	s.tick(now)
	l := j.lane
	s.noteLane(l)
	s.noteReturned(j)
	l.running--
	s.idle++
	s.jobs++
	s.rejoin(l, j)
	if p.keeps {
		s.keep(l, j)
	}
	s.startWaiting(j)
	if j.hasDates() {
		s.watchDeadline(s.datesOf(j))
	}
	old := l
	switch {
	case l.head == j, l.state == asking:
		// If the head asks, it comes back behind this job: see back.
		l.rank.by, l.since = p.by, p.since
	default:
		old = nil
	}
	s.lineUp(now, l, old == nil)
	if s.cfg.Serial {
		s.enterAll(now, l.keyState, old)
	}
}
