package schedule

import "math"

// byDeadline is a job in Scheduler.deadlines.
type byDeadline dated

func (d *byDeadline) Before(o *byDeadline) bool { return d.Deadline < o.Deadline }
func (d *byDeadline) Position() *int32          { return &d.deadlinePos }

// watchDeadline watches over a job's deadline.
func (s *Scheduler) watchDeadline(d *dated) {
	if d.Deadline != 0 && !d.inDeadlines {
		d.inDeadlines = true
		s.deadlines.Push((*byDeadline)(d))
	}
}

// Deadline returns the last instant at which a job may start.
func (s *Scheduler) Deadline(j *Job) int64 {
	if j.hasDates() {
		if at := s.datesOf(j).Deadline; at != 0 {
			return at
		}
	}
	return math.MaxInt64
}

// Expires reports whether the job has a deadline.
func (s *Scheduler) Expires(j *Job) bool { return s.Deadline(j) != math.MaxInt64 }

// Expired returns a job that has expired and is gone, or nil if there is none. The caller
// calls it before and after Next. It may stop before Expired returns nil, and then calls it
// again at the instant that Wake returns.
func (s *Scheduler) Expired(now int64) *Job {
	if n := len(s.expired); n > 0 {
		j := s.expired[n-1]
		s.expired[n-1] = nil
		s.expired = s.expired[:n-1]
		return j
	}
	if s.deadlines.Len() == 0 || s.deadlines.Top().Deadline >= now {
		return nil
	}
	j := s.deadlines.Top().job
	s.Remove(now, j)
	return j
}

// HasExpired reports whether Expired has jobs to return.
func (s *Scheduler) HasExpired() bool { return len(s.expired) > 0 }
