package engine

import (
	"context"

	"github.com/freqlimit/dispatcher/internal/schedule"
)

// KeptJobs is the part of an [Owner] for jobs that the backend keeps, as a [backend.Journal].
type KeptJobs interface {
	// Number returns the number of a job in the journal, which is about to be asked to claim it.
	Number(j *schedule.Job) int64

	// Load passes the jobs that the journal keeps to the engine, by [Engine.Admit], until ctx ends. It
	// is called once during Run, in a goroutine of its own.
	Load(ctx context.Context)

	// Kept is called instead of [Owner.Ended] for a job that has not ended when Run stops. The
	// loop calls it without holding a lock.
	Kept(j *schedule.Job)
}

// keepsJobs reports whether the backend keeps jobs.
func (e *Engine) keepsJobs() bool { return e.traits.Journal != nil }

// Coming notes that n more jobs, or sources of jobs, are on their way to the engine, or with a negative n
// that as many have come or will not come. While there are any, Run does not return because the
// intake is closed. It requires that the engine is locked.
func (e *Engine) Coming(n int) {
	e.coming += n
	e.signal()
}

// Admit passes a job to the engine that the journal keeps, whatever the Capacity, even if the intake is
// closed. It reports false if Run has returned. It requires that the engine is locked.
func (e *Engine) Admit(s Submission) bool {
	if e.over {
		return false
	}
	e.waiting.Add(1)
	e.pass(s)
	return true
}

// IsOver reports whether Run has returned, or is about to. It requires that the engine is locked.
func (e *Engine) IsOver() bool { return e.over }

// Resident returns how many jobs wait in memory.
func (e *Engine) Resident() int { return int(e.waiting.Load()) }

// AwaitResident waits until less than n jobs wait in memory, and reports whether they do: not if ctx
// ends first.
func (e *Engine) AwaitResident(ctx context.Context, n int) bool {
	e.wanted.Add(1)
	defer e.wanted.Add(-1)
	for e.Resident() >= n {
		select {
		case <-e.loadRoom:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// Count counts n jobs that have ended as submitted, although they never come to the engine. It requires that the
// engine is locked.
func (e *Engine) Count(n int) { e.submitted += uint64(n) }
