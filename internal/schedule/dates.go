package schedule

import (
	"math"

	"github.com/freqlimit/dispatcher/backend"
)

// Dates are the instants that a job has of its own, beside its limits. The zero
// value is none.
type Dates struct {
	// NotBefore is the instant before which the job does not start. Until then it
	// is in no lane: nobody waits behind it. At that instant it goes behind all
	// jobs of its lane.
	NotBefore int64

	// Deadline is the last instant at which the job may start, 0 if there is none.
	// A job that can't start by then expires: see [Scheduler.Expired].
	Deadline int64
}

// dated is a job that has dates, or waits to run again. There are few, so they are
// found by a map, and other jobs pay for a bit in their seq alone.
type dated struct {
	job *Job
	Dates
	state datedState
	datePos,
	deadlinePos int32
	pressing bool // in Scheduler.deadlines
}

// datedState is where a job with dates is.
type datedState uint8

const (
	due    datedState = iota // in its lane, asking, or running
	coming                   // in no lane, until NotBefore, and was in none before
	apart                    // in no lane, until NotBefore
	held                     // in its lane, which does not compete before NotBefore while it is the head
)

// byDate is a job in Scheduler.dates.
type byDate dated

func (d *byDate) before(o *byDate) bool {
	if d.NotBefore != o.NotBefore {
		return d.NotBefore < o.NotBefore
	}
	return d.job.seq < o.job.seq
}
func (d *byDate) place() *int32 { return &d.datePos }

// byDeadline is a job in Scheduler.deadlines.
type byDeadline dated

func (d *byDeadline) before(o *byDeadline) bool { return d.Deadline < o.Deadline }
func (d *byDeadline) place() *int32             { return &d.deadlinePos }

// The lowest bits of a seq say that the job has dates, and that it has been removed
// and is still between others in its lane.
const (
	datedBit = 1
	goneBit  = 2
	seqStep  = 4
)

func (j *Job) hasDates() bool { return j.seq&datedBit != 0 }
func (j *Job) gone() bool     { return j.seq&goneBit != 0 }

// number makes a job the one that was submitted last.
func (s *Scheduler) number(j *Job) {
	s.seq += seqStep
	j.seq = s.seq | j.seq&datedBit
}

// SubmitDated is Submit for a job with dates.
func (s *Scheduler) SubmitDated(now int64, j *Job, key string, priority int, limits []backend.Limit, dates Dates) {
	if dates == (Dates{}) {
		s.Submit(now, j, key, priority, limits)
		return
	}
	j.seq = 0
	d := s.date(j)
	s.number(j)
	s.jobs++
	d.Dates = dates
	s.press(d)
	if dates.NotBefore > max(now, s.tau) {
		j.terms = s.agree(now, limits, nil)
		s.setApart(d, key, priority, coming)
		return
	}
	l := s.find(key, priority)
	j.terms = s.agree(now, limits, l.tail)
	s.arrive(now, l, j)
}

// Later is Finished for a job that is to run again, not before an instant. With
// hold, it keeps its place: its lane waits for it. Else it is in no lane until
// then, and goes before those that were submitted after it.
func (s *Scheduler) Later(now int64, j *Job, at int64, hold bool) {
	l := j.lane
	l.running--
	s.idle++
	s.jobs++
	d := s.date(j)
	d.NotBefore = at
	s.press(d)
	if hold {
		s.rejoin(l, j)
		d.state = held
		s.dates.push((*byDate)(d))
	} else {
		s.setApart(d, l.name.key, l.rank.priority, apart)
	}
	s.next(now, l)
}

// date returns what there is of a job's dates, and makes it if need be.
func (s *Scheduler) date(j *Job) *dated {
	if d := s.dated[j]; d != nil {
		return d
	}
	d := &dated{job: j}
	j.seq |= datedBit
	s.dated[j] = d
	return d
}

