package schedule

// Quiet reports whether the scheduler has nothing to decide: no job waits, and nothing
// keeps one that has no limits from starting. Then, until Submit is called again, such
// jobs of one key at a time may bypass it: they start in the order of their submission,
// each on a worker of its own.
func (s *Scheduler) Quiet(now int64) bool {
	return s.jobs == 0 && !s.paused && s.pauses.Len() == 0 && s.holdsEnd <= now
}

// Line stands for a key in jobs that bypass the scheduler.
type Line struct{ lane lane }

// NewLine returns the line of a key.
func NewLine(key string) *Line { return &Line{lane{keyState: &keyState{key: key}}} }

// Key returns the key of the line.
func (l *Line) Key() string { return l.lane.keyState.key }

// Start makes j a job of this key, and the nth one, from 1, that has bypassed the scheduler since
// it was quiet.
func (l *Line) Start(j *Job, nth uint64) {
	j.lane = &l.lane
	j.seq = nth * seqStep
}

// Bypassed says how many jobs have bypassed the scheduler since it was quiet, and the keys of
// those that still have workers. It comes before any other call. When such a job is over, the
// caller calls Rejoin before Finished or Later.
func (s *Scheduler) Bypassed(n uint64, running []string) {
	s.seq += n * seqStep
	for _, key := range running {
		s.find(key, 0).running++
		s.idle--
	}
}

// Rejoin gives the scheduler a job that has bypassed it and still has a worker. Jobs that were
// submitted since come after it: its number is lower than all that Submit has given them.
func (s *Scheduler) Rejoin(j *Job) { j.lane = s.find(j.Key(), 0) }

// Workers returns Config.Workers.
func (s *Scheduler) Workers() int { return s.cfg.Workers }
