package engine

import (
	"cmp"
	"context"
	"log/slog"
	"sync"

	"github.com/freqlimit/dispatcher/internal/blocks"
	"golang.org/x/sync/errgroup"
)

// reporter calls Events and the Logger for the goroutine that schedules, one call after another, in a
// goroutine that runs while there are calls to make. So a slow call makes no start late.
type reporter struct {
	group *errgroup.Group
	idle  func() // called when no call is left

	mu      sync.Mutex // guards what follows
	running bool       // the goroutine runs
	queue   []func()

	// Only that goroutine uses these.
	batch []func()
	next  int // the first of batch that has not been called
}

// add makes the reporter call f after everything that was added before. It returns at once.
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

// more reports whether there is a call to make. If not, the goroutine must end.
func (r *reporter) more() bool {
	if r.next < len(r.batch) {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.batch, r.queue, r.next = r.queue, blocks.Reuse(r.batch), 0
	r.running = len(r.batch) > 0
	return r.running
}

// isIdle reports whether no call is left.
func (r *reporter) isIdle() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.running
}

// Report makes the reporter call f.
func (e *Engine) Report(f func()) { e.reports.add(f) }

// Log writes a line. If the Logger panics, the line is lost.
func (e *Engine) Log(level slog.Level, text string, attrs ...slog.Attr) {
	defer func() { _ = recover() }()
	cmp.Or(e.cfg.Logger, slog.Default()).LogAttrs(context.Background(), level, text, attrs...)
}

// LogSoon is Log for the goroutine that schedules: it doesn't wait for the Logger.
func (e *Engine) LogSoon(level slog.Level, text string, attrs ...slog.Attr) {
	e.reports.add(func() { e.Log(level, text, attrs...) })
}
