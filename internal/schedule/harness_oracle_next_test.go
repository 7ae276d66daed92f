package schedule

import (
	"maps"
	"slices"
)

// oracleHead is the job of a lane that competes.
type oracleHead struct {
	head  *oracleJob // nil: none
	ready int64
	since int64
	from  map[string]int64 // limits at which it has waived its place, and until when
}

// ranks reports whether a ranks before b.
func (o *oracle) ranks(a, b *oracleLane) bool {
	if a.priority != b.priority {
		return a.priority > b.priority
	}
	n, m := len(o.present(a)), len(o.present(b))
	switch {
	case o.cfg.Order == Fair && a.ready != b.ready:
		return a.ready < b.ready
	case o.cfg.Order == Backlog && n != m:
		return n > m
	}
	return a.head.before(b.head)
}

// heading is what competes at present.
func (o *oracle) heading() map[*oracleLane]oracleHead {
	all := map[*oracleLane]oracleHead{}
	for _, l := range o.lanes {
		all[l] = l.oracleHead
	}
	return all
}

// next takes the next job, or returns nil. It looks ahead up to the horizon, and
// nothing is left of that if no job is taken there.
func (o *oracle) next(now int64) (*oracleJob, int64) {
	o.tau = max(o.tau, now)
	// What was claimed at an instant to come is so no more: much may have happened.
	maps.DeleteFunc(o.claims, func(_ string, c *oracleClaim) bool { return c.made > o.tau })
	o.compete(now)
	decided, heading := o.tau, o.heading()
	for o.idle > 0 && !o.paused {
		best, soonest := o.best()
		for _, j := range o.waiting() {
			if j.notBefore > o.tau {
				soonest = min(soonest, j.notBefore)
			}
		}
		if best != nil {
			if j := best.head; j.deadline != 0 && o.slot(now, best) > j.deadline {
				o.remove(now, j.id)
				o.expired = append(o.expired, j.id)
				decided, heading = o.tau, o.heading()
				continue
			}
			return o.take(now, best)
		}
		if soonest > now+o.cfg.Horizon {
			break
		}
		o.tau = soonest
		o.compete(now)
	}
	o.tau = decided
	for _, l := range o.lanes {
		if was := heading[l]; l.head != was.head {
			o.endClaims(l)
			was.from = map[string]int64{}
			l.oracleHead = was
		}
	}
	return nil, 0
}

// best is the lane that is to be taken at tau, nil if there is none, and the next
// instant at which there may be another.
func (o *oracle) best() (best *oracleLane, soonest int64) {
	soonest = int64(1) << 62
	var open []*oracleLane
	for _, l := range o.lanes {
		if l.head == nil {
			continue
		}
		if at := o.opens(l); at > o.tau {
			soonest = min(soonest, at)
		} else {
			open = append(open, l)
		}
	}
	slices.SortFunc(open, o.compare)
	for _, l := range open {
		until, kept := o.claimed(l)
		if !kept {
			return l, soonest
		}
		soonest = min(soonest, until)
	}
	return nil, soonest
}

func (o *oracle) compare(a, b *oracleLane) int {
	switch {
	case a == b:
		return 0
	case o.ranks(a, b):
		return -1
	}
	return 1
}

// slot is when a head can start.
func (o *oracle) slot(now int64, l *oracleLane) int64 {
	return max(now, o.floor(l), o.opens(l))
}

// floor is before when a head does not start, whatever its limits.
func (o *oracle) floor(l *oracleLane) int64 {
	at := max(l.lastSlot, l.head.notBefore)
	for _, other := range o.lanes {
		if other.key == l.key && other.priority > l.priority {
			at = max(at, other.ahead)
		}
	}
	return at
}

func (o *oracle) take(now int64, l *oracleLane) (*oracleJob, int64) {
	slot := o.slot(now, l)
	j := l.head
	l.running++
	l.taken = true
	o.endClaims(l)
	for _, other := range o.lanes {
		if other != l && o.busy(other.key) {
			other.oracleHead = oracleHead{}
			o.endClaims(other)
		}
	}
	for _, lim := range j.limits {
		o.pass(l, lim)
	}
	for _, lim := range j.limits {
		is := o.limit(lim.Key)
		is.state = is.state.Charge(slot, is.params, lim.Units())
		delete(o.claims, lim.Key)
	}
	l.jobs = slices.DeleteFunc(l.jobs, func(o *oracleJob) bool { return o == j })
	j.held = false
	l.taken = false
	l.lastSlot = slot
	if j.back {
		l.ahead = slot
	}
	j.back = false
	o.idle--
	o.compete(now)
	return j, slot
}

// wake is when to look again: when the next head may be decided on, or a claim that
// keeps one waiting ends.
func (o *oracle) wake(now int64) (int64, bool) {
	soonest, ok := int64(0), false
	look := func(at int64) {
		if at > now && (!ok || at < soonest) {
			soonest, ok = at, true
		}
	}
	for _, j := range o.waiting() {
		if o.idle > 0 && !o.paused {
			look(j.notBefore - o.cfg.Horizon)
			look(j.notBefore)
		}
		if j.deadline != 0 {
			look(j.deadline + 1)
		}
	}
	for _, l := range o.lanes {
		if l.head != nil && o.idle > 0 && !o.paused {
			look(o.opens(l) - o.cfg.Horizon)
			for _, lim := range l.head.limits {
				look(o.limit(lim.Key).state.TAT - o.cfg.Horizon)
				if c := o.claims[lim.Key]; c != nil {
					look(c.start - o.cfg.Horizon)
				}
			}
		}
	}
	return soonest, ok
}
