package dispatcher

import (
	"context"

	"github.com/freqlimit/dispatcher/internal/schedule"
)

// entry is an accepted job.
type entry[T any] struct {
	sched schedule.Job // its Slot is when to start
	slot  int64        // what its limits were charged for: then, or before
	stamp int64        // that by the backend's clock
	job   Job[T]
	ctx   context.Context // that of Submit, for its values
}

func newEntry[T any](ctx context.Context, job Job[T]) *entry[T] {
	e := &entry[T]{job: job, ctx: ctx}
	e.sched = schedule.Job{Key: job.Key, Priority: job.Priority, Value: e}
	return e
}

func entryOf[T any](j *schedule.Job) *entry[T] { return j.Value.(*entry[T]) }

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
	if e.ctx == context.Background() {
		return run
	}
	return handlerContext{run, context.WithoutCancel(e.ctx)}
}
