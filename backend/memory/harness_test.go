package memory_test

import (
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/memory"
	"github.com/freqlimit/dispatcher/gcra"
)

func limit(key string, p gcra.FreqLimitParams) backend.Limit {
	return backend.Limit{Key: key, Params: p}
}

func every(interval time.Duration) gcra.FreqLimitParams {
	return gcra.FreqLimitParams{Limit: 1, Period: interval}
}

func reserve(t *testing.T, b *memory.Backend, horizon time.Duration, limits ...backend.Limit) backend.Decision {
	t.Helper()
	var d [1]backend.Decision
	reqs := []backend.Request{{Limits: limits, Horizon: horizon}}
	if err := b.Reserve(t.Context(), reqs, d[:]); err != nil {
		t.Fatalf("Reserve(%v) = %v, want nil", limits, err)
	}
	if d[0].Err != nil {
		t.Fatalf("Reserve(%v): Err = %v, want nil", limits, d[0].Err)
	}
	return d[0]
}

// books takes the next slot, however far ahead.
func books(t *testing.T, b *memory.Backend, limits ...backend.Limit) time.Time {
	t.Helper()
	d := reserve(t, b, backend.Unlimited, limits...)
	if !d.Granted {
		t.Fatalf("Reserve(%v) with no horizon = %+v, want it granted", limits, d)
	}
	return d.Slot
}

// opens wants a limit to open at an instant, not before.
func opens(t *testing.T, b *memory.Backend, l backend.Limit, want time.Time) {
	t.Helper()
	if d := reserve(t, b, 0, l); !d.Slot.Equal(want) {
		t.Errorf("slot of key %q = %v, want %v", l.Key, d.Slot, want)
	}
}

func holds(t *testing.T, b *memory.Backend, want int) {
	t.Helper()
	if got := b.Len(); got != want {
		t.Errorf("Len() = %d, want %d", got, want)
	}
}

func sweeps(t *testing.T, b *memory.Backend, want int) {
	t.Helper()
	if got := b.Sweep(); got != want {
		t.Errorf("Sweep() = %d, want %d", got, want)
	}
}
