package schedule

// Spare takes jobs beyond those that Next takes, for the limits that these are
// under and that keep others waiting: whoever is next there, be it beyond the
// horizon. It is called when a batch is complete, until it returns nil, and what
// it returns goes into the batch. It is for limits that others charge too, with
// Config.Shared.
//
// If the backend refuses one of the batch after all, a spare one takes its place
// and no slot is wasted. If it refuses the spare one, that says how the limit
// stands, and when it is this scheduler's turn, without a call of its own. There
// is one for each limit; more, the more jobs in a row have been refused there
// because of another limit, of which others had taken the slot.
func (s *Scheduler) Spare(now int64) *Job {
	for len(s.charged) > 0 && s.idle > 0 && !s.paused {
		last := len(s.charged) - 1
		lim := s.charged[last]
		l := s.nextAt(lim)
		if lim.spares++; l == nil || lim.spares > lim.missed {
			s.charged = s.charged[:last]
			defer lim.uncount()
		}
		if l != nil {
			// Its own limits need no spare ones.
			before := len(s.charged)
			j, _ := s.take(now, l)
			s.uncount(before)
			return j
		}
	}
	s.uncount(0)
	return nil
}

// mostMissed bounds how many spare jobs there are for a limit.
const mostMissed = 64

// uncount forgets the limits charged since there were n.
func (s *Scheduler) uncount(n int) {
	for _, lim := range s.charged[n:] {
		lim.uncount()
	}
	clear(s.charged[n:])
	s.charged = s.charged[:n]
}

func (lim *limit) uncount() { lim.charged, lim.spares = false, 0 }

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
		if g.cost == 0 || g.in != timed || g.waiting.len() == 0 {
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
	l := g.waiting.top().lanes.top()
	if at := g.open(); !g.shut && at > s.outage && l.opens() == at && !s.isClaimed(l) {
		return l
	}
	return nil
}
