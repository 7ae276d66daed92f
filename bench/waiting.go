package main

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend/memory"
	"github.com/freqlimit/dispatcher/gcra"
)

// What measurements of waiting jobs share. They leave the jobs where they wait
// when they are done: their process ends.

const (
	jobsPerKey   = 10
	leastWaiting = 100             // the least that -max may be
	settleFor    = 2 * time.Minute // how long something may take that takes seconds
	lastIn       = -1              // the payload of the job by which settle knows
)

// slow lets one job through and no other for an hour.
var slow = gcra.FreqLimitParams{Limit: 1, Period: time.Hour}

// queue makes a dispatcher for jobs that do nothing, with room for all.
func queue(cfg dispatcher.Config[int]) (*dispatcher.Dispatcher[int], error) {
	cfg.Capacity = 1 << 30
	nothing := func(context.Context, dispatcher.Job[int]) error { return nil }
	return dispatcher.New(memory.New(memory.Config{}), nothing, cfg)
}

// fill starts a dispatcher and submits jobs, one key after another, until n wait
// beyond those that start at once, and all have been taken in.
func fill(ctx context.Context, d *dispatcher.Dispatcher[int], names []string, n, atOnce int) error {
	start(ctx, d)
	for i := range n + atOnce {
		if err := d.Submit(ctx, names[i%len(names)], i); err != nil {
			return err
		}
	}
	if err := settle(ctx, d, atOnce); err != nil {
		return err
	}
	if waiting := d.Stats().Waiting; waiting != n {
		return fmt.Errorf("%d jobs wait, want %d", waiting, n)
	}
	return nil
}

// settle waits until a dispatcher has taken in all that was submitted, when so
// many jobs are to have run: the last one in is under no limit and starts then.
func settle(ctx context.Context, d *dispatcher.Dispatcher[int], ran int) error {
	last := dispatcher.Job[int]{Key: "settle", Payload: lastIn, Limits: dispatcher.NoLimits}
	if err := d.SubmitJob(ctx, last); err != nil {
		return err
	}
	return await(ctx, "the jobs to be taken in", func() bool { return d.Stats().Succeeded > uint64(ran) })
}

// await looks every millisecond whether something has happened.
func await(ctx context.Context, what string, happened func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, settleFor)
	defer cancel()
	for !happened() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, context.Cause(ctx))
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}

// inUse returns how many bytes are in use on the heap and by stacks.
func inUse() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc + m.StackInuse)
}
