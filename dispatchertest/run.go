package dispatchertest

import (
	"context"
	"testing"

	"github.com/freqlimit/dispatcher"
)

// Run submits the jobs to d, calls d.Run until all jobs have ended, and shuts d down. It returns
// the results of the given jobs, in the same order. All of them are submitted before the first
// one starts. Run also waits for jobs that were submitted before and for those that handlers
// submit.
//
// If a job is refused, or if d.Run returns an error, Run calls t.Fatal. It doesn't mind jobs
// that fail: the caller looks at their results. d must not have been run before.
func Run[T any](t testing.TB, d *dispatcher.Dispatcher[T], jobs ...dispatcher.Job[T]) []dispatcher.Result[T] {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	handles := make([]*dispatcher.Handle[T], len(jobs))
	for i, job := range jobs {
		h, err := d.Track(ctx, job)
		if err != nil {
			t.Fatalf("job %d was refused: %v", i, err)
		}
		handles[i] = h
	}
	ended := make(chan error, 1)
	go func() {
		err := d.Run(ctx)
		cancel() // nothing more will end
		ended <- err
	}()
	if err := d.WaitIdle(ctx); err == nil {
		_ = d.Shutdown(ctx) // what goes wrong is Run's error too
	}
	if err := <-ended; err != nil {
		t.Fatalf("the dispatcher does not run: %v", err)
	}
	results := make([]dispatcher.Result[T], len(jobs))
	for i, h := range handles {
		results[i], _ = h.Result()
	}
	return results
}
