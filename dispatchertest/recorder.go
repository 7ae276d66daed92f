package dispatchertest

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/freqlimit/dispatcher"
)

// Recorder keeps the results of all jobs of a dispatcher: pass its Events in the Config. The zero
// value is ready to use. All methods are safe for concurrent use. A Recorder must not be copied.
type Recorder[T any] struct {
	mu      sync.Mutex // guards what follows
	results []dispatcher.Result[T]
	news    chan struct{} // closed when there is another result; nil: nobody waits
}

// Events returns Events for the Config. To combine them with others, use [dispatcher.JoinEvents].
func (r *Recorder[T]) Events() dispatcher.Events[T] {
	return dispatcher.Events[T]{Done: func(_ context.Context, result dispatcher.Result[T]) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.results = append(r.results, result)
		if r.news != nil {
			close(r.news)
			r.news = nil
		}
	}}
}

// Results returns the results of the jobs that have ended, in the order in which they ended.
func (r *Recorder[T]) Results() []dispatcher.Result[T] {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.results)
}

// Wait waits until n jobs have ended, and returns the results of the first n. If ctx ends first,
// it returns the results so far, and an error that wraps the cause.
func (r *Recorder[T]) Wait(ctx context.Context, n int) ([]dispatcher.Result[T], error) {
	return r.WaitFor(ctx, n, func(dispatcher.Result[T]) bool { return true })
}

// WaitFor is like Wait, but counts and returns only the results for which match returns true.
func (r *Recorder[T]) WaitFor(ctx context.Context, n int, match func(dispatcher.Result[T]) bool) ([]dispatcher.Result[T], error) {
	for {
		results, news := r.look()
		found := slices.DeleteFunc(results, func(result dispatcher.Result[T]) bool { return !match(result) })
		if len(found) >= n {
			return found[:max(0, n)], nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return found, fmt.Errorf("dispatchertest: %d of %d jobs have ended: %w", len(found), n, context.Cause(ctx))
		}
	}
}

// look returns the results, and a channel that is closed when there is another one.
func (r *Recorder[T]) look() ([]dispatcher.Result[T], <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.news == nil {
		r.news = make(chan struct{})
	}
	return slices.Clone(r.results), r.news
}
