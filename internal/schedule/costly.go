package schedule

import (
	"github.com/freqlimit/dispatcher/internal/pqueue"
)

// A job that costs more than the Burst of one of its limits is impossible: it can never start.
// None is submitted, but params change while jobs wait. The gate of such jobs is shut from then
// on: they charge nothing and claim nothing. RemoveImpossible removes them a few at a time, so
// that a million of them delay nobody. It finds them through the limit, which has a queue of the
// limit sets that cost more than one event, the highest cost first.

// never is the instant at which a shut gate opens: later than all others, and early enough that
// sums with it do not overflow.
const never = int64(1) << 62

// costlySet is kept for a limit set that costs more than one event under at least one limit.
type costlySet struct {
	set     *limitSet
	seq     uint64 // of the job that came first, or of one before it
	waiting int    // its jobs that wait and do not ask
	alone   *Job   // the job that waits, if it has dates: it shares its limit set with no other
	first   *Job   // else the first of them; nil if next has to search the lane
	lane    *lane

	costs  []setCost
	memory [1]setCost // the memory of costs, if one is enough
}

// setCost is what a costly limit set costs under one limit.
type setCost struct {
	costlySet *costlySet
	lim       *limit
	cost      int
	pos       int32 // in limit.costs, while jobs wait
}

// Before implements [pqueue.Element], for the costs of a limit.
func (p *setCost) Before(o *setCost) bool {
	return p.cost > o.cost || p.cost == o.cost && p.costlySet.seq < o.costlySet.seq
}
func (p *setCost) Position() *int32 { return &p.pos }

// addCostlySet makes the costlySet of a new limit set, if it is costly.
func (s *Scheduler) addCostlySet(t *limitSet) {
	var b *costlySet
	for i, lim := range t.under {
		cost := t.limits[i].Units()
		if cost == 1 {
			continue
		}
		if b == nil {
			b = &costlySet{set: t, seq: s.seq}
			b.costs = b.memory[:0]
		}
		b.costs = append(b.costs, setCost{costlySet: b, lim: lim, cost: cost})
	}
	if b == nil {
		return
	}
	s.costlySets.Set(t, b)
	t.costly = true
}

// startWaiting notes that a job waits from now on. It is called when the job is in its place.
func (s *Scheduler) startWaiting(j *Job) {
	if j.set == nil || !j.set.costly {
		return
	}
	b, _ := s.costlySets.Get(j.set)
	b.waiting++
	switch {
	case j.hasDates():
		b.alone = j
	case b.waiting == 1 || b.first != nil && j.before(b.first):
		b.first = j
	}
	if b.waiting > 1 {
		return
	}
	for i := range b.costs {
		p := &b.costs[i]
		if p.lim.costs == nil {
			p.lim.costs = &pqueue.Queue[*setCost]{}
		}
		p.lim.costs.Push(p)
		s.checkBurst(p.lim)
	}
}

// stopWaiting notes that a job waits no longer. It is called while the job is still in its place.
func (s *Scheduler) stopWaiting(j *Job) {
	if j.set == nil || !j.set.costly {
		return
	}
	b, _ := s.costlySets.Get(j.set)
	b.waiting--
	b.alone = nil
	b.lane = j.lane
	if b.first == j {
		b.first = j.next
		for b.first != nil && b.first.gone() {
			b.first = b.first.next
		}
		if b.first != nil && b.first.set != b.set {
			b.first = nil
		}
	}
	if b.waiting == 0 {
		b.unlist()
	}
}

// unlist takes the costs out of the limits: no job of the set waits.
func (b *costlySet) unlist() {
	for i := range b.costs {
		p := &b.costs[i]
		if p.lim.costs.Remove(p); p.lim.costs.Len() == 0 {
			p.lim.costs = nil
		}
	}
}

// next returns a job that waits.
func (b *costlySet) next() *Job {
	switch {
	case b.alone != nil:
		return b.alone
	case b.first != nil:
		return b.first
	}
	j := b.lane.head
	if b.lane.state == asking {
		j = j.next
	}
	for j.set != b.set || j.gone() {
		j = j.next
	}
	return j
}

// dropCostlySet is called when a costly limit set has no more jobs.
func (s *Scheduler) dropCostlySet(t *limitSet) {
	if b, _ := s.costlySets.Get(t); b.waiting > 0 {
		b.unlist()
	}
	s.costlySets.Delete(t)
}

// ownSet gives a job that gets dates a limit set of its own, if its set is costly.
func (s *Scheduler) ownSet(j *Job) {
	if j.set == nil || !j.set.costly || j.set.jobs == 1 {
		return
	}
	j.set.jobs--
	j.set = s.resolve(j.set.limits)
	j.set.jobs = 1
	s.addCostlySet(j.set)
}

// impossible reports whether a job with this limit set can never start.
func (t *limitSet) impossible() bool {
	for i, lim := range t.under {
		if t.limits[i].Units() > lim.params.Burst {
			return true
		}
	}
	return false
}

// checkBurst is called when the Burst of a limit may be less than the cost of a job that waits.
func (s *Scheduler) checkBurst(lim *limit) {
	if !lim.burstLowered && lim.hasImpossible() {
		lim.burstLowered = true
		s.lowered = append(s.lowered, lim)
	}
}

// hasImpossible reports whether a job waits that costs more than the Burst.
func (lim *limit) hasImpossible() bool {
	return lim.costs != nil && lim.costs.Top().cost > lim.params.Burst
}

// nextLowered returns a limit with an impossible job that waits, nil if there is none.
func (s *Scheduler) nextLowered() *limit {
	for len(s.lowered) > 0 {
		last := len(s.lowered) - 1
		lim := s.lowered[last]
		if lim.hasImpossible() {
			return lim
		}
		lim.burstLowered = false
		s.lowered[last] = nil
		s.lowered = s.lowered[:last]
	}
	return nil
}

// RemoveImpossible removes waiting jobs that cost more than the Burst of one of their limits
// because its params have changed. It looks at n jobs at most, one at least, calls f for each
// that it removes, and reports whether there are more. The caller calls it after everything that
// may change params or bring a job back, until it returns false.
func (s *Scheduler) RemoveImpossible(now int64, n int, f func(*Job)) (more bool) {
	if len(s.cuts) > 0 {
		return len(s.lowered) > 0 // the jobs may be among those that are cut off
	}
	var at *Job // the next one to look at is behind it; nil: wherever there is one
	inVain := 0
	for lim := s.nextLowered(); lim != nil; lim = s.nextLowered() {
		if n == 0 {
			return true
		}
		n--
		j, before := lim.costs.Top().costlySet.next(), at
		if at == nil || at.next == nil {
			before = nil
		} else if j = at.next; j.gone() || j.set == nil || !j.set.impossible() {
			if at = j; inVain == maxInVain {
				at = nil
			}
			inVain++
			continue
		}
		inVain = 0
		s.remove(now, j, before)
		if at = before; j.gone() {
			at = j
		}
		f(j)
	}
	return false
}

// maxInVain is how many possible jobs in a row RemoveImpossible looks at because they stand behind
// one that it has removed. Jobs that stand together are often of one kind, and to remove a job is
// quick if the one in front of it is known.
const maxInVain = 16
