package memory_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/backendtest"
	"github.com/freqlimit/dispatcher/backend/memory"
	"github.com/freqlimit/dispatcher/gcra"
)

func TestNewPanicsOnNegativeDurations(t *testing.T) {
	for field, cfg := range map[string]memory.Config{
		"IdleTTL":       {IdleTTL: -1},
		"SweepInterval": {SweepInterval: -time.Second},
	} {
		func() {
			defer func() {
				if got := fmt.Sprint(recover()); !strings.Contains(got, "Config."+field) {
					t.Errorf("New(%+v) panics with %q, want Config.%s named", cfg, got, field)
				}
			}()
			memory.New(cfg)
		}()
	}
}

// In one process slots are exact: a chain is spaced by the interval to the
// nanosecond, and a slot granted at once is the present instant.
func TestExactSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.New(memory.Config{})
		time.Sleep(12345 * time.Nanosecond)
		p := gcra.FreqLimitParams{Limit: 30, Period: time.Second, Burst: 1}
		start := time.Now()
		for i := range 100 {
			want := start.Add(time.Duration(i) * p.Interval())
			if got := books(t, b, limit("k", p)); !got.Equal(want) {
				t.Fatalf("slot %d = %v, want %v", i, got, want)
			}
		}
	})
}

// Guarantee 1 and the horizon, to the nanosecond.
func TestHorizonIsInclusive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.New(memory.Config{})
		l := limit("k", every(time.Second))
		start := books(t, b, l)
		if d := reserve(t, b, time.Second-1, l); d.Granted {
			t.Errorf("Reserve() with a horizon 1ns short = %+v, want it refused", d)
		}
		if d := reserve(t, b, time.Second, l); !d.Granted || !d.Slot.Equal(start.Add(time.Second)) {
			t.Errorf("Reserve() with the very horizon = %+v, want it granted", d)
		}
		time.Sleep(2*time.Second - 1)
		if d := reserve(t, b, 0, l); d.Granted {
			t.Errorf("Reserve() 1ns early = %+v, want it refused", d)
		}
		time.Sleep(time.Nanosecond)
		if d := reserve(t, b, 0, l); !d.Granted {
			t.Errorf("Reserve() in time = %+v, want it granted", d)
		}
	})
}

// Trap 2: intervals of a microsecond and of a nanosecond, and of a day.
func TestExtremeRates(t *testing.T) {
	for _, p := range []gcra.FreqLimitParams{
		{Limit: 1_000_000, Period: time.Second},
		{Limit: 1_000_000_000, Period: time.Second},
		{Limit: 1_000_000_000, Period: time.Second, Burst: 1000},
		{Limit: 3_000_000, Period: time.Second, Burst: 10},
		{Limit: 1, Period: 24 * time.Hour},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := memory.New(memory.Config{})
			var slots []time.Time
			for range 3000 {
				slots = append(slots, books(t, b, limit("k", p)))
			}
			if err := backendtest.CheckWindows(slots, p, 0); err != nil {
				t.Error(err)
			}
			took := slots[len(slots)-1].Sub(slots[0])
			if want := time.Duration(3000-max(p.Burst, 1)) * p.Interval(); took != want {
				t.Errorf("3000 slots under %v take %v, want %v", p, took, want)
			}
		})
	}
}

// Trap 5: the machine's clock can't be set from a test, so this checks what the
// backend stands on. Its slots bear a monotonic reading (Round(0) would strip
// it), so that comparing one with time.Now does not look at the wall clock; and
// the distance of a slot from one before, measured on the monotonic clock, is
// the same as on the wall clock it shows.
func TestSlotsAreMonotonic(t *testing.T) {
	b := memory.New(memory.Config{})
	l := limit("k", every(time.Hour))
	first, second := books(t, b, l), books(t, b, l)
	for _, slot := range []time.Time{first, second} {
		if slot == slot.Round(0) {
			t.Errorf("slot = %v, want it with a monotonic reading", slot)
		}
	}
	if got := second.Sub(first); got != time.Hour {
		t.Errorf("distance of two slots = %v, want 1h", got)
	}
	if got := second.Round(0).Sub(first.Round(0)); got != time.Hour {
		t.Errorf("distance of two slots on the wall clock = %v, want 1h", got)
	}
}

// Trap 9: a raised limit opens at the slot that a refusal named, however often
// it is asked meanwhile.
func TestRaisedLimitOpensWhenItSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.New(memory.Config{})
		start := books(t, b, limit("k", every(24*time.Hour)))
		time.Sleep(time.Hour)
		fast := limit("k", gcra.FreqLimitParams{Limit: 30, Period: time.Second})
		slot := reserve(t, b, 0, fast).Slot
		if wait := time.Until(slot); wait <= 0 || wait > fast.Params.Interval() {
			t.Errorf("wait %v after the start = %v, want at most an interval", time.Since(start), wait)
		}
		for range 10 {
			time.Sleep(fast.Params.Interval() / 20)
			opens(t, b, fast, slot)
		}
		time.Sleep(time.Until(slot))
		if d := reserve(t, b, 0, fast); !d.Granted || !d.Slot.Equal(slot) {
			t.Errorf("Reserve() at the slot of a raised limit = %+v, want it granted", d)
		}
	})
}

