package dispatcher

import (
	"context"
	"unsafe"

	"github.com/freqlimit/dispatcher/internal/engine"
	"github.com/freqlimit/dispatcher/internal/schedule"
)

// entry is an accepted job that has not ended. Its size is what a waiting job costs, so it holds only
// what jobs can't share. The key and the priority are in its lane.
type entry[T any] struct {
	sched   schedule.Job // the first field: see entryOf
	extra   *extra[T]    // nil for most
	payload T            // guarded by the lock of the engine while a job with an ID waits
}

// extra holds what few jobs have.
type extra[T any] struct {
	ctx       context.Context // the context of Submit, for its values; nil if it has none
	submitted int64           // when it was submitted, if it has a NotBefore
	attempt   int             // how often the job has been started
	failures  int             // how often its handler has failed
	holds     int             // how often it has returned a RetryAfter
	err       error           // the last error that made it run again
	options   *options        // nil: none
	tracked   bool            // it has an ID, or a handle from the start

	// Guarded by the lock of the engine.
	running  bool                    // a worker has it
	ended    bool                    // its outcome is known
	canceled bool                    // by its handle
	handle   *Handle[T]              // nil if nobody asked for one
	behind   *entry[T]               // a job with the same ID that was running when this one came, and has not ended
	ahead    *entry[T]               // the job whose behind is this one
	cancel   context.CancelCauseFunc // ends the handler's context, while it runs
}

// submitted returns when the job was accepted, as an instant of the scheduler.
func (e *entry[T]) submitted() int64 {
	if o := e.options(); o != nil && !o.notBefore.IsZero() {
		return e.extra.submitted
	}
	return e.sched.Arrival
}

// options returns the options of the job, nil if it has none.
func (e *entry[T]) options() *options {
	if e.extra == nil {
		return nil
	}
	return e.extra.options
}

// tracked reports whether the job has an ID, or a handle from the start.
func (e *entry[T]) tracked() bool { return e.extra != nil && e.extra.tracked }

// holds returns how many times the job was run again because of a RetryAfter.
func (e *entry[T]) holds() int {
	if e.extra == nil {
		return 0
	}
	return e.extra.holds
}

func (e *entry[T]) hasID() bool {
	o := e.options()
	return o != nil && o.id != ""
}

// more returns e.extra, and makes it if there is none.
func (e *entry[T]) more() *extra[T] {
	if e.extra == nil {
		e.extra = &extra[T]{}
	}
	return e.extra
}

// entryOf returns the entry whose first field is j. Every job that the scheduler gets is in an entry. A
// pointer back to the entry would cost 16 bytes a job.
func entryOf[T any](j *schedule.Job) *entry[T] { return (*entry[T])(unsafe.Pointer(j)) }

// seal marks a job as ended, so that no payload can replace its own any more.
func (d *Dispatcher[T]) seal(e *entry[T]) {
	if e.hasID() {
		d.engine.Lock()
		e.extra.ended = true
		d.freeID(e)
		d.engine.Unlock()
	}
}

// snapshot fills in j, which is zero, with a job of the scheduler as its user sees it.
func (d *Dispatcher[T]) snapshot(e *entry[T], j *Job[T]) {
	j.Key, j.Priority = e.sched.Key(), e.sched.Priority()
	if j.Limits = e.sched.Limits(); len(j.Limits) == 0 {
		j.Limits = NoLimits
	}
	d.fill(e, j)
}

// snapshotSubmission is snapshot for a job that the scheduler does not have.
func (d *Dispatcher[T]) snapshotSubmission(s *engine.Submission, j *Job[T]) {
	j.Key, j.Priority = s.Key, s.Priority
	j.Limits = append(NoLimits, s.Limits...)
	d.fill(entryOf[T](s.Job), j)
}

// fill sets the fields of a job whose values are in its entry.
func (d *Dispatcher[T]) fill(e *entry[T], j *Job[T]) {
	if x := e.extra; x != nil {
		if e.hasID() {
			d.engine.Lock()
			defer d.engine.Unlock()
		}
		j.attempt, j.failures = x.attempt, x.failures
		fillOptions(j, x.options)
	}
	j.Payload = e.payload
	j.epoch = d.engine.Epoch()
	j.submitted, j.slot = e.submitted(), noSlot
	if d.kept != nil {
		j.submitted = keptOf(e).submitted
	}
}
