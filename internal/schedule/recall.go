package schedule

// A job that has been taken can come back without having run: its slot is given back to
// the backend, and it waits again where it was. One that asks is declined, and comes back
// when it is answered; one that has its slot returns at once.

// Place is what a job that has its slot needs to wait again where it was.
type Place struct {
	by, since int64 // of its lane, when it was the head
	keeps     bool  // it kept its key
}

// placeOf returns the place of the head of a lane.
func (l *lane) placeOf() Place { return Place{l.rank.by, l.since, l.head.keeps()} }

// Place returns that of the job that got its slot last, from Next or Granted.
func (s *Scheduler) Place() Place { return s.place }

// Decline has a job that asks not start, even if the backend grants its limits: then the
// answer is Returned.
func (s *Scheduler) Decline(j *Job) { j.lane.declined = true }

// IsDeclined reports whether that was said of a job that asks.
func (s *Scheduler) IsDeclined(j *Job) bool { return j.lane.declined }

// Declined says that a job that was taken does not get what it asked for: because the
// backend was not asked, or because what it has granted is given back. The job waits
// again, in its old place.
func (s *Scheduler) Declined(now int64, j *Job) {
	s.tick(now)
	s.uncharge(j.lane)
	s.back(now, j.lane)
}

// Renumber is called for jobs that have their slots before they return, in the order of
// these: so they keep their order if others of their key have been cut off since.
func (s *Scheduler) Renumber(j *Job) { s.renumber(j) }

// Returned says that a job which has its slot, and has not run, gives it back. It waits
// again, in its old place. Of several jobs, the one that got its slot last returns first;
// before that, those that ask at its lane are declined. What the backend takes back of
// the slot is for [Scheduler.GivenBack].
func (s *Scheduler) Returned(now int64, j *Job, p Place) {
	s.tick(now)
	l := j.lane
	s.touch(l)
	s.returns(j)
	l.running--
	s.idle++
	s.jobs++
	s.rejoin(l, j)
	if p.keeps {
		s.keep(l, j)
	}
	s.await(j)
	if j.hasDates() {
		s.press(s.datesOf(j))
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
		s.enterAll(now, l.name, old)
	}
}
