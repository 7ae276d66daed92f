package schedule

import "slices"

// Next looks ahead, up to the horizon, and on the way jobs come whose dates are then. If
// nothing can be taken there, they are not there yet, and all is as it was.

// withdrawn is a lane whose head competes no longer, since a job has come before its time, and
// the rank that the head had.
type withdrawn struct {
	lane      *lane
	by, since int64
}

// keepAhead is called when tau becomes the instant of a decision.
func (s *Scheduler) keepAhead() {
	for _, d := range s.ahead {
		d.was = due
	}
	s.forgetAhead()
}

func (s *Scheduler) forgetAhead() {
	clear(s.ahead)
	s.ahead = s.ahead[:0]
	clear(s.withdrawn)
	s.withdrawn = s.withdrawn[:0]
}

// retreat is called when nothing can be taken at any instant up to looked, and tau has
// gone back to the latest decision. What has come since is not there again, so that what
// is submitted before its date may still go before it.
func (s *Scheduler) retreat(now, looked int64) {
	if len(s.ahead) == 0 {
		return
	}
	for _, d := range slices.Backward(s.ahead) {
		l, j, was := d.job.lane, d.job, d.was
		if was == due {
			continue
		}
		s.touch(l)
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
		s.tried.push((*byDate)(d))
		if heads {
			s.lineUp(now, l, true)
		}
	}
	s.settleTurns(now, nil)
	for _, w := range slices.Backward(s.withdrawn) {
		if l := w.lane; l.state == waiting {
			l.rank.by, l.since = w.by, w.since
			s.promote(l)
		}
	}
	s.forgetAhead()
	// Where the heads are that wait again has been looked at too: to wake for their
	// gates now would be in vain. They are looked at again with the next decision.
	for s.timed.len() > 0 && s.timed.top().at <= looked {
		g := (*gate)(s.timed.top())
		if g.ofTree() {
			s.lookAgain(g.limit.tree)
			continue
		}
		s.unwatch(g)
		g.in = ready
		s.ready.push((*readyGate)(g))
	}
}
