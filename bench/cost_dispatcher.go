package main

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend/memory"
	"github.com/freqlimit/dispatcher/gcra"
)

// everWide never binds, however many jobs come at once.
var everWide = gcra.FreqLimitParams{Limit: 1_000_000_000, Period: time.Second, Burst: 1 << 30}

// closedFor is how far ahead the shared limit is closed, over and over: for longer
// where there are more jobs, as then other things hold up who does that.
func closedFor(jobs int) time.Duration {
	if jobs >= 1_000_000 {
		return time.Second
	}
	return 250 * time.Millisecond
}

// costOfDispatcher is what jobs cost here.
func costOfDispatcher(ctx context.Context, jobs int) (c costs, err error) {
	names := namesOf(jobs / jobsPerKey)
	limits := make([][]dispatcher.Limit, len(names))
	for i, name := range names {
		limits[i] = []dispatcher.Limit{{Key: "shared", Params: everWide}, {Key: name, Params: loose}}
	}
	before := inUse()
	var begun atomic.Bool
	var takenIn time.Time
	d, err := dispatcher.New(memory.New(memory.Config{}), func(_ context.Context, job dispatcher.Job[int]) error {
		if job.Payload == lastIn {
			takenIn = time.Now()
		} else if !begun.Load() {
			begun.Store(true)
		}
		return nil
	}, dispatcher.Config[int]{
		Capacity: 1 << 30,
		Limits:   func(_ string, i int) []dispatcher.Limit { return limits[i%len(limits)] },
	})
	if err != nil {
		return c, err
	}
	open, err := closeKey(ctx, d, "shared", closedFor(jobs))
	if err != nil {
		return c, err
	}
	ran, from := start(ctx, d), time.Now()
	for i := range jobs {
		if err := d.Submit(ctx, names[i%len(names)], i); err != nil {
			return c, err
		}
	}
	if err := settle(ctx, d, 0); err != nil {
		return c, err
	}
	c.submit = tally{jobs, takenIn.Sub(from)}.each()
	c.memory = (inUse()-before)/float64(jobs) - payloadBytes
	if waiting := d.Stats().Waiting; waiting != jobs || begun.Load() {
		return c, fmt.Errorf("%d jobs wait, want %d: some have begun before all waited", waiting, jobs)
	}
	opens, err := open()
	if err != nil {
		return c, err
	}
	if err := drain(ctx, d, ran, jobs+1); err != nil {
		return c, err
	}
	c.run = tally{jobs, time.Since(opens)}.each()
	runtime.KeepAlive(limits)
	return c, nil
}

// closeKey keeps a key closed until open is called, which says when it opens: not
// much after what it says, at any rate.
func closeKey(ctx context.Context, d *dispatcher.Dispatcher[int], key string, ahead time.Duration) (open func() (time.Time, error), err error) {
	opens := time.Now().Add(ahead)
	if err := d.Hold(ctx, key, ahead); err != nil {
		return nil, err
	}
	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		again := time.NewTicker(ahead / 10)
		defer again.Stop()
		for {
			select {
			case <-stop:
				ended <- nil
				return
			case <-again.C:
				opens = time.Now().Add(ahead)
				if err := d.Hold(ctx, key, ahead); err != nil {
					ended <- err
					return
				}
			}
		}
	}()
	return func() (time.Time, error) {
		close(stop)
		err := <-ended
		return opens, err
	}, nil
}
