package schedule

// Clear says that the backend has forgotten all limits and holds. ClearSome is to be
// called until it is done.
func (s *Scheduler) Clear() {
	if s.clearing != nil {
		s.clearing.Stop()
	}
	s.clears++
	s.clearing = s.names.Walk()
}

// ClearSome takes in for a few more limits that they were forgotten, and reports whether
// that is done for all.
func (s *Scheduler) ClearSome(now int64) (done bool) {
	if s.clearing == nil {
		return true
	}
	for range fewLimits {
		n, ok := s.clearing.Next()
		if !ok {
			s.clearing = nil
			return true
		}
		if lim := n.limit; lim != nil && lim.clears != s.clears {
			s.cleared(now, lim)
		}
	}
	return false
}

// fewLimits is how many limits are cleared at a time.
const fewLimits = 128

// Cleared says that the backend has forgotten one limit and its hold.
func (s *Scheduler) Cleared(now int64, key string) {
	if lim := s.lookUp(key).limit; lim != nil {
		s.cleared(now, lim)
	}
}

func (s *Scheduler) cleared(now int64, lim *limit) {
	lim.clears = s.clears
	s.tick(now)
	lim.closed = min(lim.closed, now)
	s.alters(lim)
	if lim.hold != nil {
		s.endHold(now, lim.hold)
	}
	s.Doubt(now, lim.name.key)
	if lim.inDebts {
		lim.forgetAt = lim.until()
		s.debts.fix(lim)
	}
}
