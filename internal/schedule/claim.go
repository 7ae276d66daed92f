package schedule

// A claim keeps a slot for a head that others would starve. The head that is
// overdue first among those under a limit claims it: nobody of lower rank may
// take the limit if that would put off the instant at which the head's limits,
// as they stand, are all open. Whatever does not put it off may go ahead. So the
// head of the highest rank among those overdue starts at that instant, and then
// the next one.
//
// This is EASY backfilling as batch schedulers do it (Lifka, "The ANL/IBM SP
// Scheduling System", 1995), with one reservation a limit.
//
// In a plain queue behind a limit the head that is overdue first is the one that
// is next anyway, and nothing is held up for it.

// claimed returns the gate of l at which a claim of another lane keeps l from
// being taken now, or nil. It judges all lanes by one slot, the clock of the
// decisions, not each by its own: so where one is kept waiting, those of lower
// rank at the same gate are too.
func (s *Scheduler) claimed(l *lane) *gate {
	for i := range l.uses {
		u := &l.uses[i]
		if u.index < 0 {
			continue
		}
		lim := u.limit()
		first := lim.heads.top()
		holder := first.lane
		if holder == l || holder.overdue > s.tau || !holder.rank.before(l.rank) {
			continue
		}
		after := lim.state.Charge(s.tau, lim.params, u.gate.cost).TAT - first.gate.headroom
		if after > holder.opens() {
			return u.gate
		}
	}
	return nil
}

// hold hides a gate at which everyone is kept waiting by a claim.
func (s *Scheduler) hold(g *gate) {
	s.unwatch(g)
	s.held = append(s.held, g)
}

// unhold brings the held gates back. It is called when anything has changed.
func (s *Scheduler) unhold() {
	for _, g := range s.held {
		s.watch(g)
	}
	clear(s.held)
	s.held = s.held[:0]
}
