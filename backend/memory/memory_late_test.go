package memory

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/backendtest"
	"github.com/freqlimit/dispatcher/gcra"
)

// Traps 4 and 10: who has read the clock and then waits long for a lock comes when
// debt that it has not paid is paid by others' clock, and may be forgotten.
func TestLateRequests(t *testing.T) {
	p := gcra.FreqLimitParams{Limit: 1, Period: 10, Burst: 2}
	crowd := 0
	eachOfMany := func(f func(key string)) {
		for range 100 {
			crowd++
			f(fmt.Sprint("crowd", crowd))
		}
	}
	forget := map[string]func(b *Backend){
		"never":     func(*Backend) {},
		"by sweeps": func(b *Backend) { b.Sweep() },
		"by others": func(b *Backend) {
			eachOfMany(func(key string) { b.decideAt(b.now(), backend.Limit{Key: key, Params: p}) })
		},
		"by holds": func(b *Backend) {
			eachOfMany(func(key string) { _ = b.Hold(t.Context(), key, 1) })
		},
	}
	for name, forget := range forget {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := rand.New(rand.NewPCG(1, 2))
				b := New(Config{})
				slots := map[string][]time.Time{}
				for range 10_000 {
					time.Sleep(time.Duration(r.IntN(30)))
					if r.IntN(10) == 0 {
						forget(b)
					}
					key := []string{"a", "b", "c"}[r.IntN(3)]
					late := b.now() - int64(r.IntN(200))
					if d := b.decideAt(max(0, late), backend.Limit{Key: key, Params: p}); d.Granted {
						slots[key] = append(slots[key], d.Slot)
					}
				}
				for key, slots := range slots {
					if err := backendtest.CheckWindows(slots, p, 0); err != nil || len(slots) < 1000 {
						t.Errorf("%d slots of %q: %v, want many, and nil", len(slots), key, err)
					}
				}
			})
		})
	}
}

// decideAt decides a request under one limit that was made at an instant.
func (b *Backend) decideAt(now int64, l backend.Limit) (d backend.Decision) {
	b.decide(now, &backend.Request{Limits: []backend.Limit{l}}, &d, make([]found, 1))
	return d
}
