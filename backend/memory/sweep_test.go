package memory_test

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/memory"
	"github.com/freqlimit/dispatcher/gcra"
)

// Trap 10: ten slots at 1/s; at the TTL, past it and up to the last instant of
// the debt, the debt is there, with or without a sweeper.
func TestIdleTTLKeepsDebt(t *testing.T) {
	for name, cfg := range map[string]memory.Config{
		"no TTL":               {},
		"TTL":                  {IdleTTL: 2 * time.Second},
		"long TTL":             {IdleTTL: time.Hour},
		"TTL and a sweeper":    {IdleTTL: 2 * time.Second, SweepInterval: 100 * time.Millisecond},
		"no TTL and a sweeper": {SweepInterval: 100 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := memory.New(cfg)
				defer b.Close()
				start := time.Now()
				for range 10 {
					books(t, b, limit("k", every(time.Second)))
				}
				paid := start.Add(10 * time.Second)
				for _, at := range []time.Duration{1, 2*time.Second - 1, 2 * time.Second, 2*time.Second + 1, 5 * time.Second, 10*time.Second - 1} {
					time.Sleep(time.Until(start.Add(at)))
					b.Sweep()
					crowd(t, b, 100) // new keys, which pay for dropping old ones
					if d := reserve(t, b, 0, limit("k", every(time.Second))); d.Granted || !d.Slot.Equal(paid) {
						t.Errorf("decision %v after ten slots at 1/s = %+v, want it refused until 10s", at, d)
					}
				}
			})
		})
	}
}

// Trap 10: a hold is kept like debt.
func TestIdleTTLKeepsHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.New(memory.Config{IdleTTL: time.Second, SweepInterval: 100 * time.Millisecond})
		defer b.Close()
		start := time.Now()
		if err := b.Hold(t.Context(), "k", 10*time.Second); err != nil {
			t.Fatalf("Hold() = %v, want nil", err)
		}
		for _, at := range []time.Duration{time.Second, 2 * time.Second, 10*time.Second - 1} {
			time.Sleep(time.Until(start.Add(at)))
			b.Sweep()
			crowd(t, b, 100)
			opens(t, b, limit("k", every(time.Millisecond)), start.Add(10*time.Second))
		}
	})
}

// crowd adds n keys that are new and soon due.
func crowd(t *testing.T, b *memory.Backend, n int) {
	t.Helper()
	for i := range n {
		books(t, b, limit(fmt.Sprint(time.Now().UnixNano(), i), every(1)))
	}
}

// A key goes when its debt is paid, its hold over and its TTL past,
// whichever is last, and not before.
func TestSweepDropsWhatIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.New(memory.Config{IdleTTL: 3 * time.Second})
		start := time.Now()
		for key, interval := range map[string]time.Duration{"1": time.Second, "5": 5 * time.Second, "7": time.Second} {
			books(t, b, limit(key, every(interval)))
		}
		if err := b.Hold(t.Context(), "7", 7*time.Second); err != nil {
			t.Fatalf("Hold() = %v, want nil", err)
		}
		for _, step := range []struct {
			at            time.Duration
			dropped, left int
		}{
			{0, 0, 3},
			{3*time.Second - 1, 0, 3},
			{3 * time.Second, 1, 2}, // the TTL of key 1
			{5*time.Second - 1, 0, 2},
			{5 * time.Second, 1, 1}, // the debt of key 5
			{7*time.Second - 1, 0, 1},
			{7 * time.Second, 1, 0}, // the hold of key 7
		} {
			time.Sleep(time.Until(start.Add(step.at)))
			sweeps(t, b, step.dropped)
			holds(t, b, step.left)
		}
	})
}

// The TTL runs from the latest slot, which may lie ahead.
func TestIdleTTLRunsFromTheLastSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.New(memory.Config{IdleTTL: 3 * time.Second})
		books(t, b, limit("k", every(time.Second)))
		books(t, b, limit("k", every(time.Second)))
		books(t, b, limit("k", every(time.Second))) // at 2 s
		time.Sleep(5*time.Second - 1)
		sweeps(t, b, 0)
		time.Sleep(time.Nanosecond)
		sweeps(t, b, 1)
	})
}

// More keys than a sweep looks at in one go.
func TestSweepManyKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.New(memory.Config{})
		for i := range 5000 {
			books(t, b, limit(fmt.Sprint("short", i), every(time.Second)))
			books(t, b, limit(fmt.Sprint("long", i), every(time.Hour)))
		}
		time.Sleep(time.Second)
		sweeps(t, b, 5000)
		holds(t, b, 5000)
		for i := range 5000 {
			if d := reserve(t, b, 0, limit(fmt.Sprint("long", i), every(time.Hour))); d.Granted {
				t.Fatalf("key long%d after a sweep = %+v, want its debt kept", i, d)
			}
		}
	})
}

