package goredis

import (
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/redistest"
	"github.com/redis/go-redis/v9"
)

// apart finds between what bounds local - server lies, by asking the server.
func apart(t *testing.T, client *redis.Client) (low, high time.Duration) {
	t.Helper()
	for i := range 50 {
		sent := time.Now()
		server, err := client.Time(t.Context()).Result()
		received := time.Now()
		if err != nil {
			t.Fatalf("TIME: %v, want nil", err)
		}
		l, h := sent.Sub(server)-time.Microsecond, received.Sub(server)
		if i == 0 {
			low, high = l, h
		}
		low, high = max(low, l), min(high, h)
	}
	return low, high
}

// Trap 27: the local instant of a slot is not before the server's clock shows it,
// also when the way there or back is long; and late by no more than a round trip.
func TestLocalSlotsAreNotEarly(t *testing.T) {
	direct := redistest.Client(t)
	proxy := redistest.NewProxy(t, redistest.Addr(t))
	b := newBackend(t, clientWith(t, &redis.Options{Addr: proxy.Addr()}), Config{})
	k := limit("k", every(time.Millisecond, 1))
	for i, latency := range []time.Duration{10 * time.Millisecond, 0, 10 * time.Millisecond, 2 * time.Millisecond} {
		proxy.Latency(latency)
		for range 10 {
			low, _ := apart(t, direct)
			began := time.Now()
			d := reserve(t, b, backend.Unlimited, k)
			trip := time.Since(began)
			_, high := apart(t, direct)
			got := d.Slot.Sub(time.UnixMicro(d.Token))
			// The clocks are one and drift by nothing, but the bounds are not of one
			// moment.
			const slack = 50 * time.Microsecond
			if got < low-slack {
				t.Errorf("local slot with latency %d, %v, = server's + %v, want at least + %v", i, latency, got, low)
			}
			if most := high + trip + slack; got > most {
				t.Errorf("local slot with latency %d, %v, = server's + %v, want at most + %v", i, latency, got, most)
			}
		}
	}
}
