package engine

import (
	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/schedule"
)

// end ends a job without a worker, after the scheduler has had it.
func (l *loop) end(j *schedule.Job, why Reason, err error) {
	l.markEnded(j)
	if why == Stopped && l.e.keepsJobs() {
		l.e.owner.Kept(j)
		return
	}
	l.e.owner.Ended(j, nil, why, err)
}

// endSubmission ends a job without a worker, before the scheduler has had it.
func (l *loop) endSubmission(s *Submission, why Reason, err error) {
	if why == Stopped && l.e.keepsJobs() {
		l.markEnded(s.Job)
		l.e.owner.Kept(s.Job)
		return
	}
	s.Limits = append([]backend.Limit{}, l.brought(s)...)
	l.markEnded(s.Job)
	l.e.owner.Ended(s.Job, s, why, err)
}

// markEnded notes that a job has ended without a worker, and so waits no longer.
func (l *loop) markEnded(j *schedule.Job) {
	j.SetState(schedule.StateNew)
	l.e.leave(1)
}

// dropFresh drops jobs that the scheduler doesn't have yet.
func (l *loop) dropFresh(fresh [][]Submission) {
	for _, block := range fresh {
		for i := range block {
			l.endSubmission(&block[i], Stopped, nil)
		}
	}
}
