package schedule

// Clear says that the backend has forgotten all limits and holds. The caller calls ClearSome after
// it until that returns true.
func (s *Scheduler) Clear() {
	if s.clearing != nil {
		s.clearing.Stop()
	}
	s.clears++
	s.clearing = s.keys.Walk()
}

// ClearSome clears a few more limits, and reports whether all are cleared.
func (s *Scheduler) ClearSome(now int64) (done bool) {
	if s.clearing == nil {
		return true
	}
	for range fewLimits {
		k, ok := s.clearing.Next()
		if !ok {
			s.clearing = nil
			return true
		}
		if lim := k.limit; lim != nil && lim.clears != s.clears {
			s.cleared(now, lim)
		}
	}
	return false
}

// fewLimits is how many keys ClearSome visits at a time.
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
	s.noteLimit(lim)
	if lim.hold != nil {
		s.endHold(now, lim.hold)
	}
	s.Invalidate(now, lim.keyState.key)
	if lim.inDebts {
		lim.forgetAt = lim.until()
		s.debts.Fix(lim)
	}
}
