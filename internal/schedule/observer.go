package schedule

// observer visits everything in a scheduler, bit by bit, and is told of what changes meanwhile.
// There is one observer at a time.
type observer interface {
	// laneChanges is called before the jobs of a lane change.
	laneChanges(l *lane)

	// jobLeft is called when a job that waited no longer waits, or, with back, when a job comes
	// back and waits again.
	jobLeft(j *Job, back bool)

	// jobStarted is called when a job has started, after jobLeft.
	jobStarted(j *Job)

	// laneCut is called when all jobs of a lane but one that asks have been cut off. Their seqs
	// are not above seq.
	laneCut(l *lane, seq uint64, asks *Job)

	// limitChanged is called when the params or the hold of a limit have changed, or a slot
	// was given back.
	limitChanged(lim *limit)
}

// observe makes o the observer. It has seen no lane yet.
func (s *Scheduler) observe(o observer) {
	if s.observer != nil {
		panic("schedule: there is an observer already")
	}
	s.observer = o
	s.observers++
}

// noteLane is called before the jobs of a lane change.
func (s *Scheduler) noteLane(l *lane) {
	if s.observer != nil {
		s.observer.laneChanges(l)
	}
}

// noteKey is noteLane for all lanes of a key.
func (s *Scheduler) noteKey(key string) {
	if s.observer == nil {
		return
	}
	for l := range s.lookUp(key).lanes() {
		s.observer.laneChanges(l)
	}
}

// noteLeft is called when a job waits no longer.
func (s *Scheduler) noteLeft(j *Job) {
	if s.observer != nil {
		s.observer.jobLeft(j, false)
	}
}

// noteReturned is called when a job comes back and waits again.
func (s *Scheduler) noteReturned(j *Job) {
	if s.observer != nil {
		s.observer.jobLeft(j, true)
	}
}

// noteStarted is called when a job has started.
func (s *Scheduler) noteStarted(j *Job) {
	if s.observer != nil {
		s.observer.jobStarted(j)
	}
}

// noteLimit is called when the params or the hold of a limit have changed, or a slot was given back.
func (s *Scheduler) noteLimit(lim *limit) {
	if s.observer != nil {
		s.observer.limitChanged(lim)
	}
}
