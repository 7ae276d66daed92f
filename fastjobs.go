package dispatcher

import (
	"context"
	"unsafe"

	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/blocks"
	"github.com/freqlimit/dispatcher/internal/engine"
	"github.com/freqlimit/dispatcher/internal/schedule"
)

// Jobs on the fast path of the engine, see internal/engine/fastpath.go, are of one key, and have a
// payload and nothing else, so they need no entry until a worker has them.

// fastJob is a job on the fast path.
type fastJob[T any] struct {
	ctx       context.Context // the context of Submit, for its values; nil if it has none
	submitted int64           // instant of the scheduler
	payload   T
}

// isFast reports whether a job with these limits, and without options or a handle, may take the
// fast path.
func (d *Dispatcher[T]) isFast(limits []Limit, priority int) bool {
	return len(limits) == 0 && (limits != nil || d.cfg.Params == (gcra.FreqLimitParams{})) && priority == 0
}

// acceptFast accepts a job on the fast path, if the path is open for its key.
func (d *Dispatcher[T]) acceptFast(key string, p fastJob[T]) (ok bool, err error) {
	if !d.engine.FastPathOpen() {
		return false, nil
	}
	d.engine.Lock()
	defer d.engine.Unlock()
	if d.engine.IsClosed() {
		return false, ErrClosed
	}
	submitted, open, room := d.engine.EnterFast(key, p.submitted)
	switch {
	case !open:
		return false, nil
	case !room:
		return false, &FullError{Capacity: d.cfg.Capacity}
	}
	p.submitted = submitted
	d.intake.Add(p)
	return true, nil
}

// MoveFast implements [engine.FastJobs], as do the methods that follow.
func (o *owner[T]) MoveFast() (n int) { return o.fast.Refill(&o.intake) }

func (o *owner[T]) TakeFast(own *schedule.Job) {
	p := o.fast.Pop()
	e := ownEntryOf[T](own)
	own.Slot, own.Arrival, e.payload, e.extra = p.submitted, p.submitted, p.payload, nil
	if p.ctx != nil {
		e.own.ctx = p.ctx
		e.extra = &e.own
	}
}

func (o *owner[T]) KeepFast(own *schedule.Job) *schedule.Job {
	e := ownEntryOf[T](own)
	kept := new(e.entry)
	if kept.extra == &e.own {
		kept.extra = new(e.own)
		e.own = extra[T]{}
	}
	return &kept.sched
}

func (o *owner[T]) ForgetFast(own *schedule.Job) { *ownEntryOf[T](own) = ownEntry[T]{} }

func (o *owner[T]) NewFastJob() *schedule.Job { return &new(ownEntry[T]).sched }

// ownEntry is the entry of a worker for its jobs on the fast path, with an extra for those that have a
// context, so that they need no memory.
type ownEntry[T any] struct {
	entry[T]
	own extra[T]
}

// ownEntryOf returns the entry of a worker that a job is the first field of.
func ownEntryOf[T any](j *schedule.Job) *ownEntry[T] { return (*ownEntry[T])(unsafe.Pointer(j)) }

func (o *owner[T]) LeaveFast() (some bool) {
	o.left, o.fast = o.fast, blocks.Queue[fastJob[T]]{}
	o.left.Take(&o.intake)
	return !o.left.Empty()
}

func (o *owner[T]) LeftFast(key string) (jobs []engine.Submission, more bool) {
	block := o.left.PopBlock()
	jobs = make([]engine.Submission, len(block))
	for i, p := range block {
		e := &entry[T]{sched: schedule.Job{Arrival: p.submitted}, payload: p.payload}
		if p.ctx != nil {
			e.more().ctx = p.ctx
		}
		jobs[i] = engine.Submission{Job: &e.sched, Key: key, Limits: NoLimits}
	}
	return jobs, !o.left.Empty()
}

func (o *owner[T]) ClearFast() { o.intake = blocks.List[fastJob[T]]{} }
