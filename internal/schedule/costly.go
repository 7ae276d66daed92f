package schedule

import "github.com/freqlimit/dispatcher/gcra"

// A job that costs more than the Burst of one of its limits can never start. None is
// submitted, but params change while jobs wait. The gate of such jobs is shut from then
// on: they charge nothing and claim nothing. RuleOut ends them a few at a time, so that a
// million of them hold nobody up. It finds them through the limit, which knows the
// terms that cost more than one event, the dearest first.

// never is when a shut gate opens: later than any other, and far enough from the end of
// time to reckon with.
const never = int64(1) << 62

// bill is what there is of terms that cost more than one event under one limit at least.
type bill struct {
	terms   *terms
	seq     uint64 // of the job that came first, or of one before it
	waiting int    // its jobs that wait, those that ask not counted
	alone   *Job   // the one that waits, if it has dates: it shares its terms with no other
	first   *Job   // else the first of them; nil if it has to be looked for in the lane
	lane    *lane

	prices []price
	one    [1]price // the memory of prices, if they are no more
}

// price is what costly terms cost under one limit.
type price struct {
	of   *bill
	lim  *limit
	cost int
	pos  int32 // in limit.prices, while jobs wait
}

// before implements element, for the prices of a limit.
func (p *price) before(o *price) bool {
	return p.cost > o.cost || p.cost == o.cost && p.of.seq < o.of.seq
}
func (p *price) place() *int32 { return &p.pos }

// suit makes a gate go by the params of its limit.
func (g *gate) suit(p gcra.FreqLimitParams) {
	most := max(p.Burst, 1)
	g.shut = g.cost > most
	switch t := g.tree(); {
	case g.shut:
		g.also = &shutUntil
	case t != nil:
		g.also = &t.turn
	default:
		g.also = &openFrom
	}
	g.headroom = gcra.Headroom(p, min(g.cost, most))
}

// appraise notes what new terms cost.
func (s *Scheduler) appraise(t *terms) {
	var b *bill
	for i, lim := range t.under {
		cost := t.limits[i].Units()
		if cost == 1 {
			continue
		}
		if b == nil {
			b = &bill{terms: t, seq: s.seq}
			b.prices = b.one[:0]
		}
		b.prices = append(b.prices, price{of: b, lim: lim, cost: cost})
	}
	if b == nil {
		return
	}
	s.bills.Set(t, b)
	t.costly = true
}

// await notes that a job waits from now on, when it is where it waits.
func (s *Scheduler) await(j *Job) {
	if j.terms == nil || !j.terms.costly {
		return
	}
	b, _ := s.bills.Get(j.terms)
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
	for i := range b.prices {
		p := &b.prices[i]
		if p.lim.prices == nil {
			p.lim.prices = &queue[*price]{}
		}
		p.lim.prices.push(p)
		s.lower(p.lim)
	}
}

// unawait notes that a job waits no longer, while it still is where it did.
func (s *Scheduler) unawait(j *Job) {
	if j.terms == nil || !j.terms.costly {
		return
	}
	b, _ := s.bills.Get(j.terms)
	b.waiting--
	b.alone = nil
	b.lane = j.lane
	if b.first == j {
		b.first = j.next
		for b.first != nil && b.first.gone() {
			b.first = b.first.next
		}
		if b.first != nil && b.first.terms != b.terms {
			b.first = nil
		}
	}
	if b.waiting == 0 {
		b.unlist()
	}
}

// unlist takes prices that nobody waits to pay out of the limits.
func (b *bill) unlist() {
	for i := range b.prices {
		p := &b.prices[i]
		if p.lim.prices.remove(p); p.lim.prices.len() == 0 {
			p.lim.prices = nil
		}
	}
}

// next returns a job that waits.
func (b *bill) next() *Job {
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
	for j.terms != b.terms || j.gone() {
		j = j.next
	}
	return j
}

// worthless is called when costly terms have no jobs any more.
func (s *Scheduler) worthless(t *terms) {
	if b, _ := s.bills.Get(t); b.waiting > 0 {
		b.unlist()
	}
	s.bills.Delete(t)
}

// single gives a job that gets dates terms of its own, if they are costly.
func (s *Scheduler) single(j *Job) {
	if j.terms == nil || !j.terms.costly || j.terms.jobs == 1 {
		return
	}
	j.terms.jobs--
	j.terms = s.resolve(j.terms.limits)
	j.terms.jobs = 1
	s.appraise(j.terms)
}

// hopeless reports whether a job under these terms can never start.
func (t *terms) hopeless() bool {
	for i, lim := range t.under {
		if t.limits[i].Units() > lim.params.Burst {
			return true
		}
	}
	return false
}

// lower is called when the Burst of a limit may be less than what a job costs.
func (s *Scheduler) lower(lim *limit) {
	if !lim.lowered && lim.rulesOut() {
		lim.lowered = true
		s.lowered = append(s.lowered, lim)
	}
}

// rulesOut reports whether a job waits that costs more than the Burst.
func (lim *limit) rulesOut() bool {
	return lim.prices != nil && lim.prices.top().cost > lim.params.Burst
}

// ruling returns a limit for which a job that waits costs too much, or nil.
func (s *Scheduler) ruling() *limit {
	for len(s.lowered) > 0 {
		last := len(s.lowered) - 1
		lim := s.lowered[last]
		if lim.rulesOut() {
			return lim
		}
		lim.lowered = false
		s.lowered[last] = nil
		s.lowered = s.lowered[:last]
	}
	return nil
}

// RuleOut ends the waiting of jobs that cost more than the Burst of one of their limits,
// since its params have changed. It looks at n jobs at most, one at least, calls f for
// each that is gone, and reports whether there are more. It is to be called after all
// that may change params or bring a job back, until it returns false.
func (s *Scheduler) RuleOut(now int64, n int, f func(*Job)) (more bool) {
	if len(s.cuts) > 0 {
		return len(s.lowered) > 0 // the jobs may be among those that are cut off
	}
	var at *Job // the next one to look at is behind it; nil: wherever there is one
	inVain := 0
	for lim := s.ruling(); lim != nil; lim = s.ruling() {
		if n == 0 {
			return true
		}
		n--
		j, before := lim.prices.top().of.next(), at
		if at == nil || at.next == nil {
			before = nil
		} else if j = at.next; j.gone() || j.terms == nil || !j.terms.hopeless() {
			if at = j; inVain == mostInVain {
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

// mostInVain is how many jobs in a row RuleOut looks at because they stand behind one
// that it has ended. Such jobs are often of one kind, and to take one out from behind
// another that is known is quick.
const mostInVain = 16
