package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/memory"
	"go.uber.org/ratelimit"
	xrate "golang.org/x/time/rate"
)

// waitXTime is a goroutine for each job that waits as Limiter.Wait does: it
// reserves, and starts a timer for the delay. That tells when the limiter allowed
// it, which Wait does not.
func waitXTime(_ context.Context, rate, n int) ([]time.Duration, error) {
	limiter := xrate.NewLimiter(xrate.Limit(rate), 1)
	late := make([]time.Duration, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			now := time.Now()
			delay := limiter.ReserveN(now, 1).DelayFrom(now)
			if delay > 0 {
				<-time.NewTimer(delay).C
			}
			late[i] = time.Since(now.Add(delay))
		})
	}
	all.Wait()
	return late, nil
}

// waitUber is one goroutine that takes again and again. The limiter keeps a
// schedule: it allows the next one an interval after it has allowed the one
// before. What Take returns is that, unless it was called late.
func waitUber(_ context.Context, rate, n int) ([]time.Duration, error) {
	limiter := ratelimit.New(rate)
	interval := time.Second / time.Duration(rate)
	late := make([]time.Duration, n)
	var first time.Time
	for i := range n {
		at := limiter.Take()
		now := time.Now()
		if i == 0 {
			first = at
		}
		// By the wall clock, as the limiter goes by it.
		late[i] = time.Duration(now.UnixNano() - first.Add(time.Duration(i)*interval).UnixNano())
	}
	return late, nil
}

// waitFreqLimit is a goroutine for each job that waits on this project's limiter.
// The slots are noted where they are granted: waits end in their order.
func waitFreqLimit(ctx context.Context, rate, n int) ([]time.Duration, error) {
	noted := &notedSlots{Backend: memory.New(memory.Config{})}
	limit, err := dispatcher.NewFreqLimit(noted, perSecond(rate))
	if err != nil {
		return nil, err
	}
	started, errs := make([]time.Time, n), make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			errs[i] = limit.Wait(ctx, "shared")
			started[i] = time.Now()
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	if len(noted.slots) != n {
		return nil, fmt.Errorf("%d slots were granted to %d waits", len(noted.slots), n)
	}
	slices.SortFunc(started, time.Time.Compare)
	late := make([]time.Duration, n)
	for i := range late {
		late[i] = started[i].Sub(noted.slots[i])
	}
	return late, nil
}

// notedSlots is the memory backend, and notes the slots that it grants.
type notedSlots struct {
	*memory.Backend
	mu    sync.Mutex
	slots []time.Time
}

// Reserve implements [backend.Backend].
func (b *notedSlots) Reserve(ctx context.Context, reqs []backend.Request, decisions []backend.Decision) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	err := b.Backend.Reserve(ctx, reqs, decisions)
	for _, d := range decisions[:len(reqs)] {
		if err == nil && d.Granted {
			b.slots = append(b.slots, d.Slot)
		}
	}
	return err
}
