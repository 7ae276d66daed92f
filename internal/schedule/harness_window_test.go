package schedule

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
)

// charge is one event of a limit, of some cost.
type charge struct {
	slot int64
	cost int
}

// checkWindows is the oracle of trap 13: in every half-open window W at most
// Burst - 1 + ceil(W/T) units.
//
// The shortest window that holds units i to j of the sorted ones is one
// nanosecond longer than d = slot[j] - slot[i], and ceil((d+1)/T) is
// floor(d/T) + 1. So what has to hold for all pairs is
//
//	j - i + 1 <= Burst + floor(d/T), or slot[j] - slot[i] >= (j-i+1-Burst) * T.
//
// Burst 1 makes that a gap of T between neighbours. In general, with the unit i
// put at slot[i] - i*T, no unit may be more than (Burst-1)*T before the latest
// of those ahead of it; one pass over the units tells.
func checkWindows(charges []charge, p gcra.FreqLimitParams) error {
	slices.SortFunc(charges, func(a, b charge) int { return cmp.Compare(a.slot, b.slot) })
	interval, burst := int64(p.Interval()), int64(max(p.Burst, 1))
	var units, latest, from int64
	for _, c := range charges {
		for range c.cost {
			place := c.slot - units*interval
			if units == 0 || place > latest {
				latest, from = place, c.slot
			}
			if place < latest-(burst-1)*interval {
				return fmt.Errorf("too many units from %v to %v, both included, under %v",
					time.Duration(from), time.Duration(c.slot), p)
			}
			units++
		}
	}
	return nil
}

// checkLimits is checkWindows on every limit that the starts were under. The
// params of a limit must be the same throughout.
func checkLimits(starts []started) error {
	charges := map[string][]charge{}
	params := map[string]gcra.FreqLimitParams{}
	for _, s := range starts {
		for _, l := range s.limits {
			charges[l.Key] = append(charges[l.Key], charge{s.slot, l.Units()})
			params[l.Key] = l.Params
		}
	}
	for key, charges := range charges {
		if err := checkWindows(charges, params[key]); err != nil {
			return fmt.Errorf("limit %q: %w", key, err)
		}
	}
	return nil
}

// wantWindows fails the test if any limit was exceeded in any window.
func (w *world) wantWindows() {
	w.tb.Helper()
	if err := checkLimits(w.starts); err != nil {
		w.tb.Error(err)
	}
}

// The one pass says what trying all pairs says.
func TestCheckWindowsAgreesWithAllPairs(t *testing.T) {
	allPairs := func(slots []int64, p gcra.FreqLimitParams) bool {
		interval, burst := int64(p.Interval()), int64(max(p.Burst, 1))
		for i := range slots {
			for j := i; j < len(slots); j++ {
				window := slots[j] - slots[i] + 1
				if int64(j-i+1) > burst-1+(window+interval-1)/interval {
					return false
				}
			}
		}
		return true
	}
	checkSome(t, func(t *rapidT) {
		p := gcra.FreqLimitParams{Limit: 1, Period: time.Duration(span(t, "interval", 1, 5)), Burst: span(t, "burst", 0, 3)}
		var slots []int64
		var charges []charge
		at := int64(0)
		for range span(t, "slots", 0, 10) {
			at += int64(span(t, "gap", 0, 7))
			slots = append(slots, at)
			charges = append(charges, charge{at, 1})
		}
		if err, want := checkWindows(charges, p), allPairs(slots, p); (err == nil) != want {
			t.Fatalf("checkWindows(%v, %v) = %v, want it to be nil: %v", slots, p, err, want)
		}
	})
}

// One nanosecond early is caught, at whatever distance.
func TestCheckWindowsSeesOneTooMany(t *testing.T) {
	p := rate(10, time.Second, 3)
	slots := []charge{{0, 1}, {0, 1}, {0, 1}, {100 * ms, 1}, {200 * ms, 1}, {300 * ms, 1}}
	if err := checkWindows(slots, p); err != nil {
		t.Errorf("checkWindows(a burst and the rate) = %v, want nil", err)
	}
	slots[5].slot--
	if checkWindows(slots, p) == nil {
		t.Error("checkWindows(the last slot 1ns early) = nil, want an error")
	}
	if checkWindows([]charge{{0, 2}, {50 * ms, 2}}, p) == nil {
		t.Error("checkWindows(four units in 50 ms) = nil, want an error")
	}
	if checkLimits([]started{
		{slot: 5, limits: []backend.Limit{limitOn("a", rate(1, 10, 1))}},
		{slot: 14, limits: []backend.Limit{limitOn("a", rate(1, 10, 1))}},
	}) == nil {
		t.Error("checkLimits(two slots in 10ns at 1/10ns) = nil, want an error")
	}
}
