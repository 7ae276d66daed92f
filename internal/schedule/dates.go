package schedule

import (
	"math"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/pqueue"
)

// Dates are the instants that a job has of its own, beside its limits. The zero value has none.
type Dates struct {
	// NotBefore is the instant before which the job does not start. It takes its
	// place in its lane as if it were submitted then: until then no job waits
	// behind it.
	NotBefore int64

	// Deadline is the last instant at which the job may start, 0 if there is none.
	// A job that can't start by then expires: see [Scheduler.Expired].
	Deadline int64
}

// dated is what only a job has that has dates, waits to run again, or is a stray. There are few of
// these, so a map finds them, and other jobs pay with one bit of their seq.
type dated struct {
	job *Job
	Dates
	prev, next *dated // in aside.asleep
	datePos,
	deadlinePos,
	strayPos int32
	state datedState

	was         datedState // the state before it arrived, if it did so ahead of time; else due
	tried       bool       // it is in Scheduler.tried, not dates
	strays      bool       // it is in aside.strays
	inDeadlines bool       // it is in Scheduler.deadlines
}

// datedState is where a job with dates is.
type datedState uint8

const (
	due      datedState = iota // in its lane, asking, or running
	asleep                     // not in the list of its lane, until NotBefore
	blocking                   // in its lane, which does not compete before NotBefore while it is the head
)

// byDate is a job in Scheduler.dates.
type byDate dated

func (d *byDate) Before(o *byDate) bool {
	if d.NotBefore != o.NotBefore {
		return d.NotBefore < o.NotBefore
	}
	return d.job.seq < o.job.seq
}
func (d *byDate) Position() *int32 { return &d.datePos }

// SubmitDated is Submit for a job with dates.
func (s *Scheduler) SubmitDated(now int64, j *Job, key string, priority int, limits []backend.Limit, dates Dates) {
	j.seq &= stateBits
	s.number(now, j)
	l := s.find(key, priority)
	s.noteLane(l)
	j.set = s.intern(now, limits, l.tail)
	if dates.NotBefore <= j.Arrival {
		dates.NotBefore = 0
	}
	if dates == (Dates{}) {
		s.admit(now, l, j)
		s.startWaiting(j)
		return
	}
	d := s.date(j)
	d.Dates = dates
	s.watchDeadline(d)
	j.Arrival = max(j.Arrival, dates.NotBefore)
	switch {
	case dates.NotBefore > max(now, s.tau):
		s.setApart(l, d, asleep)
	case dates.NotBefore > 0:
		s.arrive(now, l, j)
	default:
		s.admit(now, l, j)
	}
	s.startWaiting(j)
}

// Later is Finished for a job that is to run again, not before at. If it is to block its key, it keeps
// its place: its lane and others of the key wait for it, see keepkey.go. Otherwise no job waits for it
// until then, and then it goes before the jobs that arrived after it.
func (s *Scheduler) Later(now int64, j *Job, at int64, block bool) {
	s.tick(now)
	l := j.lane
	s.noteLane(l)
	s.noteReturned(j)
	l.running--
	s.idle++
	s.jobs++
	s.renumber(j)
	d := s.date(j)
	d.NotBefore = at
	s.watchDeadline(d)
	if block {
		s.rejoin(l, j)
		s.setApart(l, d, blocking)
		s.keep(l, j)
	} else {
		s.setApart(l, d, asleep)
	}
	s.startWaiting(j)
	s.advance(now, l)
}

// setApart keeps a job from competing until its NotBefore.
func (s *Scheduler) setApart(l *lane, d *dated, state datedState) {
	d.state, d.tried = state, false
	if state == asleep {
		l.sleep(d)
	}
	s.dates.Push((*byDate)(d))
}

// date returns the dated of a job. If there is none it makes one.
func (s *Scheduler) date(j *Job) *dated {
	if d := s.datesOf(j); d != nil {
		return d
	}
	s.ownSet(j)
	d := &dated{job: j}
	j.seq |= datedBit
	s.dated.Set(j, d)
	return d
}

// datesOf returns the dated of a job, nil if it has none.
func (s *Scheduler) datesOf(j *Job) *dated {
	d, _ := s.dated.Get(j)
	return d
}

// leave takes a job that has dates out of the queues: it waits no longer.
func (s *Scheduler) leave(j *Job) {
	d := s.datesOf(j)
	s.undate(d)
	d.was = due
	if d.inDeadlines {
		d.inDeadlines = false
		s.deadlines.Remove((*byDeadline)(d))
	}
}

// undate ends the waiting for a date.
func (s *Scheduler) undate(d *dated) {
	switch {
	case d.state == due:
		return
	case d.tried:
		s.tried.Remove((*byDate)(d))
	default:
		s.dates.Remove((*byDate)(d))
	}
	d.state = due
}

// mostArrivals is how many jobs arrive at most in one call of Next. So many jobs with one date make
// no other job late: the next calls go on from there.
const mostArrivals = 256

// mostLapses is how many jobs that can't meet their deadlines one call of Next ends at most.
const mostLapses = 256

// noneArrive reports whether arriveAll has nothing to do. It is apart so that it can be inlined.
func (s *Scheduler) noneArrive() bool {
	return s.dates.Top() == nil && s.tried.Top() == nil && len(s.changedGroups) == 0
}

// arriveAll lets the jobs arrive whose dates have come at tau. It reports whether all of them have.
func (s *Scheduler) arriveAll(now int64) bool {
	for _, q := range [...]*pqueue.Queue[*byDate]{&s.dates, &s.tried} {
		for q.Len() > 0 && q.Top().NotBefore <= s.tau {
			if s.came == mostArrivals {
				s.settleChangedGroups(now, nil)
				return false
			}
			s.came++
			s.come(now, (*dated)(q.Top()))
		}
	}
	s.settleChangedGroups(now, nil)
	return true
}

// come lets a job arrive whose date has come.
func (s *Scheduler) come(now int64, d *dated) {
	l, was := d.job.lane, d.state
	s.undate(d)
	if p := l.cutOf(d.job); p != nil {
		if was == asleep {
			p.jobs.wake(d)
			p.jobs.append(d.job)
			d.job.lane = l
		}
		return
	}
	s.noteLane(l)
	if s.tau > s.decided {
		d.was = was
		s.ahead = append(s.ahead, d)
	}
	if was == asleep {
		l.wake(d)
		s.rejoin(l, d.job)
	}
	s.lineUp(now, l, true)
}

// arrive puts a job into its place in a lane, and lets the lane compete.
func (s *Scheduler) arrive(now int64, l *lane, j *Job) {
	s.rejoin(l, j)
	s.enter(now, l, true)
}

// rejoin puts a job into its place in its lane. If that is not before the head, the head stays the
// head, with its rank.
func (s *Scheduler) rejoin(l *lane, j *Job) {
	if l.state != asking && l.head != nil && j.before(l.head) {
		s.park(l)
	}
	s.insert(l, j)
	if s.cfg.Order == Backlog && l.state == waiting {
		s.promote(l)
	}
}

// blockedUntil returns the instant from which the head of a lane may compete, if the lane waits for
// it until then.
func (s *Scheduler) blockedUntil(l *lane) int64 {
	if l.head.hasDates() {
		if d := s.datesOf(l.head); d.state == blocking {
			return d.NotBefore
		}
	}
	return math.MinInt64
}

// notBefore returns the NotBefore of the head of a lane.
func (s *Scheduler) notBefore(l *lane) int64 {
	if l.head.hasDates() {
		return s.datesOf(l.head).NotBefore
	}
	return math.MinInt64
}
