package dispatcher

import (
	"context"

	"github.com/freqlimit/dispatcher/internal/engine"
)

// insideJob is the context of the handler of a tracked job, or of an event about the job.
type insideJob struct {
	context.Context
	entry any
}

// Value implements [context.Context].
func (c insideJob) Value(key any) any {
	if key == any(engine.Inside{Of: c.entry}) {
		return c.entry
	}
	return c.Context.Value(key)
}

// handlerContext ends when the handlers' context does, and has the values of the
// context that was passed to Submit before its own.
type handlerContext struct {
	context.Context
	values context.Context
}

// Value implements [context.Context].
func (c handlerContext) Value(key any) any {
	if _, ok := key.(engine.Inside); ok {
		return c.Context.Value(key) // the submitter may be the handler of another job
	}
	if v := c.values.Value(key); v != nil {
		return v
	}
	return c.Context.Value(key)
}

// context returns a context that ends when ctx does, with the values of the context that was passed to
// Submit.
func (e *entry[T]) context(ctx context.Context) context.Context {
	if e.extra == nil || e.extra.ctx == nil {
		return ctx
	}
	return handlerContext{ctx, context.WithoutCancel(e.extra.ctx)}
}
