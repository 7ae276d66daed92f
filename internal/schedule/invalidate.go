package schedule

import (
	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
)

// Invalidate marks what is known of a limit as unconfirmed: the limit seems open, so the next
// job under it makes the caller ask the backend.
func (s *Scheduler) Invalidate(now int64, key string) {
	if lim := s.lookUp(key).limit; lim != nil {
		s.invalidate(now, lim, s.expected(lim))
	}
}

// GivenBack says that the backend has been told to take back a slot that these limits
// were charged for. Only the backend knows how much it could take back, so the limits are
// invalidated.
func (s *Scheduler) GivenBack(now int64, limits []backend.Limit) {
	for i := range limits {
		if lim := s.lookUp(limits[i].Key).limit; lim != nil {
			state := s.expected(lim)
			state.TAT -= chargeOf(limits[i].Params, limits[i].Units()) // about
			s.invalidate(now, lim, state)
			s.noteLimit(lim)
		}
	}
}

// invalidate is Invalidate for a limit whose state in the backend is about expected.
func (s *Scheduler) invalidate(now int64, lim *limit, expected gcra.State) {
	s.unconfirmed.Set(lim, expected)
	lim.state.TAT = min(lim.state.TAT, now)
	lim.known = min(lim.known, now)
	s.endTurn(lim)
	s.opensEarlier(lim)
}

// expected returns the best estimate of a limit's state in the backend. That differs from
// limit.state if the limit is unconfirmed.
func (s *Scheduler) expected(lim *limit) gcra.State {
	state := lim.state
	if was, ok := s.unconfirmed.Get(lim); ok {
		state.TAT = max(state.TAT, was.TAT)
	}
	return state
}

// confirm is called when the backend has told the state of a limit. It is unconfirmed no longer.
func (s *Scheduler) confirm(lim *limit) {
	if s.unconfirmed.Len() > 0 {
		s.unconfirmed.Delete(lim)
	}
}
