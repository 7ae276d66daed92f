package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	xrate "golang.org/x/time/rate"
)

// costOfGoroutines is what a goroutine for each job costs: to start it and have
// it wait, each for the limiter of its key, and to run all that waited.
//
// Limiters of x/time/rate can't be closed. To have one in debt will not do, for
// a goroutine that is held up between looking at the clock and asking pays off
// debt that is still owed, so that some begin long before the rest. So for run,
// all wait at a channel; then each goes through both limiters, which are wide.
func costOfGoroutines(ctx context.Context, jobs int) (c costs, err error) {
	if c, err = blockGoroutines(ctx, jobs); err != nil {
		return c, err
	}
	c.run, err = runGoroutines(ctx, jobs)
	return c, err
}

// runGoroutines returns how many nanoseconds a job takes, from the opening of the
// channel to the end of the last job.
func runGoroutines(ctx context.Context, jobs int) (float64, error) {
	names, limits := namesOf(jobs/jobsPerKey), newLimiters()
	shared := xrate.NewLimiter(1e9, 1<<30)
	opened := make(chan struct{})
	var begun, failed atomic.Int64
	var all sync.WaitGroup
	for i := range jobs {
		all.Go(func() {
			begun.Add(1)
			<-opened
			if errors.Join(shared.Wait(ctx), limits.of(names[i%len(names)]).Wait(ctx)) != nil {
				failed.Add(1)
			}
		})
	}
	err := await(ctx, "the goroutines to wait", func() bool { return begun.Load() == int64(jobs) })
	if err != nil {
		return 0, err
	}
	inUse() // the garbage of getting ready is not to be collected on the way
	from := time.Now()
	close(opened)
	all.Wait()
	if failed.Load() > 0 {
		return 0, errBound
	}
	return tally{jobs, time.Since(from)}.each(), nil
}
