package main

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// drive calls work from so many goroutines, each at least once and then until ctx
// ends. The work that newWorker makes is for one goroutine, and returns how much
// it has done. Calls that are on their way when ctx ends are waited for and count: work
// gets a context that does not end with it.
func drive(ctx context.Context, goroutines int, newWorker func() func(context.Context) (int, error)) (sample, error) {
	var total atomic.Int64
	group, until := errgroup.WithContext(ctx)
	start := time.Now()
	for range goroutines {
		group.Go(func() error {
			work, calls, done := newWorker(), context.WithoutCancel(ctx), 0
			defer func() { total.Add(int64(done)) }()
			for {
				n, err := work(calls)
				if err != nil {
					return err
				}
				if done += n; until.Err() != nil {
					return nil
				}
			}
		})
	}
	err := group.Wait()
	return sample{count: int(total.Load()), elapsed: time.Since(start)}, err
}

// namesOf returns so many keys, made beforehand so that they cost nothing later.
func namesOf(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = "chat:" + strconv.Itoa(i)
	}
	return names
}

// pickFrom returns any of the names.
func pickFrom(names []string) string { return names[rand.IntN(len(names))] }
