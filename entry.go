package dispatcher

import (
	"context"
	"unsafe"

	"github.com/freqlimit/dispatcher/internal/schedule"
)

// entry is an accepted job that has not ended: what a job costs while it waits,
// so it has what no two jobs share and nothing else. Its key, priority and limits
// are with its lane.
type entry[T any] struct {
	sched   schedule.Job // the first field: see entryOf
	extra   *extra[T]    // nil for most
	payload T            // guarded by Dispatcher.mu while a job with an ID waits
}

// extra is what few jobs have.
type extra[T any] struct {
	ctx       context.Context // that of Submit, for its values; nil if it has none
	submitted int64           // when, of a job with NotBefore
	attempt   int             // how often the job has been started
	failures  int             // how often its handler has failed
	holds     int             // how often it has returned a RetryAfter
	err       error           // what the handler returned last, to run again
	options   *Options        // nil: none
	tracked   bool            // it has an ID, or a handle from the start
	stage     stage           // where the loop has it

	// Guarded by Dispatcher.mu.
	running  bool                    // a worker has it
	ended    bool                    // its outcome is known
	canceled bool                    // by its handle
	handle   *Handle[T]              // nil: nobody has asked for one
	behind   *entry[T]               // one with the same ID that ran when this one came, and has not ended
	ahead    *entry[T]               // the one that came then, of behind
	cancel   context.CancelCauseFunc // ends the handler's context, while it runs
}

// stage is where a job is, as the loop sees it.
type stage uint8

const (
	stageNew     stage = iota // it has not been taken in, or has ended
	stageWaiting              // with the scheduler
	stageAsking               // the backend is asked
	stageComing               // it has a slot
	stageWorking              // a worker has it
)

// at notes where a job is.
func (e *entry[T]) at(s stage) {
	if e.extra != nil {
		e.extra.stage = s
	}
}

// submitted is when the job was accepted, an instant of the scheduler.
func (e *entry[T]) submitted() int64 {
	if o := e.options(); o != nil && !o.NotBefore.IsZero() {
		return e.extra.submitted
	}
	return e.sched.Arrival
}

// options are those of the job, nil if it has none.
func (e *entry[T]) options() *Options {
	if e.extra == nil {
		return nil
	}
	return e.extra.options
}

// tracked reports whether a handle may be told of the job's end.
func (e *entry[T]) tracked() bool { return e.extra != nil && e.extra.tracked }

// holds is how often the handler has returned a RetryAfter that ran the job again.
func (e *entry[T]) holds() int {
	if e.extra == nil {
		return 0
	}
	return e.extra.holds
}

func (e *entry[T]) hasID() bool {
	o := e.options()
	return o != nil && o.ID != ""
}

// more returns e.extra, a new one if there was none.
func (e *entry[T]) more() *extra[T] {
	if e.extra == nil {
		e.extra = &extra[T]{}
	}
	return e.extra
}

// entryOf returns the entry that a job of the scheduler is the first field of: the
// scheduler gets to see no others. A pointer back would be 16 bytes a job.
func entryOf[T any](j *schedule.Job) *entry[T] { return (*entry[T])(unsafe.Pointer(j)) }

// submission is a job that the scheduler has not taken in.
type submission[T any] struct {
	entry    *entry[T]
	key      string
	limits   []Limit // nil: that of Config.Params, if any
	priority int
}

// start is a job that has its slot.
type start[T any] struct {
	entry *entry[T]
	slot  int64 // what its limits were charged for; entry.sched.Slot, when it may start, is that or later
	stamp int64 // that by the backend's clock
}

// finished is a job that a worker is done with.
type finished[T any] struct {
	entry     *entry[T]
	fate      fate
	plain     bool  // it has bypassed the scheduler
	succeeded bool  // and is to be counted
	rested    bool  // Dispatcher.running does not count it
	until     int64 // if it runs again, when; if withdrawn, the stamp of its slot
	late      int64 // how late it started, -1 if nobody knows
}

// fate is what becomes of a job that a worker is done with.
type fate uint8

const (
	fateEnded     fate = iota
	fateFirst          // it runs again, first of its key, which is held
	fateLater          // it runs again, and its key does not wait for it
	fateHeld           // it runs again, and its key waits for it
	fateWithdrawn      // it has ended before it started
)

// lastOf is jobOf for a job that is about to end without having run: no payload can be
// put into it any more.
func (d *Dispatcher[T]) lastOf(e *entry[T]) Job[T] {
	if e.hasID() {
		d.mu.Lock()
		e.extra.ended = true
		d.freeID(e)
		d.mu.Unlock()
	}
	return d.jobOf(e)
}

// jobOf returns a job that is with the scheduler as its user sees it.
func (d *Dispatcher[T]) jobOf(e *entry[T]) (j Job[T]) {
	d.describe(e, &j)
	return j
}

// describe is jobOf for a job that is zero.
func (d *Dispatcher[T]) describe(e *entry[T], j *Job[T]) {
	if x := e.extra; x != nil {
		if e.hasID() {
			d.mu.Lock()
			defer d.mu.Unlock()
		}
		j.attempt, j.failures, j.Options = x.attempt, x.failures, x.options
	}
	j.Key = e.sched.Key()
	j.Payload = e.payload
	j.Limits = e.sched.Limits()
	j.Priority = e.sched.Priority()
	j.epoch = d.epoch
	j.submitted, j.slot = e.submitted(), noSlot
}
