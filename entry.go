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
	sched     schedule.Job // the first field: see entryOf
	submitted int64        // instant of the scheduler
	extra     *extra       // nil for most
	payload   T
}

// extra is what few jobs have.
type extra struct {
	ctx     context.Context // that of Submit, for its values; nil if it has none
	attempt int             // how often the job has been started
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
	entry *entry[T]
	again bool  // the job runs again
	until int64 // then: when its key is deferred until
}

// jobOf returns a job that is with the scheduler as its user sees it.
func (d *Dispatcher[T]) jobOf(e *entry[T]) Job[T] {
	j := Job[T]{
		Key:       e.sched.Key(),
		Payload:   e.payload,
		Limits:    e.sched.Limits(),
		Priority:  e.sched.Priority(),
		epoch:     d.epoch,
		submitted: e.submitted,
		slot:      noSlot,
	}
	if e.extra != nil {
		j.attempt = e.extra.attempt
	}
	return j
}

// attempted notes that a job has been started so many times.
func (e *entry[T]) attempted(n int) {
	if e.extra == nil {
		e.extra = &extra{}
	}
	e.extra.attempt = n
}

// handlerContext ends when Run's does, and has the values of the context that
// was passed to Submit before its own.
type handlerContext struct {
	context.Context
	values context.Context
}

// Value implements [context.Context].
func (c handlerContext) Value(key any) any {
	if v := c.values.Value(key); v != nil {
		return v
	}
	return c.Context.Value(key)
}

// context returns the context for the handler. What it takes its values from
// must not lend it its end, hence WithoutCancel.
func (e *entry[T]) context(run context.Context) context.Context {
	if e.extra == nil || e.extra.ctx == nil {
		return run
	}
	return handlerContext{run, context.WithoutCancel(e.extra.ctx)}
}
