package gcra_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/freqlimit/dispatcher/gcra"
)

// greedy takes n slots of cost 1 as early as they come, from now on.
func greedy(p gcra.FreqLimitParams, now int64, n int) []int64 {
	var s gcra.State
	slots := make([]int64, n)
	for i := range slots {
		slots[i] = s.Slot(now, p, 1)
		s = s.Charge(slots[i], p, 1)
	}
	return slots
}

// mostIn returns the most slots that any half-open window of the given length
// holds. It is enough to try the windows that begin at a slot.
func mostIn(slots []int64, window int64) int {
	slots = slices.Sorted(slices.Values(slots))
	most, end := 0, 0
	for begin := range slots {
		for end < len(slots) && slots[end]-slots[begin] < window {
			end++
		}
		most = max(most, end-begin)
	}
	return most
}

// checkWindows is the oracle of trap 13 in its plainest form: every window that
// begins at a slot and ends just after another.
func checkWindows(slots []int64, p gcra.FreqLimitParams) error {
	slots = slices.Sorted(slices.Values(slots))
	interval, burst := int64(p.Interval()), int64(max(p.Burst, 1))
	for i := range slots {
		for j := i; j < len(slots); j++ {
			window := slots[j] - slots[i] + 1
			most := burst - 1 + (window+interval-1)/interval
			if n := int64(j - i + 1); n > most {
				return fmt.Errorf("%d slots in the window of %dns from %d on, want at most %d under %v",
					n, window, slots[i], most, p)
			}
		}
	}
	return nil
}

// drawParams draws valid params with small numbers, so that slots meet.
func drawParams(t *rapid.T) gcra.FreqLimitParams {
	return gcra.FreqLimitParams{
		Limit:  rapid.IntRange(1, 20).Draw(t, "limit"),
		Period: time.Duration(rapid.Int64Range(20, 1000).Draw(t, "period")),
		Burst:  rapid.IntRange(0, 8).Draw(t, "burst"),
	}
}

// Traps 4 and 13: however now jumps, and whatever the costs, the slots that are
// given out obey the sliding-window bound, and TAT never moves back.
func TestWindowsWithWildClock(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawParams(t)
		var (
			s     gcra.State
			slots []int64
		)
		for range 40 {
			now := rapid.Int64Range(0, 4000).Draw(t, "now")
			cost := rapid.IntRange(1, max(p.Burst, 1)).Draw(t, "cost")
			slot := s.Slot(now, p, cost)
			if slot < now {
				t.Fatalf("Slot(%d) = %d, want no earlier than now", now, slot)
			}
			before := s
			if s = s.Charge(slot, p, cost); s.TAT <= before.TAT || s.Last < before.Last {
				t.Fatalf("%+v.Charge(%d) = %+v, want TAT and Last never to move back", before, slot, s)
			}
			for range cost {
				slots = append(slots, slot)
			}
		}
		if err := checkWindows(slots, p); err != nil {
			t.Fatal(err)
		}
	})
}

// Trap 13: slots that are later than they had to be, and in any order, as when
// another limit of the request binds, obey the bound too.
func TestWindowsWithLateSlots(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawParams(t)
		var (
			s     gcra.State
			slots []int64
		)
		for range 40 {
			now := rapid.Int64Range(0, 4000).Draw(t, "now")
			slot := s.Slot(now, p, 1) + rapid.Int64Range(0, 500).Draw(t, "late")
			s = s.Charge(slot, p, 1)
			slots = append(slots, slot)
		}
		if err := checkWindows(slots, p); err != nil {
			t.Fatal(err)
		}
	})
}

// The oracle itself is not blind: one event more is caught.
func TestOracleSeesOneTooMany(t *testing.T) {
	p := gcra.FreqLimitParams{Limit: 30, Period: time.Second, Burst: 5}
	slots := greedy(p, 0, 50)
	if err := checkWindows(slots, p); err != nil {
		t.Errorf("checkWindows(greedy slots) = %v, want nil", err)
	}
	for i := range slots {
		if err := checkWindows(append(slices.Clone(slots), slots[i]), p); err == nil {
			t.Errorf("checkWindows(greedy slots and slot %d again) = nil, want an error", i)
		}
	}
	slots[len(slots)-1]--
	if err := checkWindows(slots, p); err == nil {
		t.Error("checkWindows(the last slot 1ns early) = nil, want an error")
	}
}
