package gcra_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/freqlimit/dispatcher/gcra"
)

const day = 24 * time.Hour

func TestValidateAccepts(t *testing.T) {
	for _, p := range []gcra.FreqLimitParams{
		{Limit: 1, Period: 1},
		{Limit: 1, Period: time.Second},
		{Limit: 1, Period: time.Second, Burst: 1},
		{Limit: 30, Period: time.Second, Burst: 30},
		{Limit: 20, Period: time.Minute, Burst: 100},
		{Limit: 1, Period: day},                       // trap 2: a low rate
		{Limit: 1_000_000, Period: time.Second},       // trap 2: a high rate
		{Limit: 1_000_000_000, Period: time.Second},   // trap 2: one per nanosecond
		{Limit: 1, Period: gcra.MaxSpan},              // the longest interval
		{Limit: 100, Period: gcra.MaxSpan, Burst: 50}, // a long one with a burst
		{Limit: 1, Period: 10 * time.Second, Burst: 315_360_000},
		{Limit: 1, Period: 1, Burst: int(min(math.MaxInt, int64(gcra.MaxSpan)))},
		{Limit: math.MaxInt, Period: math.MaxInt64},
	} {
		if err := p.Validate(); err != nil {
			t.Errorf("%+v.Validate() = %v, want nil", p, err)
		}
	}
}

// Each error names the field and its value, and matches both ErrParams and
// ParamError.
func TestValidateRefuses(t *testing.T) {
	for _, c := range []struct {
		params gcra.FreqLimitParams
		field  string
		value  any
		reason string // a part of it
	}{
		{gcra.FreqLimitParams{}, "Limit", 0, "at least 1"},
		{gcra.FreqLimitParams{Period: time.Second}, "Limit", 0, "at least 1"},
		{gcra.FreqLimitParams{Limit: -1, Period: time.Second}, "Limit", -1, "at least 1"},
		{gcra.FreqLimitParams{Limit: math.MinInt, Period: time.Second}, "Limit", math.MinInt, "at least 1"},
		{gcra.FreqLimitParams{Limit: 1}, "Period", time.Duration(0), "at least 1ns"},
		{gcra.FreqLimitParams{Limit: 1, Period: -time.Second}, "Period", -time.Second, "at least 1ns"},
		// Trap 2: an interval that would round to nothing.
		{gcra.FreqLimitParams{Limit: 1_000_000_001, Period: time.Second}, "Limit", 1_000_000_001, "one per nanosecond"},
		{gcra.FreqLimitParams{Limit: math.MaxInt, Period: time.Second}, "Limit", math.MaxInt, "one per nanosecond"},
		{gcra.FreqLimitParams{Limit: 1, Period: time.Second, Burst: -1}, "Burst", -1, "0 which means 1"},
		{gcra.FreqLimitParams{Limit: 1, Period: time.Second, Burst: math.MinInt}, "Burst", math.MinInt, "0 which means 1"},
		// Trap 2: what would overflow.
		{gcra.FreqLimitParams{Limit: 1, Period: 10 * time.Second, Burst: 315_360_001}, "Burst", 315_360_001, "at most 315360000,"},
		{gcra.FreqLimitParams{Limit: 1, Period: 10 * time.Second, Burst: math.MaxInt}, "Burst", math.MaxInt, "at most 315360000,"},
		{gcra.FreqLimitParams{Limit: 1, Period: 1 << 32, Burst: int(min(math.MaxInt, int64(1<<32)))}, "Burst", int(min(math.MaxInt, int64(1<<32))), "at most 734254717,"},
		{gcra.FreqLimitParams{Limit: 1, Period: gcra.MaxSpan, Burst: 2}, "Burst", 2, "at most 1,"},
		{gcra.FreqLimitParams{Limit: 1, Period: gcra.MaxSpan + 1}, "Period", gcra.MaxSpan + 1, "times Limit"},
		{gcra.FreqLimitParams{Limit: 2, Period: math.MaxInt64}, "Period", time.Duration(math.MaxInt64), "times Limit"},
	} {
		err := c.params.Validate()
		if !errors.Is(err, gcra.ErrParams) {
			t.Errorf("%+v.Validate() = %v, want an error that is ErrParams", c.params, err)
			continue
		}
		if errors.Is(err, gcra.ErrCost) {
			t.Errorf("%+v.Validate() = %v, want an error that is not ErrCost", c.params, err)
		}
		var wrong *gcra.ParamError
		if !errors.As(err, &wrong) {
			t.Errorf("%+v.Validate() = %T, want a *ParamError", c.params, err)
			continue
		}
		if wrong.Field != c.field || wrong.Value != c.value || !strings.Contains(wrong.Reason, c.reason) {
			t.Errorf("%+v.Validate() = %+v, want Field %s, Value %v, a Reason with %q",
				c.params, *wrong, c.field, c.value, c.reason)
		}
		if want := fmt.Sprintf("gcra: %s is %v: ", c.field, c.value); !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%+v.Validate() = %q, want it to begin with %q", c.params, err, want)
		}
	}
}

