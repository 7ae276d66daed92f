package engine

import (
	"context"
	"errors"
)

// ErrRunning is returned by every call of Run but the first.
var ErrRunning = errors.New("dispatcher: Run called more than once")

// errStopped is what a loop returns when its context has ended.
var errStopped = errors.New("engine: stopped")

// Run does the work until ctx ends, or the intake is closed and nothing is left to do. It reports
// whether it stopped because ctx ended. The only error is ErrRunning.
func (e *Engine) Run(ctx context.Context) (stopped bool, err error) {
	e.mu.Lock()
	ran, jobs := e.ran, e.reminders.jobs
	e.ran = true
	e.mu.Unlock()
	if ran {
		return false, ErrRunning
	}
	if jobs != nil {
		jobs.Stop()
	}
	defer e.finish()
	defer e.watch(ctx)()
	l, release := e.newLoop(ctx)
	defer release()
	loading, loaded := context.WithCancel(l.ctx)
	l.group.Go(func() error {
		defer loaded()
		return l.run()
	})
	if e.keepsJobs() {
		l.group.Go(func() error {
			e.owner.Load(loading)
			return nil
		})
	}
	return l.group.Wait() == errStopped, nil
}

// finish is called when Run returns.
func (e *Engine) finish() {
	e.pool.clear()
	e.contexts, e.reports.group = nil, nil
	e.mu.Lock()
	e.over, e.inbox = true, inbox{}
	e.fastIntake.clear()
	e.owner.ClearFast()
	e.mu.Unlock()
	close(e.done)
}

// CloseIntake stops the engine from accepting jobs. It reports whether Run has not been called and
// would have nothing to do.
func (e *Engine) CloseIntake() (idle bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closeIntake()
	e.signal()
	return !e.ran && e.waiting.Load() == 0 && e.coming == 0
}

// closeIntake requires that mu is held.
func (e *Engine) closeIntake() {
	if !e.closed {
		e.closed = true
		close(e.intakeClosed)
	}
}

// AwaitEnd waits until Run has returned. For the error see await.
func (e *Engine) AwaitEnd(ctx context.Context) error {
	defer e.remindOf("Shutdown")()
	return e.await(ctx, e.done)
}

// AwaitIdle waits until there is nothing to do, or Run has returned. For the error see await.
func (e *Engine) AwaitIdle(ctx context.Context) error {
	e.mu.Lock()
	if e.idle == nil {
		e.idle = make(chan struct{})
	}
	idle := e.idle
	e.post(func(*loop, int64) {}) // so that the loop checks whether it is idle
	e.mu.Unlock()
	defer e.remindOf("WaitIdle")()
	return e.await(ctx, idle)
}

// await waits until Run has closed a channel or has returned. If ctx ends first, it returns its cause;
// if handlers are stuck, ErrStuck.
func (e *Engine) await(ctx context.Context, event <-chan struct{}) (err error) {
	select {
	case <-event:
	case <-e.done:
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-e.stuck:
		err = ErrStuck
	}
	if isClosed(event) || isClosed(e.done) {
		return nil // select may have picked another ready case
	}
	return err
}

// Stuck returns a channel that is closed if handlers or Events have not returned some time after Run
// has stopped.
func (e *Engine) Stuck() <-chan struct{} { return e.stuck }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
