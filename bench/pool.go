package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend/memory"
	"github.com/freqlimit/dispatcher/gcra"
	"golang.org/x/sync/errgroup"
)

// Jobs that do nothing, on so many workers, from the first submit to the end of
// the last job.
const (
	poolWorkers = 64
	poolJobs    = 2_000_000 // at the default time
)

// pool is something that runs jobs, each of them the same function.
type pool struct {
	submit func(i int) error // job number i, from any goroutine
	wait   func() error      // until all jobs have run
}

// opener makes a pool whose jobs are a function.
type opener func(job func()) (pool, error)

func poolGroups() []group {
	var groups []group
	for _, producers := range []int{1, 2} {
		line := func(name string, open opener, goals ...goal) measurement {
			return measurement{name: name, rounds: 3, goals: goals, run: pooled(open, producers, poolJobs)}
		}
		groups = append(groups, group{
			name:    "Pool, " + count(producers, "producer"),
			figures: []figure{{unit: "jobs per second"}},
			measurements: []measurement{
				line("pond", openPond),
				line("dispatcher, one key", openDispatcher(1, gcra.FreqLimitParams{}), faster(2)...),
				line("dispatcher, 1,000 keys", openDispatcher(1000, gcra.FreqLimitParams{})),
				line("bare channel", openChannel),
				line("ants", openAnts),
				line("conc", openConc),
				line("workerpool", openWorkerpool),
				line("errgroup with SetLimit", openErrgroup),
				line("client-go workqueue", openWorkqueue),
			},
		})
	}
	return groups
}

// pooled measures a pool. Before, it runs a tenth of the jobs, which count: each
// must have run when the pool says so.
func pooled(open opener, producers, jobs int) func(context.Context, settings) (sample, error) {
	return func(_ context.Context, s settings) (sample, error) {
		n := s.scale(jobs, 100)
		var ran atomic.Int64
		if _, err := fillPool(open, func() { ran.Add(1) }, producers, n/10); err != nil {
			return sample{}, err
		}
		if got := int(ran.Load()); got != n/10 {
			return sample{}, fmt.Errorf("%d jobs of %d have run", got, n/10)
		}
		runtime.GC()
		t, err := fillPool(open, func() {}, producers, n)
		return only(t.perSecond()), err
	}
}

// fillPool submits jobs from so many goroutines and waits for them to end.
func fillPool(open opener, job func(), producers, n int) (tally, error) {
	p, err := open(job)
	if err != nil {
		return tally{}, err
	}
	var group errgroup.Group
	start := time.Now()
	for first := range producers {
		group.Go(func() error {
			for i := first; i < n; i += producers {
				if err := p.submit(i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err = group.Wait()
	err = errors.Join(err, p.wait())
	return tally{n, time.Since(start)}, err
}

// openDispatcher is this project, with jobs over so many keys, each under the
// limit of its key if there are params.
func openDispatcher(keys int, params gcra.FreqLimitParams) opener {
	return func(job func()) (pool, error) {
		names := namesOf(keys)
		d, err := dispatcher.New(memory.New(memory.Config{}), func(_ context.Context, job dispatcher.Job[func()]) error {
			job.Payload()
			return nil
		}, dispatcher.Config[func()]{Workers: poolWorkers, Capacity: 1 << 30, Params: params})
		if err != nil {
			return pool{}, err
		}
		ctx := context.Background()
		ran := start(ctx, d)
		return pool{
			submit: func(i int) error { return d.Submit(ctx, names[i%keys], job) },
			wait:   func() error { return drain(ctx, d, ran, int(d.Stats().Submitted)) },
		}, nil
	}
}
