package schedule

import "github.com/freqlimit/dispatcher/backend"

// Job is the part of a job that the scheduler needs. The caller embeds it in a type of its
// own.
type Job struct {
	// Slot is the instant from which the job may start. It is set when the job
	// is taken, and for good when it starts.
	Slot int64

	// Arrival is the instant from which the job has its place in its lane. The
	// caller sets it to the instant of the submission; SubmitDated moves it to
	// Dates.NotBefore. An Arrival in the future counts as now, and one that is earlier
	// than the one of the job submitted last counts as that one.
	Arrival int64

	seq  uint64    // the number of the submission, and six bits: see datedBit
	set  *limitSet // nil if it has no limits
	lane *lane
	next *Job // behind it in the lane
}

// Key, Priority and Limits return what was submitted. Other goroutines may call them while
// the job is with the scheduler: keyState.key, lane.rank.priority and limitSet.limits never
// change.

// Key returns the key of the job.
func (j *Job) Key() string { return j.lane.keyState.key }

// Run returns the job as one that runs.
func (j *Job) Run() Run { return Run{j.Key(), j.Priority(), j.Slot} }

// Priority returns the priority of the job.
func (j *Job) Priority() int { return j.lane.rank.priority }

// Timed reports whether the job has limits or dates: something to be on time for.
func (j *Job) Timed() bool { return j.set != nil || j.hasDates() }

// Limits returns the limits of the job, never nil. They must not be changed.
func (j *Job) Limits() []backend.Limit {
	if j.set == nil {
		return []backend.Limit{}
	}
	return j.set.limits
}

// Keeps reports whether the job keeps the slice of limits with which it was submitted. It does not
// if it shares an equal one with the job before it.
func (j *Job) Keeps(limits []backend.Limit) bool {
	return j.set != nil && sameLimits(j.set.limits, limits)
}

// The lowest bits of a seq say that the job has dates, that it has been removed and is
// still between others in its lane, and that it keeps its key. Three more are its State.
const (
	datedBit   = 1
	goneBit    = 2
	keepBit    = 4
	stateShift = 3
	stateBits  = 7 << stateShift
	seqStep    = 64
)

// State is where a job is. The caller keeps it, and the scheduler does not go by it: a job has it
// because three bits were free.
type State uint8

// States of a job.
const (
	StateNew       State = iota // it has not been submitted, or has ended
	StateWaiting                // the scheduler has it
	StateAsking                 // the backend is asked
	StateScheduled              // it has its slot
	StateRunning                // a worker has it
)

// State returns the state that was set last, StateNew if none was.
func (j *Job) State() State { return State(j.seq & stateBits >> stateShift) }

// SetState sets what State returns.
func (j *Job) SetState(s State) { j.seq = j.seq&^stateBits | uint64(s)<<stateShift }

func (j *Job) hasDates() bool { return j.seq&datedBit != 0 }
func (j *Job) gone() bool     { return j.seq&goneBit != 0 }

// before is the order of a lane.
func (j *Job) before(o *Job) bool {
	if j.Arrival != o.Arrival {
		return j.Arrival < o.Arrival
	}
	return j.seq < o.seq
}

// Number is the number of the submission of the job: a later one has a higher number.
func (j *Job) Number() uint64 { return j.seq / seqStep }
