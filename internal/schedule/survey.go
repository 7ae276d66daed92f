package schedule

// Standing is what the first job of a lane waits for, and those behind it with it.
type Standing uint8

const (
	StandingReady   Standing = iota // for a worker, or for nothing: it is being taken
	StandingLimited                 // for a limit
	StandingHeld                    // for the end of a hold
	StandingDated                   // for a date
	StandingPaused                  // for Resume or ResumeKey
	StandingBehind                  // for the job of its key that runs
)

// Survey calls visit for the jobs of each key and priority that wait or run, and for
// each job that is in no lane before its date. It changes nothing: what has a date that
// has come since Next was called last is ready, as far as is known.
func (s *Scheduler) Survey(now int64, visit func(key string, waiting, running int, is Standing)) {
	for _, n := range s.names.All() {
		for l := range n.lanes() {
			visit(n.key, int(l.length), int(l.running), s.standing(now, l))
		}
	}
	for j, d := range s.dated {
		if d.state == asleep && j.lane.cutOf(j) == nil {
			visit(j.Key(), 1, 0, s.standingApart(now, d))
		}
	}
}

func (s *Scheduler) standingApart(now int64, d *dated) Standing {
	switch {
	case d.NotBefore > now:
		return StandingDated
	case s.paused || s.pausedKey(d.job.Key()):
		return StandingPaused
	}
	return StandingReady
}

func (s *Scheduler) standing(now int64, l *lane) Standing {
	switch {
	case l.length == 0 || l.state == asking:
		return StandingReady
	case s.paused || s.pausedKey(l.name.key):
		return StandingPaused
	case l.state == parked:
		switch {
		case s.heldUntil(l) > now:
			return StandingDated
		case s.busy(l):
			return StandingBehind
		}
		return StandingReady
	case s.keyHold(now, l) != nil:
		return StandingHeld
	}
	for i := range l.uses {
		if l.uses[i].limit().closed > now {
			return StandingHeld
		}
	}
	if l.opens() > now {
		return StandingLimited
	}
	return StandingReady
}
