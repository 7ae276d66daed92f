package dispatcher

import "context"

// contexts are those of a Run.
type contexts struct {
	run      context.Context         // ends when nothing starts any more
	handlers context.Context         // ends Config.StopTimeout after run, with the same cause
	cut      context.CancelCauseFunc // ends handlers
	events   context.Context         // does not end
}

// newContexts returns the contexts of a Run that has been called with ctx, and a function that
// releases them.
func newContexts(ctx context.Context, d any) (*contexts, func()) {
	run, end := context.WithCancel(ctx)
	events := context.WithValue(context.WithoutCancel(ctx), inside{d}, d)
	handlers, cut := context.WithCancelCause(events)
	return &contexts{run, handlers, cut, events}, func() { end(); cut(nil) }
}

// inside is the key for the value of a context that the code inside of something has: of a dispatcher,
// its handlers and Events; of an entry, its handler. Who waits for that thing with such a context would
// wait for itself.
type inside struct{ of any }

// isInside reports whether ctx is from inside of something.
func isInside(ctx context.Context, of any) bool { return ctx.Value(inside{of}) != nil }

// isReentrant reports whether who waits for the dispatcher with ctx waits for itself.
func (d *Dispatcher[T]) isReentrant(ctx context.Context) bool {
	return !isClosed(d.done) && isInside(ctx, d)
}

// insideJob is the context from inside of a job that has a handle.
type insideJob struct {
	context.Context
	entry any
}

// Value implements [context.Context].
func (c insideJob) Value(key any) any {
	if key == any(inside{c.entry}) {
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
	if _, ok := key.(inside); ok {
		return c.Context.Value(key) // who submitted the job may be inside of something else
	}
	if v := c.values.Value(key); v != nil {
		return v
	}
	return c.Context.Value(key)
}

// context returns a context with the values of the one that was passed to Submit, which ends when the
// given one does. What it takes its values from must not lend it its end, hence WithoutCancel.
func (e *entry[T]) context(ctx context.Context) context.Context {
	if e.extra == nil || e.extra.ctx == nil {
		return ctx
	}
	return handlerContext{ctx, context.WithoutCancel(e.extra.ctx)}
}
