package goredis

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/redistest"
	"github.com/redis/go-redis/v9"
)

// answer is what Reserve returned to a goroutine.
type answer struct {
	ds  []backend.Decision
	err error
}

// reserveLater reserves in a goroutine.
func reserveLater(ctx context.Context, b *Backend, reqs ...backend.Request) <-chan answer {
	c := make(chan answer, 1)
	go func() {
		ds := make([]backend.Decision, len(reqs))
		err := b.Reserve(ctx, reqs, ds)
		c <- answer{ds, err}
	}()
	return c
}

// pendingForTest is how many requests wait for a call.
func (b *Backend) pendingForTest() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pending == nil {
		return 0
	}
	return len(b.pending.places)
}

// gated returns a backend whose calls wait at a gate, on a client that has its
// connection, and a server that has the script.
func gated(t *testing.T) (*Backend, *gate) {
	t.Helper()
	client, g := redistest.Client(t), newGate()
	takes(t, newBackend(t, client, Config{}), limit("k", every(time.Hour, 1))) // the server knows the script from here on
	client.AddHook(g.hook())
	b := newBackend(t, client, Config{})
	b.watched = true
	return b, g
}

func booking(limits ...backend.Limit) backend.Request {
	return backend.Request{Limits: limits, Horizon: backend.Unlimited}
}

// Trap 19: one of three callers whose requests travel together leaves after the script has run,
// while the answer is on its way. It gets its error at once, the others get their slots, and the
// slots granted to it are given back.
func TestCancelInFlight(t *testing.T) {
	b, g := gated(t)
	ctx, cancel := context.WithCancel(t.Context())
	chain := limit("chain", every(time.Hour, 1))

	// All calls are on their way; what comes now waits, and travels together.
	calls := []<-chan answer{reserveLater(t.Context(), b, booking(chain))}
	receive(t, "the first call", g.came)
	for range maxCalls - 1 {
		calls = append(calls, reserveLater(t.Context(), b, booking(limit("second", every(time.Hour, 1)))))
		receive(t, "another call", g.came)
	}
	wants := func(n int) {
		t.Helper()
		eventually(t, "the requests wait", func() bool { return b.pendingForTest() == n })
	}
	other := reserveLater(t.Context(), b, booking(limit("other", every(time.Hour, 1))))
	wants(1)
	burst := limit("burst", every(time.Hour, 3))
	goes := reserveLater(ctx, b, booking(chain), booking(limit("alone", every(time.Hour, 1)), chain), backend.Request{},
		booking(burst), booking(burst), booking(burst))
	wants(6)
	last := reserveLater(t.Context(), b, booking(limit("other", every(time.Hour, 1))))
	wants(7)

	g.pass <- struct{}{}
	receive(t, "the answer to a call", g.came)
	g.answer <- struct{}{}
	receive(t, "the call with what has waited", g.came)
	wants(0)
	for range maxCalls {
		g.pass <- struct{}{}
		receive(t, "the answer to another call", g.came)
	}

	// The slots are taken, and nobody knows yet.
	key := b.prefix + chain.Key
	if s := getStored(t, b.client, key); s.tat-s.at < float64(2*time.Hour/time.Microsecond) {
		t.Fatalf("state of the chain = %+v, want it charged three times", s)
	}
	cancel()
	if got := receive(t, "the answer to who goes", goes); !errors.Is(got.err, context.Canceled) {
		t.Errorf("Reserve() whose context has ended = %v, want %v", got.err, context.Canceled)
	}

	g.open()
	for i, c := range append(calls, other, last) {
		got := receive(t, "an answer", c)
		if got.err != nil || !got.ds[0].Granted {
			t.Fatalf("Reserve() of caller %d, who stays = %+v, want it granted", i, got)
		}
	}
	eventually(t, "both slots of the chain are given back", func() bool {
		s := getStored(t, b.client, key)
		return s.tat-s.last < float64(61*time.Minute/time.Microsecond) && s.tat-s.at < float64(61*time.Minute/time.Microsecond)
	})
	if d := reserve(t, b, backend.Unlimited, chain); time.Until(d.Slot).Round(time.Minute) != time.Hour {
		t.Errorf("next slot of the chain = %v ahead, want 1h: both were given back", time.Until(d.Slot))
	}
	takes(t, b, limit("alone", every(time.Hour, 1)))
	burst.Cost = 3
	eventually(t, "the burst is given back", func() bool { return reserve(t, b, 0, burst).Granted })
}

// Trap 19: a caller leaves before its requests are sent. They take no slots, and the requests of
// others in the same batch do.
func TestCancelWhilePending(t *testing.T) {
	b, g := gated(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	var calls []<-chan answer
	for range maxCalls {
		calls = append(calls, reserveLater(t.Context(), b, booking(limit("first", every(time.Hour, 9)))))
		receive(t, "a call", g.came)
	}
	k := limit("k", every(time.Hour, 1))
	goes := reserveLater(ctx, b, booking(k))
	eventually(t, "the request waits", func() bool { return b.pendingForTest() == 1 })
	stays := reserveLater(t.Context(), b, booking(k), request(limit("other", every(time.Hour, 1))))
	eventually(t, "the requests of another wait", func() bool { return b.pendingForTest() == 3 })
	cancel()
	if got := receive(t, "the answer to who goes", goes); !errors.Is(got.err, context.Canceled) {
		t.Errorf("Reserve() whose context has ended = %v, want %v", got.err, context.Canceled)
	}
	g.open()
	for _, c := range calls {
		if got := receive(t, "an answer", c); got.err != nil {
			t.Errorf("Reserve() of who stays = %v, want nil", got.err)
		}
	}
	got := receive(t, "the answer to who stays", stays)
	if got.err != nil || !got.ds[0].Granted || !got.ds[1].Granted || time.Until(got.ds[0].Slot) > time.Minute {
		t.Errorf("Reserve() of who stays = %+v, want it granted at once: who went took nothing", got)
	}
	if d := refused(t, b, k); time.Until(d.Slot).Round(time.Minute) != time.Hour {
		t.Errorf("next slot = %v ahead, want 1h", time.Until(d.Slot))
	}
}

// Trap 19: the network stalls. A caller returns at its own deadline, not at the timeout of the
// connection.
func TestCancelWhileTheNetworkStalls(t *testing.T) {
	proxy := redistest.NewProxy(t, redistest.Addr(t))
	b := newBackend(t, clientWith(t, &redis.Options{Addr: proxy.Addr(), ReadTimeout: time.Minute}), Config{})
	b.watched = true
	k := limit("k", every(time.Hour, 1))
	takes(t, b, limit("connect", every(time.Hour, 1)))

	proxy.Stall(true)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	began := time.Now()
	got := receive(t, "the answer to who goes", reserveLater(ctx, b, booking(k)))
	if !errors.Is(got.err, context.DeadlineExceeded) {
		t.Errorf("Reserve() after its deadline = %v, want %v", got.err, context.DeadlineExceeded)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("Reserve() with a deadline of 20ms took %v", took)
	}
	stays := reserveLater(t.Context(), b, booking(limit("other", every(time.Hour, 1))))
	proxy.Stall(false)
	if got := receive(t, "the answer to who stays", stays); got.err != nil || !got.ds[0].Granted {
		t.Errorf("Reserve() of who stays = %+v, want it granted", got)
	}
	eventually(t, "the slot is given back", func() bool { return reserve(t, b, 0, k).Granted })
}
