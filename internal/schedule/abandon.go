package schedule

import "math"

// Abandon removes all jobs except running ones. It calls f for each, in no particular order:
// jobs that wait or ask, and expired ones that Expired hasn't returned.
func (s *Scheduler) Abandon(f func(*Job)) {
	for _, j := range s.expired {
		f(j)
	}
	s.expired = nil
	for len(s.cuts) > 0 {
		s.cuts[0].Remove(math.MaxInt, f)
	}
	for _, k := range s.keys.All() {
		for l := range k.lanes() {
			if l.state == asking {
				s.idle++
			}
			s.park(l)
			for l.length > 0 {
				s.abandon(l.pop(), f)
			}
			for l.aside() != nil {
				d := l.rare.aside.asleep
				l.wake(d)
				s.abandon(d.job, f)
			}
			s.drop(l)
		}
	}
	s.settleChangedGroups(0, nil) // there is none left
}

func (s *Scheduler) abandon(j *Job, f func(*Job)) {
	s.jobs--
	if j.hasDates() {
		s.leave(j)
	}
	s.releaseSet(j)
	f(j)
}
