package schedule

import "slices"

// Next looks ahead as far as the horizon. On the way, jobs arrive whose dates are within it. If
// Next can take nothing there, retreat undoes these arrivals: the jobs wait for their dates
// again, and every lane has the head and the rank that it had.

// withdrawn is a lane whose head stopped competing because a job arrived ahead of time, and the
// rank of that head.
type withdrawn struct {
	lane      *lane
	by, since int64
}

// keepAhead makes the arrivals final: tau becomes the instant of a decision.
func (s *Scheduler) keepAhead() {
	for _, d := range s.ahead {
		d.was = due
	}
	s.forgetAhead()
}

// forgetAhead empties the record of arrivals ahead of time.
func (s *Scheduler) forgetAhead() {
	clear(s.ahead)
	s.ahead = s.ahead[:0]
	clear(s.withdrawn)
	s.withdrawn = s.withdrawn[:0]
}

// retreat is called when nothing can be taken at any instant up to looked, and tau is back at
// the latest decision. It undoes the arrivals since: a job that is submitted before their dates
// may still go first.
func (s *Scheduler) retreat(now, looked int64) {
	if len(s.ahead) == 0 {
		return
	}
	for _, d := range slices.Backward(s.ahead) {
		l, j, was := d.job.lane, d.job, d.was
		if was == due {
			continue
		}
		s.noteLane(l)
		d.was = due
		heads := l.head == j
		if heads {
			s.park(l)
		}
		if was == asleep {
			if heads {
				l.pop()
			} else {
				l.unstray(d)
				s.shortened(l)
			}
			l.sleep(d)
		}
		d.state, d.tried = was, true
		s.tried.Push((*byDate)(d))
		if heads {
			s.lineUp(now, l, true)
		}
	}
	s.settleChangedGroups(now, nil)
	for _, w := range slices.Backward(s.withdrawn) {
		if l := w.lane; l.state == waiting {
			l.rank.by, l.since = w.by, w.since
			s.promote(l)
		}
	}
	s.forgetAhead()
	// The gates of the heads that wait again have been looked at too. Move them to the next
	// decision, so that Wake returns no instant before it for them.
	for s.timed.Len() > 0 && s.timed.Top().at <= looked {
		g := (*gate)(s.timed.Top())
		if g.ofTree() {
			s.lookAgain(g.limit.tree)
			continue
		}
		s.unwatch(g)
		g.in = ready
		s.ready.Push((*readyGate)(g))
	}
}
