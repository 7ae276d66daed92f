package main

import (
	"context"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freqlimit/dispatcher"
	xrate "golang.org/x/time/rate"
)

// What a job takes while it waits: the bytes in use on the heap and by stacks,
// more than before there was anything but the keys, for each job that waits, less
// its payload.
const (
	memoryJobs     = 1_000_000
	memoryPeerJobs = 100_000
	payloadBytes   = strconv.IntSize / 8
)

func memoryGroup(s settings) group {
	jobs, peer := min(memoryJobs, s.Max), min(memoryPeerJobs, s.Max)
	line := func(name string, jobs int, run func(ctx context.Context, jobs int) (float64, error), goals ...goal) measurement {
		return measurement{name: name + ", " + count(jobs, "job"), rounds: 2, goals: goals, run: func(ctx context.Context, _ settings) (sample, error) {
			bytes, err := run(ctx, jobs)
			return only(bytes), err
		}}
	}
	return group{
		name:    "Memory of waiting jobs",
		figures: []figure{{unit: "bytes a job, without its payload"}},
		measurements: []measurement{
			line("goroutine + x/time/rate Wait", peer, memoryGoroutines),
			line("dispatcher, a limit per key (Params)", jobs, memoryParams, goal{bound: atMost, value: 128}),
			line("dispatcher, one limit for all", jobs, memoryShared),
			line("dispatcher, two limits made for each job", jobs, memoryTwo),
		},
	}
}

func memoryParams(ctx context.Context, jobs int) (float64, error) {
	return memoryOf(ctx, dispatcher.Config[int]{Params: slow}, jobs, jobs/jobsPerKey)
}

func memoryShared(ctx context.Context, jobs int) (float64, error) {
	limits := []dispatcher.Limit{{Key: "shared", Params: slow}}
	return memoryOf(ctx, dispatcher.Config[int]{
		Limits: func(string, int) []dispatcher.Limit { return limits },
	}, jobs, 1)
}

func memoryTwo(ctx context.Context, jobs int) (float64, error) {
	return memoryOf(ctx, dispatcher.Config[int]{
		Limits: func(key string, _ int) []dispatcher.Limit {
			return []dispatcher.Limit{{Key: "shared", Params: loose}, {Key: key, Params: slow}}
		},
	}, jobs, jobs/jobsPerKey)
}

// memoryOf measures a dispatcher whose first jobs, so many of them, start at once.
func memoryOf(ctx context.Context, cfg dispatcher.Config[int], jobs, atOnce int) (float64, error) {
	names := namesOf(jobs / jobsPerKey)
	before := inUse()
	d, err := queue(cfg)
	if err != nil {
		return 0, err
	}
	if err := fill(ctx, d, names, jobs, atOnce); err != nil {
		return 0, err
	}
	bytes := inUse() - before
	runtime.KeepAlive(d)
	runtime.KeepAlive(names)
	return bytes/float64(jobs) - payloadBytes, nil
}

// memoryGoroutines is a goroutine for each job.
func memoryGoroutines(ctx context.Context, jobs int) (float64, error) {
	c, err := blockGoroutines(ctx, jobs)
	return c.memory, err
}

// blockGoroutines has a goroutine wait for each job, for the limiter of its key,
// and says what starting one takes and what it holds. At the end they are gone.
func blockGoroutines(ctx context.Context, jobs int) (c costs, err error) {
	names := namesOf(jobs / jobsPerKey)
	started := jobs + len(names) // the first of each key goes on at once
	before := inUse()
	var mu sync.Mutex
	byKey := map[string]*xrate.Limiter{}
	var begun, ended atomic.Int64
	var all sync.WaitGroup
	waiting, stop := context.WithCancel(ctx)
	from := time.Now()
	for i := range started {
		all.Go(func() {
			mu.Lock()
			limiter := byKey[names[i%len(names)]]
			if limiter == nil {
				limiter = xrate.NewLimiter(xrate.Every(time.Hour), 1)
				byKey[names[i%len(names)]] = limiter
			}
			mu.Unlock()
			begun.Add(1)
			if limiter.Wait(waiting) == nil {
				ended.Add(1)
			}
		})
	}
	err = await(ctx, "the goroutines to wait", func() bool {
		return begun.Load() == int64(started) && ended.Load() == int64(len(names))
	})
	c.submit = tally{started, time.Since(from)}.each()
	time.Sleep(100 * time.Millisecond) // until the last ones wait
	c.memory = (inUse()-before)/float64(jobs) - payloadBytes
	runtime.KeepAlive(byKey)
	runtime.KeepAlive(names)
	stop()
	all.Wait()
	return c, err
}