// Trap 6: a cost above Burst can never be allowed, which is an error at once.
func TestValidateCost(t *testing.T) {
	for _, c := range []struct {
		burst, cost int
		ok          bool
	}{
		{burst: 0, cost: 1, ok: true}, // Burst 0 means 1
		{burst: 0, cost: 2},
		{burst: 1, cost: 1, ok: true},
		{burst: 5, cost: 5, ok: true},
		{burst: 5, cost: 6},
		{burst: 5, cost: 0},
		{burst: 5, cost: -1},
		{burst: 5, cost: math.MaxInt},
	} {
		p := gcra.FreqLimitParams{Limit: 5, Period: time.Second, Burst: c.burst}
		err := p.ValidateCost(c.cost)
		if c.ok {
			if err != nil {
				t.Errorf("%v.ValidateCost(%d) = %v, want nil", p, c.cost, err)
			}
			continue
		}
		var wrong *gcra.CostError
		if !errors.Is(err, gcra.ErrCost) || !errors.As(err, &wrong) {
			t.Errorf("%v.ValidateCost(%d) = %v, want a *CostError that is ErrCost", p, c.cost, err)
			continue
		}
		if want := (gcra.CostError{Cost: c.cost, Burst: max(c.burst, 1)}); *wrong != want {
			t.Errorf("%v.ValidateCost(%d) = %+v, want %+v", p, c.cost, *wrong, want)
		}
		if !strings.Contains(err.Error(), fmt.Sprintf("Cost is %d:", c.cost)) {
			t.Errorf("%v.ValidateCost(%d) = %q, want the cost in it", p, c.cost, err)
		}
	}
}

// Trap 2: intervals are rounded up and never 0.
func TestIntervalAndTau(t *testing.T) {
	for _, c := range []struct {
		params        gcra.FreqLimitParams
		interval, tau time.Duration
	}{
		{gcra.FreqLimitParams{Limit: 1, Period: time.Second}, time.Second, 0},
		{gcra.FreqLimitParams{Limit: 1, Period: time.Second, Burst: 1}, time.Second, 0},
		{gcra.FreqLimitParams{Limit: 30, Period: time.Second, Burst: 30}, 33_333_334, 29 * 33_333_334},
		{gcra.FreqLimitParams{Limit: 20, Period: time.Minute, Burst: 20}, 3 * time.Second, 57 * time.Second},
		{gcra.FreqLimitParams{Limit: 7, Period: time.Second, Burst: 2}, 142_857_143, 142_857_143},
		{gcra.FreqLimitParams{Limit: 1, Period: day, Burst: 2}, day, day},
		{gcra.FreqLimitParams{Limit: 1_000_000, Period: time.Second, Burst: 11}, time.Microsecond, 10 * time.Microsecond},
		{gcra.FreqLimitParams{Limit: 999_999_999, Period: time.Second}, 2, 0},
		{gcra.FreqLimitParams{Limit: 1_000_000_000, Period: time.Second, Burst: 3}, 1, 2},
		{gcra.FreqLimitParams{Limit: math.MaxInt, Period: math.MaxInt}, 1, 0},
		{gcra.FreqLimitParams{Limit: math.MaxInt32, Period: math.MaxInt64}, 1<<32 + 3, 0},
		{gcra.FreqLimitParams{Limit: 2, Period: math.MaxInt64}, math.MaxInt64/2 + 1, 0},
		{gcra.FreqLimitParams{Limit: 0, Period: time.Second}, 0, 0}, // not valid, but no panic
	} {
		if got := c.params.Interval(); got != c.interval {
			t.Errorf("%+v.Interval() = %d, want %d", c.params, got, c.interval)
		}
		if got := c.params.Tau(); got != c.tau {
			t.Errorf("%+v.Tau() = %d, want %d", c.params, got, c.tau)
		}
	}
}

func TestString(t *testing.T) {
	for _, c := range []struct {
		params gcra.FreqLimitParams
		want   string
	}{
		{gcra.FreqLimitParams{Limit: 30, Period: time.Second, Burst: 5}, "30/1s burst 5"},
		{gcra.FreqLimitParams{Limit: 20, Period: time.Minute}, "20/1m0s burst 1"},
	} {
		if got := c.params.String(); got != c.want {
			t.Errorf("%+v.String() = %q, want %q", c.params, got, c.want)
		}
	}
}

