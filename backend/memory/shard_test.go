package memory

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
)

// Traps 4 and 7 over several locks: many goroutines reserve pairs of limits, in
// either order and in batches. None waits for ever; and since both limits of a
// pair are charged in one step, always together, the slots of each pair are an
// unbroken chain.
func TestPairsInOppositeOrders(t *testing.T) {
	const goroutines, rounds, keys = 8, 200, 24
	p := gcra.FreqLimitParams{Limit: 1, Period: time.Hour}
	b := New(Config{SweepInterval: 100 * time.Microsecond})
	defer b.Close()
	under := func(i int) backend.Limit { return backend.Limit{Key: fmt.Sprint(i), Params: p} }
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex // guards slots
		slots [keys / 2][]int64
	)
	for g := range goroutines {
		wg.Go(func() {
			for round := range rounds {
				reqs, decisions := make([]backend.Request, keys/2), make([]backend.Decision, keys/2)
				for i := range reqs {
					pair := []backend.Limit{under(i), under(keys - 1 - i)}
					if (g+round)%2 == 0 {
						slices.Reverse(pair)
					}
					reqs[i] = backend.Request{Limits: pair, Horizon: backend.Unlimited}
				}
				if err := b.Reserve(t.Context(), reqs, decisions); err != nil {
					t.Errorf("Reserve() = %v, want nil", err)
					return
				}
				mu.Lock()
				for i, d := range decisions {
					slots[i] = append(slots[i], d.Token)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for i, chain := range slots {
		slices.Sort(chain)
		for n, slot := range chain {
			if want := chain[0] + int64(n)*int64(p.Interval()); slot != want {
				t.Fatalf("slot %d of pair %d = %v, want %v", n, i, time.Duration(slot), time.Duration(want))
			}
		}
		if len(chain) != goroutines*rounds {
			t.Errorf("slots of pair %d = %d, want %d", i, len(chain), goroutines*rounds)
		}
	}
}

// No two shards share a cache line or a pair of lines, wherever the first begins.
func TestShardsAreApart(t *testing.T) {
	if size := unsafe.Sizeof(shard{}); size%128 != 0 {
		t.Errorf("a shard has %d bytes, want a multiple of 128", size)
	}
}

// take takes the next slot of a key.
func take(t *testing.T, b *Backend, key string, p gcra.FreqLimitParams) {
	t.Helper()
	reqs := []backend.Request{{Limits: []backend.Limit{{Key: key, Params: p}}, Horizon: backend.Unlimited}}
	if err := b.Reserve(t.Context(), reqs, make([]backend.Decision, 1)); err != nil {
		t.Fatalf("Reserve() = %v, want nil", err)
	}
}
