package memory_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/backendtest"
	"github.com/freqlimit/dispatcher/backend/memory"
)

// The zero value is a backend like any other.
func TestZeroBackendConforms(t *testing.T) {
	backendtest.Run(t, func(*testing.T) backend.Backend { return new(memory.Backend) })
}

// Whatever is done with the zero value first is done with an empty backend.
func TestZeroBackend(t *testing.T) {
	k := limit("k", every(time.Second))
	for name, first := range map[string]func(*testing.T, *memory.Backend){
		"Reserve": func(*testing.T, *memory.Backend) {},
		"Release": func(t *testing.T, b *memory.Backend) {
			if err := b.Release(t.Context(), []backend.Limit{k}, 0); err != nil {
				t.Errorf("Release() = %v, want nil", err)
			}
		},
		"Hold": func(t *testing.T, b *memory.Backend) {
			if err := b.Hold(t.Context(), "other", time.Minute); err != nil {
				t.Errorf("Hold() = %v, want nil", err)
			}
			opens(t, b, limit("other", every(time.Second)), time.Now().Add(time.Minute))
		},
		"Watch": func(t *testing.T, b *memory.Backend) {
			var got []backend.Change
			stop := b.Watch(func(c backend.Change) { got = append(got, c) })
			if len(got) != 1 || got[0].Kind != backend.ChangeCurrent {
				t.Errorf("Watch() tells %v, want a ChangeCurrent", got)
			}
			stop()
		},
		"Clear": func(t *testing.T, b *memory.Backend) {
			if err := b.Clear(t.Context()); err != nil {
				t.Errorf("Clear() = %v, want nil", err)
			}
		},
		"Len":   func(t *testing.T, b *memory.Backend) { holds(t, b, 0) },
		"Sweep": func(t *testing.T, b *memory.Backend) { sweeps(t, b, 0) },
		"Close": func(t *testing.T, b *memory.Backend) {
			for range 2 {
				if err := b.Close(); err != nil {
					t.Errorf("Close() = %v, want nil", err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var b memory.Backend
				first(t, &b)
				start := time.Now()
				if slot := books(t, &b, k); !slot.Equal(start) {
					t.Errorf("the first slot is %v after now, want 0", slot.Sub(start))
				}
				opens(t, &b, k, start.Add(time.Second))
			})
		})
	}
}

// The zero value may be used by many at once from the first moment on.
func TestZeroBackendConcurrently(t *testing.T) {
	for range 20 {
		var b memory.Backend
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() { books(t, &b, limit("k", every(time.Hour))) })
		}
		wg.Wait()
		holds(t, &b, 1)
		opens(t, &b, limit("k", every(time.Hour)), books(t, &b, limit("k", every(time.Hour))).Add(time.Hour))
	}
}

// Without a context nothing is done.
func TestNilContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, k := memory.New(memory.Config{}), limit("k", every(time.Second))
		slot := books(t, b, k)
		var none context.Context
		for name, err := range map[string]error{
			"Reserve": b.Reserve(none, []backend.Request{{Limits: []backend.Limit{k}, Horizon: time.Hour}}, make([]backend.Decision, 1)),
			"Hold":    b.Hold(none, "k", time.Hour),
			"Release": b.Release(none, []backend.Limit{k}, 0),
			"Clear":   b.Clear(none),
		} {
			if err == nil || err.Error() != "memory: ctx is nil: must be given, for example context.Background()" {
				t.Errorf("%s() without a context = %v, want an error that says so", name, err)
			}
		}
		opens(t, b, k, slot.Add(time.Second))
	})
}

// Nobody can be told.
func TestWatchOfNil(t *testing.T) {
	defer func() {
		if got := recover(); got != "memory: Watch: f is nil: must be given" {
			t.Errorf("Watch(nil) panics with %v, want that f is nil", got)
		}
	}()
	memory.New(memory.Config{}).Watch(nil)
}

// Too few decisions are a mistake in the program, and cost no limit a slot.
func TestReserveOfTooFewDecisions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, k := memory.New(memory.Config{}), limit("k", every(time.Second))
		defer func() {
			if recover() == nil {
				t.Error("Reserve() of 2 requests with 1 decision does not panic")
			}
			holds(t, b, 0)
		}()
		_ = b.Reserve(t.Context(), []backend.Request{{Limits: []backend.Limit{k}}, {}}, make([]backend.Decision, 1))
	})
}
