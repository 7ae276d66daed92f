package schedule

import (
	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
)

// Pause lets no job be taken until Resume. What has been taken goes on, unless it is
// [Scheduler.Returned].
func (s *Scheduler) Pause() { s.paused = true }

// Resume ends what Pause began.
func (s *Scheduler) Resume() { s.paused = false }

// PauseKey is Pause for the jobs of one key.
func (s *Scheduler) PauseKey(now int64, key string) {
	s.tick(now)
	s.touchKey(key)
	s.pauses.Set(key, struct{}{})
	if f := s.serialSiblings(s.lookUp(key)); f != nil {
		s.settleAll(now, f, nil)
		return
	}
	for l := range s.competing(s.lookUp(key)) {
		s.suspend(l)
	}
}

// ResumeKey ends what PauseKey began.
func (s *Scheduler) ResumeKey(now int64, key string) {
	s.tick(now)
	s.touchKey(key)
	s.pauses.Delete(key)
	s.enterAll(now, s.lookUp(key), nil)
}

func (s *Scheduler) pausedKey(key string) bool {
	return s.pauses.Len() > 0 && s.pauses.Has(key)
}

// Has reports whether there is a job of a key, or one under a limit with it.
func (s *Scheduler) Has(key string) bool {
	n := s.lookUp(key)
	return n.lane != nil || n.limit != nil && n.limit.terms > 0
}

// SetParams changes the params of a limit for the jobs that wait, if there are any.
// To keep them, the caller submits others under the same.
func (s *Scheduler) SetParams(now int64, key string, p gcra.FreqLimitParams) {
	if lim := s.lookUp(key).limit; lim != nil {
		s.setParams(now, lim, p)
	}
}

// Params returns the params of a limit that jobs are under.
func (s *Scheduler) Params(key string) (p gcra.FreqLimitParams, ok bool) {
	lim := s.lookUp(key).limit
	if lim == nil || lim.params == (gcra.FreqLimitParams{}) {
		return p, false
	}
	return lim.params, true
}

// Renewed returns a limit whose params have changed, with those that it has now, and
// whether its interval has. It is called after all that may change params until ok is
// false. A limit that is used for the first time is none of them.
func (s *Scheduler) Renewed() (l backend.Limit, repaced, ok bool) {
	if len(s.renewed) == 0 {
		return l, false, false
	}
	last := len(s.renewed) - 1
	lim := s.renewed[last]
	s.renewed[last] = nil
	s.renewed = s.renewed[:last]
	repaced = lim.repaced
	lim.renewed, lim.repaced = false, false
	return backend.Limit{Key: lim.name.key, Params: lim.params}, repaced, true
}

// Doubt has the backend asked how a limit stands, as soon as a job wants to know.
func (s *Scheduler) Doubt(now int64, key string) {
	if lim := s.lookUp(key).limit; lim != nil {
		s.doubt(now, lim, s.expected(lim))
	}
}

// GivenBack says that the backend has been told to take back a slot that these limits
// were charged for. What it could take back it alone knows, so it is asked.
func (s *Scheduler) GivenBack(now int64, limits []backend.Limit) {
	for i := range limits {
		if lim := s.lookUp(limits[i].Key).limit; lim != nil {
			state := s.expected(lim)
			state.TAT -= chargeOf(limits[i].Params, limits[i].Units()) // about
			s.doubt(now, lim, state)
			s.alters(lim)
		}
	}
}

// doubt is Doubt for a limit that will prove to have about this state.
func (s *Scheduler) doubt(now int64, lim *limit, expected gcra.State) {
	s.doubted.Set(lim, expected)
	lim.state.TAT = min(lim.state.TAT, now)
	if lim.tree != nil {
		lim.tree.turn = 0
	} else {
		for g := &lim.gate; g != nil; g = g.next {
			g.turn = 0
		}
	}
	s.opensEarlier(lim)
}

// expected returns the state that a limit will prove to have, as far as can be told.
func (s *Scheduler) expected(lim *limit) gcra.State {
	state := lim.state
	if doubted, ok := s.doubted.Get(lim); ok {
		state.TAT = max(state.TAT, doubted.TAT)
	}
	return state
}

// trust ends a doubt about a limit: the backend has told of it.
func (s *Scheduler) trust(lim *limit) {
	if s.doubted.Len() > 0 {
		s.doubted.Delete(lim)
	}
}

// SetWorkers changes Config.Workers. If fewer are left than jobs run, none is taken
// until so many have finished.
func (s *Scheduler) SetWorkers(now int64, n int) {
	s.tick(now)
	s.idle += n - s.cfg.Workers
	s.cfg.Workers = n
}