// Trap 9: a waiter that asks a lowered limit again and again gets no burst.
func TestLoweredLimitGivesNoBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.New(memory.Config{})
		fast := limit("k", gcra.FreqLimitParams{Limit: 30, Period: time.Second, Burst: 30})
		slow := limit("k", gcra.FreqLimitParams{Limit: 1, Period: time.Second, Burst: 30})
		start := time.Now()
		for range 30 {
			books(t, b, fast)
		}
		var granted []time.Duration
		for time.Since(start) < 5*time.Second {
			if d := reserve(t, b, 0, slow); d.Granted {
				granted = append(granted, time.Since(start))
			}
			time.Sleep(50 * time.Millisecond)
		}
		if want := "[1s 2s 3s 4s]"; fmt.Sprint(granted) != want {
			t.Errorf("granted after the limit was lowered = %v, want %v", granted, want)
		}
	})
}

func TestReserveAllocatesNothing(t *testing.T) {
	b := memory.New(memory.Config{})
	p := gcra.FreqLimitParams{Limit: 1_000_000, Period: time.Second, Burst: 1000}
	reqs := []backend.Request{
		{Limits: []backend.Limit{limit("a", p)}, Horizon: backend.Unlimited},
		{Limits: []backend.Limit{limit("a", p), limit("b", p), limit("", p)}, Horizon: time.Millisecond},
		{},
		{Horizon: time.Millisecond},
	}
	for i := range 30 {
		reqs[3].Limits = append(reqs[3].Limits, limit(fmt.Sprint(i), p))
	}
	books(t, b, reqs[1].Limits...)
	books(t, b, reqs[3].Limits...)
	if err := b.Hold(t.Context(), "a", time.Hour); err != nil { // so that it is not dropped
		t.Fatal(err)
	}
	for _, l := range append(reqs[3].Limits, limit("b", p)) {
		if err := b.Hold(t.Context(), l.Key, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	ctx, decisions := t.Context(), make([]backend.Decision, len(reqs))
	n := testing.AllocsPerRun(1000, func() {
		if err := b.Reserve(ctx, reqs, decisions); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("allocations of Reserve() on known keys = %v, want 0", n)
	}
}

// For the race detector: every method at once. What was granted obeys the bound
// (traps 4, 13): nothing is released or cleared in between.
func TestEverythingAtOnce(t *testing.T) {
	b := memory.New(memory.Config{SweepInterval: 100 * time.Microsecond})
	defer b.Close()
	p := gcra.FreqLimitParams{Limit: 100_000, Period: time.Second, Burst: 10}
	short := every(time.Microsecond)
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex // guards slots
		slots []time.Time
	)
	for g := range 8 {
		wg.Go(func() {
			for i := range 500 {
				slot := books(t, b, limit("shared", p), limit(fmt.Sprint(g, i), short))
				mu.Lock()
				slots = append(slots, slot)
				mu.Unlock()
				reserve(t, b, time.Millisecond, limit(fmt.Sprint("own", g), p), limit("seldom", every(time.Second)))
				switch i % 50 {
				case 10:
					b.Sweep()
				case 20:
					b.Len()
				case 30:
					_ = b.Hold(t.Context(), fmt.Sprint("own", g), time.Millisecond)
				case 40:
					own := limit(fmt.Sprint("released", g), p)
					_ = b.Release(t.Context(), []backend.Limit{own}, reserve(t, b, backend.Unlimited, own).Token)
				}
			}
		})
	}
	wg.Wait()
	if len(slots) != 8*500 {
		t.Errorf("slots = %d, want %d", len(slots), 8*500)
	}
	if err := backendtest.CheckWindows(slots, p, 0); err != nil {
		t.Error(err)
	}
}

// Clear may come at any moment too.
func TestClearMeanwhile(t *testing.T) {
	b := memory.New(memory.Config{})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 500 {
				l := limit(fmt.Sprint(i%7), every(time.Hour))
				switch {
				case g == 0:
					_ = b.Clear(t.Context())
				case g == 1:
					b.Sweep()
				default:
					_ = b.Release(t.Context(), []backend.Limit{l}, reserve(t, b, backend.Unlimited, l).Token)
				}
			}
		})
	}
	wg.Wait()
	if err := b.Clear(t.Context()); err != nil {
		t.Fatalf("Clear() = %v, want nil", err)
	}
	holds(t, b, 0)
}
