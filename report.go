package dispatcher

import (
	"cmp"
	"context"
	"log/slog"
	"sync"

	"golang.org/x/sync/errgroup"
)

// reporter calls the Events and the Logger for the goroutine that schedules: one call after another,
// in a goroutine that is there while there are some. So a slow one makes no start late.
type reporter struct {
	group *errgroup.Group
	idle  func() // called when all has been reported

	mu      sync.Mutex // guards what follows
	running bool       // the goroutine is there
	queue   []func()

	// Only that goroutine uses these.
	batch []func()
	next  int // the first of batch that has not been called
}

// add has f called when all that was added before has been. It returns at once.
func (r *reporter) add(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.queue = append(r.queue, f)
	if !r.running {
		r.running = true
		r.group.Go(r.run)
	}
}

// run makes the calls. If one of them ends the goroutine, another one takes over.
func (r *reporter) run() error {
	returned := false
	defer func() {
		if !returned {
			r.group.Go(r.run)
		}
	}()
	for r.more() {
		f := r.batch[r.next]
		r.batch[r.next] = nil
		r.next++
		f()
	}
	returned = true
	r.idle()
	return nil
}

// more reports whether there is something to call. If not, the goroutine is no longer there.
func (r *reporter) more() bool {
	if r.next < len(r.batch) {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.batch, r.queue, r.next = r.queue, empty(r.batch), 0
	r.running = len(r.batch) > 0
	return r.running
}

// isIdle reports whether all has been reported.
func (r *reporter) isIdle() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.running
}

// resolve ends a job: its outcome is known. It is called once, by who has the job.
func (d *Dispatcher[T]) resolve(e *entry[T], r *Result[T]) {
	var h *Handle[T]
	if e.extra != nil {
		h = d.settle(e, r)
	}
	d.counts.of(r.Outcome).Add(1)
	if err, ok := r.Err.(*endError); ok && r.Outcome == Dropped && err.why == ErrStopped {
		d.counts.stopped.Add(1)
	}
	if h != nil {
		h.finish(r)
	}
}

// report tells the Events and the Logger of a job that has ended, and that ran: it is called by the
// worker that ran it, which they hold up.
func (d *Dispatcher[T]) report(e *entry[T], r *Result[T]) {
	if d.cfg.Events.Done != nil {
		defer d.tellDone(e.context(d.contexts.events), r) // also if the Logger ends the goroutine
	}
	switch r.Outcome {
	case Failed:
		d.log(slog.LevelWarn, "dispatcher: job failed",
			slog.String("key", r.Job.Key), slog.Int("attempt", r.Job.attempt), slog.Any("error", r.Err))
	case Panicked:
		var stack []byte
		if p, ok := r.Err.(*PanicError); ok {
			stack = p.Stack
		}
		d.log(slog.LevelError, "dispatcher: handler panicked",
			slog.String("key", r.Job.Key), slog.Int("attempt", r.Job.attempt), slog.Any("error", r.Err), slog.String("stack", string(stack)))
	}
}

// reportSoon is report for a job that did not run.
func (d *Dispatcher[T]) reportSoon(e *entry[T], r *Result[T]) {
	if d.cfg.Events.Done != nil || r.Outcome == Failed {
		d.reports.add(func() { d.report(e, r) })
	}
}

// log writes a line. A Logger that panics loses it.
func (d *Dispatcher[T]) log(level slog.Level, text string, attrs ...slog.Attr) {
	defer func() { _ = recover() }()
	cmp.Or(d.cfg.Logger, slog.Default()).LogAttrs(context.Background(), level, text, attrs...)
}

// logSoon is log for the goroutine that schedules: it does not wait for the Logger.
func (d *Dispatcher[T]) logSoon(level slog.Level, text string, attrs ...slog.Attr) {
	d.reports.add(func() { d.log(level, text, attrs...) })
}
