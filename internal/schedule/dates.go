package schedule

import (
	"math"

	"github.com/freqlimit/dispatcher/backend"
)

// Dates are the instants that a job has of its own, beside its limits. The zero
// value is none.
type Dates struct {
	// NotBefore is the instant before which the job does not start. It takes its
	// place in its lane as if it were submitted then: until then nobody waits
	// behind it.
	NotBefore int64

	// Deadline is the last instant at which the job may start, 0 if there is none.
	// A job that can't start by then expires: see [Scheduler.Expired].
	Deadline int64
}

// dated is a job that has dates, waits to run again, or is a stray. There are few, so
// they are found by a map, and other jobs pay for a bit in their seq alone.
type dated struct {
	job *Job
	Dates
	prev, next *dated // in aside.asleep
	datePos,
	deadlinePos,
	strayPos int32
	state datedState

	was      datedState // the state before it came, if that was ahead; else due
	tried    bool       // it is in Scheduler.tried, not dates
	strays   bool       // it is in aside.strays
	pressing bool       // it is in Scheduler.deadlines
}

// datedState is where a job with dates is.
type datedState uint8

const (
	due    datedState = iota // there: in its lane, asking, or running
	asleep                   // not there, until NotBefore
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

// The lowest bits of a seq say that the job has dates, that it has been removed and is
// still between others in its lane, and that it keeps its key.
const (
	datedBit = 1
	goneBit  = 2
	keepBit  = 4
	seqStep  = 8
)

func (j *Job) hasDates() bool { return j.seq&datedBit != 0 }
func (j *Job) gone() bool     { return j.seq&goneBit != 0 }

// SubmitDated is Submit for a job with dates.
func (s *Scheduler) SubmitDated(now int64, j *Job, key string, priority int, limits []backend.Limit, dates Dates) {
	j.seq = 0
	s.number(now, j)
	l := s.find(key, priority)
	s.touch(l)
	j.terms = s.agree(now, limits, l.tail)
	if dates.NotBefore <= j.Arrival {
		dates.NotBefore = 0
	}
	if dates == (Dates{}) {
		s.admit(now, l, j)
		s.await(j)
		return
	}
	d := s.date(j)
	d.Dates = dates
	s.press(d)
	j.Arrival = max(j.Arrival, dates.NotBefore)
	switch {
	case dates.NotBefore > max(now, s.tau):
		s.setApart(l, d, asleep)
	case dates.NotBefore > 0:
		s.arrive(now, l, j)
	default:
		s.admit(now, l, j)
	}
	s.await(j)
}

// Later is Finished for a job that is to run again, not before an instant. With
// hold, it keeps its place and its key: its lane waits for it, and so do others of the
// key, see keep.go. Else it is not there until then, and
// goes before those that arrived after it.
func (s *Scheduler) Later(now int64, j *Job, at int64, hold bool) {
	s.tick(now)
	l := j.lane
	s.touch(l)
	s.returns(j)
	l.running--
	s.idle++
	s.jobs++
	s.renumber(j)
	d := s.date(j)
	d.NotBefore = at
	s.press(d)
	if hold {
		s.rejoin(l, j)
		s.setApart(l, d, held)
		s.keep(l, j)
	} else {
		s.setApart(l, d, asleep)
	}
	s.await(j)
	s.next(now, l)
}

// setApart keeps a job from competing until its NotBefore.
func (s *Scheduler) setApart(l *lane, d *dated, state datedState) {
	d.state, d.tried = state, false
	if state == asleep {
		l.sleep(d)
	}
	s.dates.push((*byDate)(d))
}

// date returns what there is of a job's dates, and makes it if need be.
func (s *Scheduler) date(j *Job) *dated {
	if d := s.datesOf(j); d != nil {
		return d
	}
	s.single(j)
	d := &dated{job: j}
	j.seq |= datedBit
	s.dated.Set(j, d)
	return d
}

// datesOf returns what there is of a job's dates, nil if it has none.
func (s *Scheduler) datesOf(j *Job) *dated {
	d, _ := s.dated.Get(j)
	return d
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
	d := s.datesOf(j)
	s.undate(d)
	d.was = due
	if d.pressing {
		d.pressing = false
		s.deadlines.remove((*byDeadline)(d))
	}
}

// undate ends the waiting for a date.
func (s *Scheduler) undate(d *dated) {
	switch {
	case d.state == due:
		return
	case d.tried:
		s.tried.remove((*byDate)(d))
	default:
		s.dates.remove((*byDate)(d))
	}
	d.state = due
}

// mostArrivals is how many jobs come at most for one call of Next, so that many with
// one date do not make others late: then those after it go on from there.
const mostArrivals = 256

// mostLapses is how many jobs one call of Next ends at most that can't meet their
// deadlines.
const mostLapses = 256

// arriveAll lets the jobs come whose dates have come at tau. It reports whether all have.
func (s *Scheduler) arriveAll(now int64) bool {
	return s.dates.first == nil && s.tried.first == nil && len(s.stirred) == 0 || s.arriveSome(now)
}

// arriveSome is arriveAll if there are dates, apart so that arriveAll can be inlined.
func (s *Scheduler) arriveSome(now int64) bool {
	for _, q := range [...]*queue[*byDate]{&s.dates, &s.tried} {
		for q.len() > 0 && q.top().NotBefore <= s.tau {
			if s.came == mostArrivals {
				s.settleTurns(now, nil)
				return false
			}
			s.came++
			s.come(now, (*dated)(q.top()))
		}
	}
	s.settleTurns(now, nil)
	return true
}

// come lets a job compete whose date has come.
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
	s.touch(l)
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

// arrive puts a job into a lane, where it belongs by its arrival.
func (s *Scheduler) arrive(now int64, l *lane, j *Job) {
	s.rejoin(l, j)
	s.enter(now, l, true)
}

// rejoin puts a job where it belongs in its lane. A head that it does not come before
// stays the head, with its rank.
func (s *Scheduler) rejoin(l *lane, j *Job) {
	if l.state != asking && l.head != nil && j.before(l.head) {
		s.park(l)
	}
	s.insert(l, j)
	if s.cfg.Order == Backlog && l.state == waiting {
		s.promote(l)
	}
}

// heldUntil is when the head of a lane may compete, if it keeps others waiting for
// that.
func (s *Scheduler) heldUntil(l *lane) int64 {
	if l.head.hasDates() {
		if d := s.datesOf(l.head); d.state == held {
			return d.NotBefore
		}
	}
	return math.MinInt64
}

// notBefore is that of the head of a lane.
func (s *Scheduler) notBefore(l *lane) int64 {
	if l.head.hasDates() {
		return s.datesOf(l.head).NotBefore
	}
	return math.MinInt64
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

// Expired returns a job that has expired, and is gone, or nil if there is none. It
// is called before and after Next. Whoever calls it no more, though it may not return
// nil yet, does so at the instant that Wake returns.
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

// HasExpired reports whether there are jobs that have expired and are gone, of which
// Expired has not told.
func (s *Scheduler) HasExpired() bool { return len(s.expired) > 0 }

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
		s.touch(l)
		s.leaves(j)
		s.jobs--
	}
	s.unawait(j)
	var d *dated
	if j.hasDates() {
		d = s.datesOf(j)
		sleeps := d.state == asleep
		s.leave(j)
		if sleeps {
			s.over(j)
			l.wake(d)
			if p == nil {
				s.drop(l)
			}
			return
		}
	}
	s.over(j)
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
		s.next(now, l)
	case d != nil && d.strays:
		l.unstray(d)
		s.shortened(l)
	default:
		l.lose(j, before)
		s.shortened(l)
	}
	if goOn {
		s.enterAll(now, l.name, nil)
	}
}

// shortened is called when a lane has lost a job that is not its head.
func (s *Scheduler) shortened(l *lane) {
	if s.cfg.Order == Backlog && l.state == waiting {
		s.promote(l)
		s.yield(l)
	}
}
