package schedule

// Quiet reports whether the scheduler has nothing to decide: no job waits, and nothing
// keeps one that has no limits from starting. Then, until Submit is called again, such
// jobs of one key at a time may bypass it: they start in the order of their submission,
// each on a worker of its own.
func (s *Scheduler) Quiet(now int64) bool {
	return s.jobs == 0 && !s.paused && s.pauses.Len() == 0 && s.holdsEnd <= now
}

// Line is the key of jobs that bypass the scheduler.
type Line struct{ lane lane }

// NewLine returns the line of a key.
func NewLine(key string) *Line { return &Line{lane{name: &name{key: key}}} }

// Key returns the key of the line.
func (l *Line) Key() string { return l.lane.name.key }

// Start makes j, which is of this key, the nth job, from 1, that has bypassed the
// scheduler since it was quiet.
func (l *Line) Start(j *Job, nth uint64) {
	j.lane = &l.lane
	j.seq = nth * seqStep
}

// Bypassed tells the scheduler, before anything else, how many jobs have bypassed it
// since it was quiet, and the keys of those of them that still have workers. When such a
// job is over, Rejoin comes before Finished or Later.
func (s *Scheduler) Bypassed(n uint64, running []string) {
	s.seq += n * seqStep
	for _, key := range running {
		s.find(key, 0).running++
		s.idle--
	}
}

// Rejoin makes a job that has bypassed the scheduler and still has a worker like one
// that has not. What is submitted later comes after it: its number among those that
// bypassed is lower than any that Submit has given since, and what came before is gone.
func (s *Scheduler) Rejoin(j *Job) { j.lane = s.find(j.Key(), 0) }

// Workers returns Config.Workers.
func (s *Scheduler) Workers() int { return s.cfg.Workers }