// The sweeper drops keys by itself, and Close ends it. A goroutine left behind
// would keep the bubble from ending.
func TestSweeper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.New(memory.Config{SweepInterval: time.Second})
		books(t, b, limit("a", every(1500*time.Millisecond)))
		time.Sleep(1900 * time.Millisecond)
		holds(t, b, 1)
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		holds(t, b, 0)

		for range 2 {
			if err := b.Close(); err != nil {
				t.Errorf("Close() = %v, want nil", err)
			}
		}
		slot := books(t, b, limit("a", every(time.Second))) // it goes on working
		time.Sleep(time.Hour)
		holds(t, b, 1) // but nothing sweeps
		if d := reserve(t, b, 0, limit("a", every(time.Second))); !d.Granted || !d.Slot.After(slot) {
			t.Errorf("Reserve() after Close = %+v, want it granted", d)
		}
	})
}

// Once Close has returned the goroutine is gone, not just about to go.
func TestCloseWaitsForTheSweeper(t *testing.T) {
	for range 50 {
		memory.New(memory.Config{SweepInterval: time.Hour}).Close()
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		if bytes.Contains(stacks, []byte("sweepEvery")) {
			t.Fatalf("goroutines after Close = %s, want no sweeper", stacks)
		}
	}
}

func TestCloseWithoutSweeper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.New(memory.Config{})
		for range 2 {
			if err := b.Close(); err != nil {
				t.Errorf("Close() = %v, want nil", err)
			}
		}
	})
}

// Trap 29, the part of the limits: a million keys that live for a millisecond,
// a hundred of them a millisecond, never take much more than a hundred entries,
// with no sweeper.
func TestMemoryFollowsLiveKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.New(memory.Config{})
		p := every(time.Millisecond)
		reqs := make([]backend.Request, 100)
		for i := range reqs {
			reqs[i].Limits = make([]backend.Limit, 1)
		}
		decisions := make([]backend.Decision, len(reqs))
		most := 0
		for n := 0; n < 1_000_000; n += len(reqs) {
			for i := range reqs {
				reqs[i].Limits[0] = limit(fmt.Sprint(n+i), p)
			}
			if err := b.Reserve(t.Context(), reqs, decisions); err != nil {
				t.Fatal(err)
			}
			most = max(most, b.Len())
			time.Sleep(p.Interval())
		}
		if most > 400 {
			t.Errorf("most keys held = %d, want at most 4 times the 100 live ones", most)
		}
	})
}

// Keys that stay in debt do not hide those that go.
func TestMemoryFollowsLiveKeysAmongLasting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.New(memory.Config{})
		for i := range 1000 {
			books(t, b, limit(fmt.Sprint("lasting", i), every(1000*time.Hour)))
		}
		most := 0
		for i := range 20_000 {
			books(t, b, limit(fmt.Sprint(i), every(time.Millisecond)))
			time.Sleep(100 * time.Microsecond)
			most = max(most, b.Len())
		}
		if most > 2000 {
			t.Errorf("most keys held = %d, want at most twice the 1000 lasting ones", most)
		}
		for i := range 1000 {
			l := limit(fmt.Sprint("lasting", i), every(1000*time.Hour))
			if d := reserve(t, b, 0, l); d.Granted {
				t.Fatalf("key %s = %+v, want its debt kept", l.Key, d)
			}
		}
	})
}

// After a crowd has gone its room is given back, and what was in debt then is
// still in debt.
func TestCrowdComesAndGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.New(memory.Config{})
		p := gcra.FreqLimitParams{Limit: 1, Period: time.Hour, Burst: 2}
		for range 3 {
			for i := range 50_000 {
				books(t, b, limit(fmt.Sprint(i), every(time.Second)))
			}
			first := books(t, b, limit("kept", p), limit("kept too", p))
			time.Sleep(time.Second)
			sweeps(t, b, 50_000)
			crowd(t, b, 100)
			time.Sleep(time.Second)
			b.Sweep()
			holds(t, b, 2)
			books(t, b, limit("kept", p))
			opens(t, b, limit("kept", p), first.Add(time.Hour))
			time.Sleep(3 * time.Hour)
			sweeps(t, b, 2)
		}
	})
}
