package gcra

import (
	"errors"
	"fmt"
	"math/bits"
	"sort"
	"time"
)

// MaxSpan is the longest time that Burst intervals of a limit may take, and how far ahead a
// slot may be taken: 100 years of 365 days. Within it no sum of instants overflows int64
// nanoseconds.
const MaxSpan = 100 * 365 * 24 * time.Hour

// ErrParams is matched, through [errors.Is], by every error that
// [FreqLimitParams.Validate] returns.
var ErrParams = errors.New("gcra: invalid params")

// ErrCost is matched, through [errors.Is], by every error that
// [FreqLimitParams.ValidateCost] returns.
var ErrCost = errors.New("gcra: invalid cost")

// ParamError says which field of a [FreqLimitParams] is wrong, and why.
type ParamError struct {
	Field  string // "Limit", "Period" or "Burst"
	Value  any    // the offending value, of the field's type
	Reason string // what the value must be
}

// Error implements error.
func (e *ParamError) Error() string {
	return fmt.Sprintf("gcra: %s is %v: %s", e.Field, e.Value, e.Reason)
}

// Is reports whether target is [ErrParams].
func (e *ParamError) Is(target error) bool { return target == ErrParams }

// CostError says that an event can never be allowed because of its cost.
type CostError struct {
	Cost  int // the offending cost
	Burst int // the most that one event may cost
}

// Error implements error.
func (e *CostError) Error() string {
	return fmt.Sprintf("gcra: Cost is %d: must be from 1 to the limit's Burst, %d", e.Cost, e.Burst)
}

// Is reports whether target is [ErrCost].
func (e *CostError) Is(target error) bool { return target == ErrCost }

// FreqLimitParams is a rate limit: Limit events per Period, of which Burst may
// happen at once. The zero value is not valid. Params are comparable with ==;
// a Burst of 0 and of 1 mean the same but do not compare equal.
type FreqLimitParams struct {
	// Limit is how many events are allowed per Period, in the long run. At
	// least 1, and at most one per nanosecond.
	Limit int

	// Period is the time over which Limit counts. At least one nanosecond.
	Period time.Duration

	// Burst is how many events may happen at one instant after a rest. Zero
	// means 1: events are evenly spaced. Burst is on top of the steady rate:
	// see [FreqLimitParams.Strict].
	Burst int
}

// Validate returns nil, or a [*ParamError] that names the first field that is
// wrong. It matches [ErrParams].
func (p FreqLimitParams) Validate() error {
	if p.plainlyValid() {
		return nil
	}
	switch {
	case p.Limit < 1:
		return &ParamError{"Limit", p.Limit, "must be at least 1"}
	case p.Period < 1:
		return &ParamError{"Period", p.Period, "must be at least 1ns"}
	case int64(p.Limit) > int64(p.Period):
		return &ParamError{"Limit", p.Limit, fmt.Sprintf(
			"must be at most one per nanosecond of Period, %d", int64(p.Period))}
	case p.Burst < 0:
		return &ParamError{"Burst", p.Burst, "must be at least 1, or 0 which means 1"}
	}
	if most := int64(MaxSpan) / int64(p.Interval()); int64(p.burst()) > most {
		if most == 0 {
			return &ParamError{"Period", p.Period, fmt.Sprintf(
				"must be at most %v times Limit", MaxSpan)}
		}
		return &ParamError{"Burst", p.Burst, fmt.Sprintf(
			"must be at most %d, so that Burst intervals take no more than 100 years", most)}
	}
	return nil
}

// plainlyValid reports whether params are certainly valid: Burst times Period does not exceed
// [MaxSpan]. It avoids a division, which is slow. If it returns false, params may still be
// valid.
func (p FreqLimitParams) plainlyValid() bool {
	if p.Limit < 1 || int64(p.Limit) > int64(p.Period) || p.Burst < 0 {
		return false
	}
	hi, lo := bits.Mul64(uint64(p.Period), uint64(p.burst()))
	return hi == 0 && lo <= uint64(MaxSpan)
}

// ValidateCost returns nil if one event may cost that many units of the limit,
// else a [*CostError], which matches [ErrCost]. The params must be valid.
func (p FreqLimitParams) ValidateCost(cost int) error {
	if cost < 1 || cost > p.burst() {
		return &CostError{Cost: cost, Burst: p.burst()}
	}
	return nil
}

// Interval is T, the time between two events at the limit's rate:
// Period / Limit, rounded up to a nanosecond. It is 0 if Limit is below 1.
func (p FreqLimitParams) Interval() time.Duration {
	if p.Limit < 1 {
		return 0
	}
	limit := time.Duration(p.Limit)
	interval := p.Period / limit
	if p.Period%limit > 0 {
		interval++
	}
	return interval
}

// Tau is how far ahead of an even pace events may run: (Burst-1) * T.
func (p FreqLimitParams) Tau() time.Duration {
	return time.Duration(p.burst()-1) * p.Interval()
}

// Strict returns params with the same Period and, where possible, the same Burst
// (0 becomes 1) under which no half-open window of Period, wherever it begins, ever
// holds more than Limit events. Use it for a server that counts events in a sliding
// window.
//
// Plain GCRA lets a full burst and the steady rate through: 20 per minute with
// Burst 20 admits 20 events at once and one more every 3 s, 39 in the first
// minute. Strict pays for the burst with the rate, Limit - Burst + 1 per
// Period: for 20 per minute it leaves 20 per minute at Burst 1, 16 at Burst 5,
// 11 at Burst 10 and 1 at Burst 20.
//
// A Burst above Limit is cut to Limit, and further where the lower rate would make
// Burst intervals longer than [MaxSpan]. So Strict of valid params is valid. Params that
// are not valid stay as they are, for [FreqLimitParams.Validate] to refuse.
func (p FreqLimitParams) Strict() FreqLimitParams {
	if p.Validate() != nil {
		return p
	}
	of := func(burst int) FreqLimitParams {
		return FreqLimitParams{Limit: p.Limit - burst + 1, Period: p.Period, Burst: burst}
	}
	// Intervals grow with the burst. So if a burst is too large, all larger ones are too.
	tooLarge := sort.Search(min(p.burst(), p.Limit), func(i int) bool { return of(i+1).Validate() != nil }) + 1
	return of(tooLarge - 1)
}

// String describes the limit, as in "30/1s burst 5".
func (p FreqLimitParams) String() string {
	return fmt.Sprintf("%d/%v burst %d", p.Limit, p.Period, p.burst())
}

// burst is Burst with its default applied.
func (p FreqLimitParams) burst() int {
	if p.Burst == 0 {
		return 1
	}
	return p.Burst
}
