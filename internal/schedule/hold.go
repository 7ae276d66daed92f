package schedule

// Hold closes a key until an instant, both as a limit and as the key of jobs.
// It only extends.
func (s *Scheduler) Hold(now int64, key string, until int64) {
	if until <= now {
		return
	}
	lim := s.limitOf(key)
	if lim.clears != s.clears {
		s.cleared(now, lim) // before this hold
	}
	if until <= lim.closed {
		return
	}
	s.tick(now)
	lim.closed = until
	s.startHold(lim)
	s.noteLimit(lim)
	s.holdsEnd = max(s.holdsEnd, until)
	s.opensLater(lim)
	s.unused(lim)
	for l := range s.competing(lim.keyState) {
		s.reenter(now, l)
	}
}

// hold is the hold of a limit. While it lasts the limit's wait time stands still.
type hold struct {
	limit *limit
	until int64 // or later, if it was extended
	pos   int32
}

func (h *hold) Before(o *hold) bool { return h.until < o.until }
func (h *hold) Position() *int32    { return &h.pos }

// startHold is called when a limit is held, or for longer than before.
func (s *Scheduler) startHold(lim *limit) {
	if lim.hold != nil {
		return
	}
	lim.hold = &hold{limit: lim, until: lim.closed}
	s.holds.Push(lim.hold)
	s.meter.heads -= int(lim.waiting)
	lim.waited += int64(lim.waiting) * s.meter.shows
}

// endHold is called when a limit may be held no longer.
func (s *Scheduler) endHold(now int64, h *hold) {
	s.run(now)
	lim := h.limit
	s.holds.Remove(h)
	if lim.closed > now {
		h.until = lim.closed
		s.holds.Push(h)
		return
	}
	lim.hold = nil
	s.meter.heads += int(lim.waiting)
	lim.waited -= int64(lim.waiting) * s.meter.shows
}

// keyHold returns the limit with the key of a lane if it is held, else nil.
func (s *Scheduler) keyHold(now int64, l *lane) *limit {
	if s.holdsEnd <= now {
		return nil
	}
	if own := l.keyState.limit; own != nil && own.closed > now {
		return own
	}
	return nil
}