// setApart keeps a job out of its lane until its NotBefore. It has a lane of its
// own to tell its key and priority by.
func (s *Scheduler) setApart(d *dated, key string, priority int, state datedState) {
	d.job.lane = &lane{name: &name{key: key}, rank: rank{priority: priority}}
	d.state = state
	s.dates.push((*byDate)(d))
}

// press watches over a job's deadline.
func (s *Scheduler) press(d *dated) {
	if d.Deadline != 0 && !d.pressing {
		d.pressing = true
		s.deadlines.push((*byDeadline)(d))
	}
}

// leave takes a job that has dates, and waits no more, out of the queues.
func (s *Scheduler) leave(j *Job) {
	d := s.dated[j]
	if d.state != due {
		d.state = due
		s.dates.remove((*byDate)(d))
	}
	if d.pressing {
		d.pressing = false
		s.deadlines.remove((*byDeadline)(d))
	}
}

// arriveAll lets the jobs compete whose dates have come.
func (s *Scheduler) arriveAll(now int64) {
	for s.dates.len() > 0 && s.dates.top().NotBefore <= s.tau {
		d := (*dated)(s.dates.top())
		s.dates.remove((*byDate)(d))
		j := d.job
		was := d.state
		d.state = due
		if was == held {
			s.enter(now, j.lane, true)
			continue
		}
		if was == coming {
			s.number(j)
		}
		s.arrive(now, s.find(j.Key(), j.Priority()), j)
	}
}

// arrive puts a job into a lane: behind all others, unless it was there before.
func (s *Scheduler) arrive(now int64, l *lane, j *Job) {
	s.rejoin(l, j)
	s.enter(now, l, true)
}

// rejoin puts a job before those of its lane that were submitted after it. A head that
// it does not come before stays the head, with its rank.
func (s *Scheduler) rejoin(l *lane, j *Job) {
	switch {
	case l.length == 0 || j.seq > l.tail.seq:
		l.append(j)
	case j.seq < l.head.seq && l.state == waiting:
		s.park(l)
		l.putBack(j)
	default:
		l.putBack(j)
	}
	if s.cfg.Order == Backlog && l.state == waiting {
		s.promote(l)
	}
}

// heldUntil is when the head of a lane may compete, if it keeps others waiting for
// that.
func (s *Scheduler) heldUntil(l *lane) int64 {
	if l.head.hasDates() {
		if d := s.dated[l.head]; d.state == held {
			return d.NotBefore
		}
	}
	return math.MinInt64
}

// notBefore is that of the head of a lane.
func (s *Scheduler) notBefore(l *lane) int64 {
	if l.head.hasDates() {
		return s.dated[l.head].NotBefore
	}
	return math.MinInt64
}

// Deadline returns the last instant at which a job may start.
func (s *Scheduler) Deadline(j *Job) int64 {
	if j.hasDates() {
		if at := s.dated[j].Deadline; at != 0 {
			return at
		}
	}
	return math.MaxInt64
}

// Expired returns a job that has expired, and is gone, or nil if there is none. It
// is called until it returns nil, before and after Next.
func (s *Scheduler) Expired(now int64) *Job {
	if n := len(s.expired); n > 0 {
		j := s.expired[n-1]
		s.expired[n-1] = nil
		s.expired = s.expired[:n-1]
		return j
	}
	if s.deadlines.len() == 0 || s.deadlines.top().Deadline >= now {
		return nil
	}
	j := s.deadlines.top().job
	s.Remove(now, j)
	return j
}

// Remove ends the waiting of a job, which must not be asking. The scheduler may hold
// on to its memory for a while.
func (s *Scheduler) Remove(now int64, j *Job) {
	l := j.lane
	s.jobs--
	inLane := true
	if j.hasDates() {
		state := s.dated[j].state
		inLane = state != coming && state != apart
		s.leave(j)
	}
	s.over(j)
	switch {
	case !inLane:
	case l.head == j:
		s.park(l)
		l.pop()
		s.next(now, l)
	default:
		l.lose(j)
		if s.cfg.Order == Backlog && l.state == waiting {
			s.promote(l)
			s.yield(l)
		}
	}
}
