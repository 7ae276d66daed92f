package engine

import "context"

// Contexts holds the contexts of a Run.
type Contexts struct {
	Run      context.Context // ends when nothing starts any more
	Handlers context.Context // ends Config.StopTimeout after Run, with the same cause
	Events   context.Context // does not end

	asking context.Context         // ends guard.CleanupTimeout after Run: slots granted meanwhile can be given back
	hangUp context.CancelFunc      // ends asking
	cut    context.CancelCauseFunc // ends Handlers
}

// newContexts returns the contexts of a Run that was called with ctx, and a function that releases
// them.
func newContexts(ctx context.Context, e *Engine) (*Contexts, func()) {
	c := &Contexts{}
	var end context.CancelFunc
	c.Run, end = context.WithCancel(ctx)
	c.asking, c.hangUp = context.WithCancel(context.WithoutCancel(ctx))
	c.Events = context.WithValue(context.WithoutCancel(ctx), Inside{e}, e)
	c.Handlers, c.cut = context.WithCancelCause(c.Events)
	return c, func() { end(); c.hangUp(); c.cut(nil) }
}

// Contexts returns the contexts of the present Run. Only workers and reports may call it.
func (e *Engine) Contexts() *Contexts { return e.contexts }

// Inside is a context key. The contexts of an engine's handlers and Events have a value for the
// engine, and the context of a job's handler has one for the job. A caller with such a context that
// waits for the engine or the job would wait for itself.
type Inside struct{ Of any }

// IsInside reports whether ctx comes from a handler or an event of an engine, or from the handler of a job.
func IsInside(ctx context.Context, of any) bool { return ctx.Value(Inside{of}) != nil }

// IsReentrant reports whether a caller that waits for the engine with ctx would wait for itself.
func (e *Engine) IsReentrant(ctx context.Context) bool {
	return !isClosed(e.done) && IsInside(ctx, e)
}
