package main

import (
	"context"
	"sync"

	"github.com/alitto/pond/v2"
	"github.com/gammazero/workerpool"
	"github.com/panjf2000/ants/v2"
	concpool "github.com/sourcegraph/conc/pool"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/util/workqueue"
)

// Each peer as its own documentation has it used, with no bound on what waits
// where that can be chosen.

func openPond(job func()) (pool, error) {
	p := pond.NewPool(poolWorkers)
	return pool{
		submit: func(int) error { return p.Go(job) },
		wait: func() error {
			p.StopAndWait()
			return nil
		},
	}, nil
}

// openChannel is the least that a pool can be.
func openChannel(job func()) (pool, error) {
	jobs := make(chan func(), poolWorkers)
	var all sync.WaitGroup
	for range poolWorkers {
		all.Go(func() {
			for job := range jobs {
				job()
			}
		})
	}
	return pool{
		submit: func(int) error {
			jobs <- job
			return nil
		},
		wait: func() error {
			close(jobs)
			all.Wait()
			return nil
		},
	}, nil
}

func openAnts(job func()) (pool, error) {
	p, err := ants.NewPool(poolWorkers)
	if err != nil {
		return pool{}, err
	}
	return pool{
		submit: func(int) error { return p.Submit(job) },
		wait:   func() error { return p.ReleaseContext(context.Background()) },
	}, nil
}

func openConc(job func()) (pool, error) {
	p := concpool.New().WithMaxGoroutines(poolWorkers)
	return pool{
		submit: func(int) error {
			p.Go(job)
			return nil
		},
		wait: func() error {
			p.Wait()
			return nil
		},
	}, nil
}

func openWorkerpool(job func()) (pool, error) {
	p := workerpool.New(poolWorkers)
	return pool{
		submit: func(int) error {
			p.Submit(job)
			return nil
		},
		wait: func() error {
			p.StopWait()
			return nil
		},
	}, nil
}

func openErrgroup(job func()) (pool, error) {
	var group errgroup.Group
	group.SetLimit(poolWorkers)
	run := func() error {
		job()
		return nil
	}
	return pool{
		submit: func(int) error {
			group.Go(run)
			return nil
		},
		wait: group.Wait,
	}, nil
}

// openWorkqueue is the queue of Kubernetes controllers: its items are numbers, as
// it holds each item once.
func openWorkqueue(job func()) (pool, error) {
	queue := workqueue.NewTyped[int]()
	wait := serve(queue, job)
	return pool{
		submit: func(i int) error {
			queue.Add(i)
			return nil
		},
		wait: wait,
	}, nil
}

// serve starts the workers of a queue, and returns what waits for all to be done.
func serve[T comparable](queue workqueue.TypedInterface[T], job func()) (wait func() error) {
	var all sync.WaitGroup
	for range poolWorkers {
		all.Go(func() {
			for {
				item, ended := queue.Get()
				if ended {
					return
				}
				job()
				queue.Done(item)
			}
		})
	}
	return func() error {
		queue.ShutDownWithDrain()
		all.Wait()
		return nil
	}
}
