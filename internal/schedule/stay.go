package schedule

import "slices"

// stay is where the head of a lane has waited: a forecast tells which limit kept it.
type stay struct {
	since  int64         // when it became the head
	came   int64         // what the meter showed when it came to where it is
	sat    []int64       // if that is a crossing: how long its cohort had been at each gate
	limits []limitedStay // where it was before
}

// limitedStay is a limit and what a head has lost to it, in units of lostUnit.
type limitedStay struct {
	limit *limit
	lost  int64
}

// watchStays has stays noted from now on.
func (s *Scheduler) watchStays() {
	s.stays = true
	for _, n := range s.names.All() {
		for l := range n.lanes() {
			if l.state == waiting {
				s.beginStay(l, s.meter.since)
				l.stay().come(l.cohort, s.meter.shows)
			}
		}
	}
}

// beginStay is called when a lane has another head.
func (s *Scheduler) beginStay(l *lane, now int64) {
	if !s.stays {
		return
	}
	r := l.more()
	if r.stay == nil {
		r.stay = &stay{}
	}
	r.stay.since, r.stay.limits = now, r.stay.limits[:0]
}

// come is called when the head has come to a cohort.
func (is *stay) come(c *cohort, shows int64) {
	if is == nil {
		return
	}
	is.came = shows
	if c.cross != nil {
		c.cross.sit(c.at, shows)
		is.sat = append(is.sat[:0], c.cross.sat...)
	}
}

// leave is called when the head leaves its cohort.
func (is *stay) leave(c *cohort, shows int64) {
	switch {
	case is == nil:
	case c.cross == nil:
		is.add(c.at, shows-is.came)
	default:
		c.cross.sit(c.at, shows)
		for i, g := range c.cross.gates {
			is.add(g, c.cross.sat[i]-is.sat[i])
		}
	}
}

// sit adds up how long the cohort has been at a gate, at which it still is.
func (x *crossing) sit(g *gate, shows int64) {
	if x.sat == nil {
		x.sat = make([]int64, len(x.gates))
	} else {
		x.sat[slices.Index(x.gates, g)] += shows - x.shown
	}
	x.shown = shows
}

func (is *stay) add(g *gate, lost int64) {
	if g.limit == nil || g.cost == 0 || lost == 0 {
		return
	}
	for i := range is.limits {
		if of := &is.limits[i]; of.limit == g.limit {
			of.lost += lost
			return
		}
	}
	is.limits = append(is.limits, limitedStay{g.limit, lost})
}

// binding returns the limit to which a head that starts has lost most, nil if that is less
// than it has waited for something that is no limit.
func (is *stay) binding(slot int64) *limit {
	var longest limitedStay
	other := (slot - is.since) / lostUnit
	for _, of := range is.limits {
		other -= of.lost
		if of.lost > longest.lost {
			longest = of
		}
	}
	if longest.lost < other {
		return nil
	}
	return longest.limit
}
