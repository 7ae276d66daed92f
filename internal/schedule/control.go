package schedule

import (
	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
)

// Pause stops the taking of jobs until Resume. Jobs that have been taken go on, unless they are
// [Scheduler.Returned].
func (s *Scheduler) Pause() { s.paused = true }

// Resume ends a Pause.
func (s *Scheduler) Resume() { s.paused = false }

// PauseKey is Pause for the jobs of one key.
func (s *Scheduler) PauseKey(now int64, key string) {
	s.tick(now)
	s.noteKey(key)
	s.pauses.Set(key, struct{}{})
	if f := s.serialLanes(s.lookUp(key)); f != nil {
		s.settleAllGroups(now, f, nil)
		return
	}
	for l := range s.competing(s.lookUp(key)) {
		s.suspend(l)
	}
}

// ResumeKey ends a PauseKey.
func (s *Scheduler) ResumeKey(now int64, key string) {
	s.tick(now)
	s.noteKey(key)
	s.pauses.Delete(key)
	s.enterAll(now, s.lookUp(key), nil)
}

func (s *Scheduler) pausedKey(key string) bool {
	return s.pauses.Len() > 0 && s.pauses.Has(key)
}

// Has reports whether there is a job of a key, or one under a limit with it.
func (s *Scheduler) Has(key string) bool {
	k := s.lookUp(key)
	return k.lane != nil || k.limit != nil && k.limit.sets > 0
}

// SetParams changes the params of a limit if there is one with the key. The next job that is
// submitted under the limit changes them again: the caller submits it with the same params.
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

// ChangedParams returns a limit whose params have changed, with its new params, and whether its
// interval has changed. The caller calls it after everything that may change params, until ok is
// false. It does not return a limit that is used for the first time.
func (s *Scheduler) ChangedParams() (l backend.Limit, intervalChanged, ok bool) {
	if len(s.paramsChanged) == 0 {
		return l, false, false
	}
	last := len(s.paramsChanged) - 1
	lim := s.paramsChanged[last]
	s.paramsChanged[last] = nil
	s.paramsChanged = s.paramsChanged[:last]
	intervalChanged = lim.intervalChanged
	lim.paramsChanged, lim.intervalChanged = false, false
	return backend.Limit{Key: lim.keyState.key, Params: lim.params}, intervalChanged, true
}

// SetWorkers changes Config.Workers. If more jobs run than that, no job is taken until enough of
// them have finished.
func (s *Scheduler) SetWorkers(now int64, n int) {
	s.tick(now)
	s.idle += n - s.cfg.Workers
	s.cfg.Workers = n
}
