package backendtest

import (
	"fmt"
	"slices"
	"time"

	"github.com/freqlimit/dispatcher/gcra"
)

// CheckWindows returns nil if the slots obey a limit: every half-open window W holds at most
// Burst - 1 + ceil(W/T) of them. Otherwise it returns an error that names a window with more.
// The order of the slots does not matter. A slot that cost n units has to be given n times.
//
// The distance of two slots may be wrong by slack, for example because they were converted from
// another clock: see [Tolerance]. For exact slots slack is 0.
//
// It takes O(n log n) time: n slots from first to last, d apart, lie in a window
// that is a nanosecond longer than d, for which the bound says
//
//	n <= Burst - 1 + floor(d/T) + 1, so d >= (n - Burst) * T
//
// For each last slot it is enough to look at the first slot that asks for most.
func CheckWindows(slots []time.Time, p gcra.FreqLimitParams, slack time.Duration) error {
	if err := p.Validate(); err != nil {
		return err
	}
	slots = slices.SortedFunc(slices.Values(slots), time.Time.Compare)
	interval := p.Interval()
	// Of all slots i so far, slots[i] + (last-i)*T is the latest for first, and
	// (last-first)*T is pace: distances only, so that no sum overflows.
	first, pace := 0, -interval
	for last, slot := range slots {
		pace += interval
		passed := slot.Sub(slots[first])
		if least := pace - p.Tau(); passed+slack < least {
			return fmt.Errorf("%d slots within %v, from %v to %v: want them at least %v apart under %v",
				last-first+1, passed, slots[first], slot, least, p)
		}
		if passed >= pace {
			first, pace = last, 0
		}
	}
	return nil
}
