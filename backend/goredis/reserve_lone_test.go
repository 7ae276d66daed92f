package goredis

import (
	"context"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/redistest"
)

// A single request whose context can't end is sent from the caller's goroutine. Requests that come
// meanwhile get calls of their own, and share them if there are many.
func TestLoneRequest(t *testing.T) {
	b, g := gated(t)
	ask := func(ctx context.Context, key string) <-chan answer {
		return reserveLater(ctx, b, request(limit(key, every(time.Hour, 1))))
	}
	first := ask(context.Background(), "k")
	if got := receive(t, "the call", g.came); got != "out" {
		t.Fatalf("the gate is told %q, want out", got)
	}
	second := ask(context.Background(), "k")
	third := ask(t.Context(), "other")
	g.open()
	granted := 0
	for _, c := range []<-chan answer{first, second, third} {
		a := receive(t, "the answer", c)
		if a.err != nil || a.ds[0].Err != nil {
			t.Errorf("Reserve() = %+v, %v, want it decided", a.ds, a.err)
		}
		if a.ds[0].Granted {
			granted++
		}
	}
	if granted != 2 {
		t.Errorf("granted = %d, want one of each key", granted)
	}
	eventually(t, "no call is on its way", func() bool { return onTheirWayForTest(b) == 0 })
}

func onTheirWayForTest(b *Backend) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.calls
}

// A panic in a hook of the client reaches the caller, and the backend works afterwards.
func TestLoneRequestPanics(t *testing.T) {
	client := redistest.Client(t)
	b := newBackend(t, client, Config{})
	takes(t, b, limit("k", every(time.Hour, 1)))
	eventually(t, "no call is on its way", func() bool { return onTheirWayForTest(b) == 0 })
	hook := &panicky{}
	client.AddHook(hook.hook())
	for range 2 * maxCalls {
		hook.on.Store(true)
		func() {
			defer func() {
				if recover() == nil {
					t.Error("Reserve() has not panicked, want it to")
				}
			}()
			_ = b.Reserve(context.Background(), []backend.Request{request(limit("k", every(time.Hour, 1)))}, make([]backend.Decision, 1))
		}()
		hook.on.Store(false)
	}
	takes(t, b, limit("other", every(time.Hour, 1)))
}
