package schedule

import "slices"

// Cut holds the jobs of a key that were cut off. They no longer wait, but are still in the
// scheduler, because removing each of them takes time and there may be very many.
type Cut struct {
	scheduler *Scheduler
	pieces    []*piece
}

// piece is the jobs that have been cut off from one lane. Their Job.lane is still that lane.
type piece struct {
	jobs    lane // where they are; no keyState of the scheduler has this lane
	from    *lane
	seq     uint64 // their seqs are not above it, those of all other jobs of the lane are
	earlier *piece // of the same lane
}

// Cut ends the waiting of all jobs of a key, except for one that asks.
func (s *Scheduler) Cut(now int64, key string) *Cut {
	s.tick(now)
	c := &Cut{scheduler: s}
	for l := range s.lookUp(key).lanes() {
		if p := s.cutOff(l); p != nil {
			c.pieces = append(c.pieces, p)
		}
		s.drop(l)
	}
	s.settleChangedGroups(now, nil) // no lane has anything to settle
	if len(c.pieces) > 0 {
		s.cuts = append(s.cuts, c)
	}
	return c
}

// cutOff cuts off all jobs of a lane that wait. It returns nil if there is none.
func (s *Scheduler) cutOff(l *lane) *piece {
	s.noteLane(l)
	var asks *Job
	if l.state == asking {
		asks = l.head
		l.unlink()
		l.length--
	} else {
		s.park(l)
	}
	if l.length == 0 && l.aside() == nil {
		if asks != nil {
			l.append(asks)
		}
		return nil
	}
	p := &piece{from: l, seq: s.seq}
	to := &p.jobs
	to.keyState, to.rank.priority = l.keyState, l.rank.priority
	to.head, to.tail, to.gone, to.length = l.head, l.tail, l.gone, l.length
	l.head, l.tail, l.gone, l.length = nil, nil, 0, 0
	s.jobs -= int(to.length)
	if a := l.aside(); a != nil {
		s.jobs -= a.sleepers
		to.ensureRare().aside = *a
		*a = aside{}
	}
	to.surface()
	if s.observer != nil {
		s.observer.laneCut(l, p.seq, asks)
	}
	p.earlier = l.ensureRare().cut
	l.rare.cut = p
	gone := l.keeps
	if asks != nil {
		l.append(asks)
		s.renumber(asks)
		if asks.keeps() {
			gone--
		}
	}
	l.unkeep(gone)
	return p
}

// renumber gives a job that comes back a new seq, if its lane was cut since: otherwise it would
// count as cut off.
func (s *Scheduler) renumber(j *Job) {
	if j.lane.cutOf(j) != nil {
		s.seq += seqStep
		j.seq = s.seq | j.seq&(seqStep-1)
	}
}

// cutOf returns the piece that a job of the lane belongs to, nil if it has not been cut
// off.
func (l *lane) cutOf(j *Job) *piece {
	if l.rare == nil || l.rare.cut == nil {
		return nil
	}
	var of *piece
	for p := l.rare.cut; p != nil && j.seq < p.seq+seqStep; p = p.earlier {
		of = p
	}
	return of
}

// Remove removes n jobs at most, in no particular order. It calls f for each, and reports whether
// there are more.
func (c *Cut) Remove(n int, f func(*Job)) (more bool) {
	s := c.scheduler
	for ; n > 0 && len(c.pieces) > 0; n-- {
		p := c.pieces[0]
		l := &p.jobs
		if l.length > 0 {
			j := l.head
			s.finish(j)
			l.pop()
			f(j)
		} else if l.aside() != nil {
			d := l.rare.aside.asleep
			s.finish(d.job)
			l.wake(d)
			f(d.job)
		}
		if l.length == 0 && l.aside() == nil {
			p.from.forget(p)
			c.pieces[0] = nil
			c.pieces = c.pieces[1:]
		}
	}
	if len(c.pieces) == 0 {
		s.cuts = slices.DeleteFunc(s.cuts, func(o *Cut) bool { return o == c })
	}
	return len(c.pieces) > 0
}

// finish gives up what the scheduler has for a job that has been cut off.
func (s *Scheduler) finish(j *Job) {
	s.stopWaiting(j)
	if j.hasDates() {
		s.leave(j)
	}
	s.releaseSet(j)
}

// forget takes a piece out of its lane, when all its jobs are removed.
func (l *lane) forget(p *piece) {
	at := &l.rare.cut
	for *at != p {
		at = &(*at).earlier
	}
	*at = p.earlier
	l.tidy()
}
