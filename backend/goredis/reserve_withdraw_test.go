package goredis

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/redistest"
	"github.com/redis/go-redis/v9"
)

// Trap 19: a request whose caller leaves before it is sent charges nothing.
func TestRequestsOfThoseWhoLeftAreWithdrawn(t *testing.T) {
	proxy := redistest.NewProxy(t, redistest.Addr(t))
	client := redis.NewClient(&redis.Options{Addr: proxy.Addr()})
	t.Cleanup(func() { client.Close() })
	b, err := New(client, Config{Prefix: redistest.Prefix(t)})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(ctx context.Context, horizon time.Duration, key string) (d [1]backend.Decision, err error) {
		reqs := []backend.Request{{Limits: []backend.Limit{limit(key, every(time.Hour, 1))}, HeldBy: []string{"held by"}, Horizon: horizon}}
		return d, b.Reserve(ctx, reqs, d[:])
	}
	if _, err := ask(t.Context(), 0, "first"); err != nil {
		t.Fatal(err)
	}

	for !onTheirWay(b, 0) {
		runtime.Gosched()
	}

	proxy.Stall(true)
	var sent sync.WaitGroup
	for i := range maxCalls { // as many as may be on their way
		sent.Go(func() {
			if _, err := ask(t.Context(), 0, fmt.Sprint("sent", i)); err != nil {
				t.Errorf("Reserve() = %v, want nil", err)
			}
		})
		for !onTheirWay(b, i+1) {
			runtime.Gosched()
		}
	}
	for _, horizon := range []time.Duration{0, time.Minute, backend.Unlimited} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		if _, err := ask(ctx, horizon, "left"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Reserve() = %v, want %v", err, context.DeadlineExceeded)
		}
		cancel()
	}
	sent.Go(func() {
		// It travels with those whose callers have gone.
		if d, err := ask(t.Context(), 0, "stays"); err != nil || !d[0].Granted {
			t.Errorf("Reserve() = %+v, %v, want it granted", d[0], err)
		}
	})
	for waiting(b) < 4 {
		runtime.Gosched()
	}
	proxy.Stall(false)
	sent.Wait()
	d, err := ask(t.Context(), 0, "left")
	if err != nil || !d[0].Granted {
		t.Errorf("Reserve() = %+v, %v, want it granted: nobody has charged the key", d[0], err)
	}
}

// onTheirWay reports whether that many calls are, and no batch waits to be one.
func onTheirWay(b *Backend, calls int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.calls == calls && b.pending == nil
}

// waiting returns how many requests the batch has that goes next.
func waiting(b *Backend) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pending == nil {
		return 0
	}
	return len(b.pending.places)
}
