package schedule

import "github.com/freqlimit/dispatcher/gcra"

// limitRef refers to a limit that the head of a lane is under.
type limitRef struct {
	lane  *lane
	gate  *gate
	pos   int32 // in limit.heads, while the lane waits and has not waived its place there
	index int32 // in limitSet.under; -1 for the hold of the key, which is not charged
}

func (ref *limitRef) limit() *limit { return ref.gate.limit }

// Before implements [pqueue.Element], for the heads of a limit.
func (ref *limitRef) Before(o *limitRef) bool { return ref.lane.Before(o.lane) }
func (ref *limitRef) Position() *int32        { return &ref.pos }

// acquire fills in l.refs for the head. It has nothing to do if the lane kept the refs of
// the job before.
func (s *Scheduler) acquire(now int64, l *lane) {
	if len(l.refs) > 0 {
		return
	}
	refs := l.refs
	if refs == nil {
		refs = s.memoryOf(l)
	}
	own := s.keyHold(now, l)
	if t := l.head.set; t != nil {
		for i, lim := range t.under {
			refs = append(refs, limitRef{lane: l, gate: s.gateOf(lim, t.limits[i].Units()), index: int32(i)})
			if lim == own {
				own = nil
			}
		}
	}
	if own != nil {
		refs = append(refs, limitRef{lane: l, gate: s.gateOf(own, 0), index: -1})
	}
	for i := range refs {
		refs[i].limit().refs++
	}
	l.refs = refs
}

// mostFreeCap is how many limits a slice in Scheduler.freeRefs holds at most.
const mostFreeCap = 8

// mostFreeRefs is how many slices of dropped lanes are kept in Scheduler.freeRefs: as many as lanes
// that a burst of jobs of different keys makes before the first of them are dropped.
const mostFreeRefs = 1024

// memoryOf returns memory for the refs of a lane that has none.
func (s *Scheduler) memoryOf(l *lane) []limitRef {
	t := l.head.set
	if t == nil || len(t.under) <= len(l.one) {
		return l.one[:0]
	}
	if last := len(s.freeRefs) - 1; last >= 0 {
		refs := s.freeRefs[last]
		s.freeRefs[last], s.freeRefs = nil, s.freeRefs[:last]
		if cap(refs) >= len(t.under) {
			return refs
		}
	}
	return make([]limitRef, 0, len(t.under))
}

// release gives up l.refs.
func (s *Scheduler) release(l *lane) {
	for i := range l.refs {
		lim := l.refs[i].limit()
		lim.refs--
		s.unused(lim)
	}
	clear(l.refs)
	l.refs = l.refs[:0]
}

// chargeOf is by how much one job of that cost moves a limit's TAT, at most by
// [gcra.MaxSpan]. A cost above Burst is of a job that was taken under other params.
func chargeOf(p gcra.FreqLimitParams, cost int) int64 {
	t := int64(p.Interval())
	if cost > p.Burst && int64(cost) > int64(gcra.MaxSpan)/t {
		return int64(gcra.MaxSpan)
	}
	return int64(cost) * t
}
