package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// tally is how much was done in a time.
type tally struct {
	count   int
	elapsed time.Duration
}

func (t tally) perSecond() float64 { return float64(t.count) / t.elapsed.Seconds() }

// each is how many nanoseconds one took.
func (t tally) each() float64 { return float64(t.elapsed.Nanoseconds()) / float64(t.count) }

// timed does work for a time, after a tenth of it that does not count: in that
// connections are made, scripts loaded and memory grown. The work goes on until
// its context ends, which is not an error.
func timed(ctx context.Context, each time.Duration, work func(context.Context) (tally, error)) (tally, error) {
	if _, err := timedOnce(ctx, each/10, work); err != nil {
		return tally{}, err
	}
	runtime.GC()
	return timedOnce(ctx, each, work)
}

func timedOnce(ctx context.Context, each time.Duration, work func(context.Context) (tally, error)) (tally, error) {
	limited, cancel := context.WithTimeout(ctx, each)
	defer cancel()
	t, err := work(limited)
	if err == nil && t.count == 0 {
		err = errors.New("nothing was done")
	}
	return t, err
}

// drive calls work from so many goroutines, each at least once and then until ctx
// ends. The work that newWorker makes is for one goroutine, and returns how much
// it has done. Calls that are on their way when ctx ends are waited for and count: work
// gets a context that does not end with it.
func drive(ctx context.Context, goroutines int, newWorker func() func(context.Context) (int, error)) (tally, error) {
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
	return tally{count: int(total.Load()), elapsed: time.Since(start)}, err
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
