package schedule

// Speculative takes one job more than Next takes, even if its slot is beyond the horizon:
// the next one behind a limit that a job of this batch is under and that keeps others
// waiting. The caller calls it when a batch is complete, until it returns nil, and adds each
// job to the batch. It is for limits that other processes charge too: see Config.Shared.
//
// If the backend refuses a job of the batch, a speculative job takes its slot, so none is
// wasted. If the backend refuses the speculative job, its answer tells the state of the
// limit, and when this scheduler's turn is, without a request of its own.
//
// Each limit gets one speculative job. It gets more if jobs under it were refused in a row
// because others had taken the slot of another limit: one for each of these jobs.
func (s *Scheduler) Speculative(now int64) *Job {
	for len(s.charged) > 0 && s.idle > 0 && !s.paused {
		last := len(s.charged) - 1
		lim := s.charged[last]
		l := s.nextAt(lim)
		if lim.speculative++; l == nil || lim.speculative > lim.missed {
			s.charged = s.charged[:last]
			defer lim.uncount()
		}
		if l != nil {
			// The limits of a speculative job need none themselves.
			before := len(s.charged)
			j, _ := s.take(now, l)
			s.uncount(before)
			return j
		}
	}
	s.uncount(0)
	return nil
}

// mostMissed bounds limit.missed, and so the speculative jobs for a limit.
const mostMissed = 64

// uncount forgets the limits charged since there were n.
func (s *Scheduler) uncount(n int) {
	for _, lim := range s.charged[n:] {
		lim.uncount()
	}
	clear(s.charged[n:])
	s.charged = s.charged[:n]
}

func (lim *limit) uncount() { lim.charged, lim.speculative = false, 0 }

// nextAt returns the lane that is next behind a limit that is closed, if it waits
// for nothing else.
func (s *Scheduler) nextAt(lim *limit) *lane {
	if t := lim.tree; t != nil {
		shut := func(g *gate) bool { return g.open() > s.tau }
		_, next := t.root.upTo(shut)
		for _, n := range [...]*gateNode{next, t.root.foremost()} {
			if n == nil || !shut(n.gate) {
				continue
			}
			if l := s.isNextAt(n.gate); l != nil {
				return l
			}
		}
		return nil
	}
	for g := &lim.gate; g != nil; g = g.next {
		if g.cost == 0 || g.in != timed || g.waiting.Len() == 0 {
			continue
		}
		if l := s.isNextAt(g); l != nil {
			return l
		}
	}
	return nil
}

// isNextAt returns the first lane at a gate that is closed, if it waits for nothing else.
func (s *Scheduler) isNextAt(g *gate) *lane {
	l := g.waiting.Top().lanes.Top()
	if at := g.open(); !g.shut && at > s.outage && l.opens() == at && !s.isClaimed(l) {
		return l
	}
	return nil
}