func TestStrict(t *testing.T) {
	perMinute := func(limit, burst int) gcra.FreqLimitParams {
		return gcra.FreqLimitParams{Limit: limit, Period: time.Minute, Burst: burst}
	}
	for _, c := range []struct{ params, want gcra.FreqLimitParams }{
		{perMinute(20, 0), perMinute(20, 1)},
		{perMinute(20, 1), perMinute(20, 1)},
		{perMinute(20, 5), perMinute(16, 5)},
		{perMinute(20, 10), perMinute(11, 10)},
		{perMinute(20, 20), perMinute(1, 20)},
		{perMinute(20, 50), perMinute(1, 20)}, // a burst above the limit is cut
		{perMinute(1, 1), perMinute(1, 1)},
		{perMinute(0, 0), perMinute(0, 0)}, // still not valid
		{perMinute(-3, -3), perMinute(-3, -3)},
		{perMinute(5, -3), perMinute(5, -3)},
		// Burst intervals of 1 in 50 years would take 5,000 years.
		{
			gcra.FreqLimitParams{Limit: 100, Period: 50 * 365 * day, Burst: 100},
			gcra.FreqLimitParams{Limit: 34, Period: 50 * 365 * day, Burst: 67},
		},
	} {
		if got := c.params.Strict(); got != c.want {
			t.Errorf("%+v.Strict() = %+v, want %+v", c.params, got, c.want)
		}
	}
}

// Without Strict a full burst and the steady rate add up: 39 in the first
// minute of 20/min burst 20. With it no minute has more than 20.
func TestStrictFirstMinute(t *testing.T) {
	plain := gcra.FreqLimitParams{Limit: 20, Period: time.Minute, Burst: 20}
	for _, c := range []struct {
		params gcra.FreqLimitParams
		want   int
	}{
		{plain, 39},
		{plain.Strict(), 20},
	} {
		if got := mostIn(greedy(c.params, 0, 100), int64(time.Minute)); got != c.want {
			t.Errorf("most events of %v in a minute = %d, want %d", c.params, got, c.want)
		}
	}
}

// Whatever the params, a source that takes every slot at once, and one that
// rests now and then to gather a burst, never exceed Limit in a window of
// Period.
func TestStrictNeverExceedsLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := gcra.FreqLimitParams{
			Limit:  rapid.IntRange(1, 60).Draw(t, "limit"),
			Period: time.Duration(rapid.Int64Range(60, int64(time.Hour)).Draw(t, "period")),
			Burst:  rapid.IntRange(0, 80).Draw(t, "burst"),
		}
		strict := p.Strict()
		if err := strict.Validate(); err != nil {
			t.Fatalf("%v.Strict().Validate() = %v, want nil", p, err)
		}
		var (
			s     gcra.State
			now   int64
			slots []int64
		)
		for range 5 {
			for range rapid.IntRange(1, 2*p.Limit).Draw(t, "events") {
				slot := s.Slot(now, strict, 1)
				s = s.Charge(slot, strict, 1)
				slots = append(slots, slot)
				now = slot
			}
			now += rapid.Int64Range(0, 2*int64(p.Period)).Draw(t, "rest")
		}
		if got := mostIn(slots, int64(p.Period)); got > p.Limit {
			t.Fatalf("most events of %v.Strict() in a window of Period = %d, want at most %d", p, got, p.Limit)
		}
	})
}

// Strict of valid params is valid, however long their intervals are, keeps the promise
// about windows, and gives up no more of Burst than it must.
func TestStrictIsValid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		interval := rapid.Int64Range(1, 1000).Draw(t, "interval")
		if rapid.Bool().Draw(t, "long") {
			interval = int64(gcra.MaxSpan) / interval
		}
		limit := rapid.Int64Range(1, min(1000, math.MaxInt64/interval)).Draw(t, "limit")
		burst := rapid.Int64Range(0, min(2*limit, int64(gcra.MaxSpan)/interval)).Draw(t, "burst")
		p := gcra.FreqLimitParams{
			Limit:  int(limit),
			Period: time.Duration(limit*interval - rapid.Int64Range(0, interval-1).Draw(t, "less")/limit),
			Burst:  int(burst),
		}
		if err := p.Validate(); err != nil {
			t.Fatalf("%v.Validate() = %v, want nil", p, err)
		}
		strict := p.Strict()
		if err := strict.Validate(); err != nil {
			t.Fatalf("%v.Strict().Validate() = %v, want nil", p, err)
		}
		inWindow := strict.Burst - 1 + int((p.Period-1)/strict.Interval()) + 1
		if inWindow > p.Limit {
			t.Fatalf("%v.Strict() = %v allows %d events in a window of Period, want at most Limit", p, strict, inWindow)
		}
		more := gcra.FreqLimitParams{Limit: strict.Limit - 1, Period: p.Period, Burst: strict.Burst + 1}
		if strict.Burst < min(p.Burst, p.Limit) && more.Validate() == nil {
			t.Fatalf("%v.Strict() = %v, want a Burst of %d, which is valid", p, strict, more.Burst)
		}
	})
}
