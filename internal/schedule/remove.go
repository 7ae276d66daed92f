package schedule

// Remove ends the waiting of a job, which must not be asking. The scheduler may hold
// on to its memory for a while.
func (s *Scheduler) Remove(now int64, j *Job) { s.remove(now, j, nil) }

// remove is Remove of a job that may be known to stand right behind another.
func (s *Scheduler) remove(now int64, j, before *Job) {
	s.tick(now)
	l := j.lane
	p := l.cutOf(j)
	if p != nil {
		l = &p.jobs
	} else {
		s.noteLane(l)
		s.noteLeft(j)
		s.jobs--
	}
	s.stopWaiting(j)
	var d *dated
	if j.hasDates() {
		d = s.datesOf(j)
		sleeps := d.state == asleep
		s.leave(j)
		if sleeps {
			s.releaseSet(j)
			l.wake(d)
			if p == nil {
				s.drop(l)
			}
			return
		}
	}
	s.releaseSet(j)
	if p != nil {
		switch {
		case l.head == j:
			l.pop()
		case d != nil && d.strays:
			l.unstray(d)
		default:
			l.lose(j, before)
		}
		return
	}
	goOn := s.unkeep(l, j)
	switch {
	case l.head == j:
		s.park(l)
		l.pop()
		s.advance(now, l)
	case d != nil && d.strays:
		l.unstray(d)
		s.shortened(l)
	default:
		l.lose(j, before)
		s.shortened(l)
	}
	if goOn {
		s.enterAll(now, l.keyState, nil)
	}
}

// shortened is called when a lane has lost a job that is not its head.
func (s *Scheduler) shortened(l *lane) {
	if s.cfg.Order == Backlog && l.state == waiting {
		s.promote(l)
		s.rankLowered(l)
	}
}
