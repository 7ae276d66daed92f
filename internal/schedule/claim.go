package schedule

import "slices"

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
		if holder == l || holder.overdue > s.tau || !holder.before(l) {
			continue
		}
		after := lim.state.Charge(s.tau, lim.params, u.gate.cost).TAT - first.gate.headroom
		if after > holder.opens() {
			return u.gate
		}
	}
	return nil
}

// holds is what the claims on a limit keep waiting.
type holds struct {
	held []*gate  // its open gates at which a claim keeps everyone waiting
	by   []*limit // limits with held gates, whose claims go by this one too
}

// holding returns lim.holds.
func (lim *limit) holding() *holds {
	if lim.holds == nil {
		lim.holds = &holds{}
	}
	return lim.holds
}

// hold hides a gate at which everyone is kept waiting by a claim on its limit.
// Time alone does not end that; a change of what the claim goes by does, and all
// limits of the holder are part of that.
func (s *Scheduler) hold(g *gate) {
	s.unwatch(g)
	lim := g.limit
	h := lim.holding()
	h.held = append(h.held, g)
	s.holding[lim] = struct{}{}
	if s.tau > s.decided {
		s.early = append(s.early, lim)
	}
	holder := lim.heads.top().lane
	for i := range holder.uses {
		if of := holder.uses[i].limit().holding(); !slices.Contains(of.by, lim) {
			of.by = append(of.by, lim)
		}
	}
}

// unheld takes a gate from those held.
func (s *Scheduler) unheld(g *gate) {
	h := g.limit.holding()
	h.held = slices.DeleteFunc(h.held, func(o *gate) bool { return o == g })
	if len(h.held) == 0 {
		delete(s.holding, g.limit)
	}
}

// changed is called when the TAT, the hold or the first head of a limit may
// be another: whom a claim keeps waiting because of it is looked at again.
func (s *Scheduler) changed(lim *limit) {
	if lim.holds == nil {
		return
	}
	s.unhold(lim)
	by := lim.holds.by
	lim.holds.by = nil
	for _, held := range by {
		s.unhold(held)
	}
}

// yield is called when a lane that waits ranks lower than before: those whom its
// claims keep waiting may rank before it now.
func (s *Scheduler) yield(l *lane) {
	for i := range l.uses {
		if u := &l.uses[i]; u.index >= 0 && u.limit().heads.top() == u {
			s.changed(u.limit())
		}
	}
}

// unhold brings the held gates of a limit back.
func (s *Scheduler) unhold(lim *limit) {
	if lim.holds == nil || len(lim.holds.held) == 0 {
		return
	}
	held := lim.holds.held
	lim.holds.held = nil
	delete(s.holding, lim)
	for _, g := range held {
		s.watch(g)
	}
}

// unholdEarly brings back the gates that were held at an instant after that of
// the latest decision: to the next one the claims may not have begun.
func (s *Scheduler) unholdEarly() {
	for _, lim := range s.early {
		s.unhold(lim)
	}
	s.keepEarly()
}

// keepEarly is called when a decision makes that instant its own.
func (s *Scheduler) keepEarly() {
	clear(s.early)
	s.early = s.early[:0]
}

// unholdAll brings all held gates back.
func (s *Scheduler) unholdAll() {
	for lim := range s.holding {
		s.unhold(lim)
	}
}
