package main

import (
	"context"
	"sync"
	"time"

	"github.com/freqlimit/dispatcher/gcra"
	"golang.org/x/sync/errgroup"
	xrate "golang.org/x/time/rate"
	"k8s.io/client-go/util/workqueue"
)

// Jobs from submit to end, each under a limit of its key that does not bind.
const (
	limitedKeys = 100_000
	limitedJobs = 1_000_000 // at the default time
	looseRate   = 1_000_000 // per second
	looseBurst  = 1000
)

var loose = gcra.FreqLimitParams{Limit: looseRate, Period: time.Second, Burst: looseBurst}

func limitedGroup() group {
	return group{
		name:    "A limit for each of 100,000 keys",
		figures: []figure{{unit: "jobs per second"}},
		measurements: []measurement{
			{name: "goroutine + x/time/rate, 64 at once", run: pooled(openLimitedGoroutines, 1, limitedJobs)},
			{name: "client-go workqueue + x/time/rate", run: pooled(openLimitedWorkqueue, 1, limitedJobs)},
			{
				name: "dispatcher", run: pooled(openDispatcher(limitedKeys, loose), 1, limitedJobs),
				goals: aims(goal{bound: atLeast, value: 1_000_000}),
			},
		},
	}
}

// limiters is the usual way to have a limit for each key: a map and a mutex.
type limiters struct {
	mu    sync.Mutex
	byKey map[string]*xrate.Limiter
}

func newLimiters() *limiters { return &limiters{byKey: map[string]*xrate.Limiter{}} }

func (l *limiters) of(key string) *xrate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter := l.byKey[key]
	if limiter == nil {
		limiter = xrate.NewLimiter(looseRate, looseBurst)
		l.byKey[key] = limiter
	}
	return limiter
}

// openLimitedGoroutines is a goroutine for each job, so many at a time.
func openLimitedGoroutines(job func()) (pool, error) {
	names, limits := namesOf(limitedKeys), newLimiters()
	var group errgroup.Group
	group.SetLimit(poolWorkers)
	return pool{
		submit: func(i int) error {
			group.Go(func() error {
				err := limits.of(names[i%limitedKeys]).Wait(context.Background())
				job()
				return err
			})
			return nil
		},
		wait: group.Wait,
	}, nil
}

// openLimitedWorkqueue is the queue of Kubernetes controllers, with a limit for
// each key where it asks how long an item has to wait.
func openLimitedWorkqueue(job func()) (pool, error) {
	limits := &itemLimits{names: namesOf(limitedKeys), limits: newLimiters()}
	queue := workqueue.NewTypedRateLimitingQueue[int](limits)
	wait := serve(queue, job)
	return pool{
		submit: func(i int) error {
			queue.AddRateLimited(i)
			return nil
		},
		wait: wait,
	}, nil
}

// itemLimits implements [workqueue.TypedRateLimiter].
type itemLimits struct {
	names  []string
	limits *limiters
}

func (l *itemLimits) When(i int) time.Duration {
	return l.limits.of(l.names[i%limitedKeys]).Reserve().Delay()
}

func (l *itemLimits) Forget(int)          {}
func (l *itemLimits) NumRequeues(int) int { return 0 }
