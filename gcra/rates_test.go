package gcra_test

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/gcra"
)

func TestRates(t *testing.T) {
	for _, c := range []struct {
		got, want gcra.FreqLimitParams
	}{
		{gcra.PerSecond(30), gcra.FreqLimitParams{Limit: 30, Period: time.Second}},
		{gcra.PerMinute(20), gcra.FreqLimitParams{Limit: 20, Period: time.Minute}},
		{gcra.PerHour(1000), gcra.FreqLimitParams{Limit: 1000, Period: time.Hour}},
		{gcra.Every(1100 * time.Millisecond), gcra.FreqLimitParams{Limit: 1, Period: 1100 * time.Millisecond}},
		{gcra.PerSecond(30).WithBurst(5), gcra.FreqLimitParams{Limit: 30, Period: time.Second, Burst: 5}},
		{gcra.Every(time.Minute).WithBurst(3), gcra.FreqLimitParams{Limit: 1, Period: time.Minute, Burst: 3}},
		{gcra.PerSecond(1).WithBurst(3).WithBurst(0), gcra.FreqLimitParams{Limit: 1, Period: time.Second}},
		{gcra.PerMinute(20).WithBurst(5).Strict(), gcra.FreqLimitParams{Limit: 16, Period: time.Minute, Burst: 5}},
		{gcra.PerSecond(1_000_000_000), gcra.FreqLimitParams{Limit: 1_000_000_000, Period: time.Second}},
		{gcra.Every(gcra.MaxSpan), gcra.FreqLimitParams{Limit: 1, Period: gcra.MaxSpan}},
	} {
		if c.got != c.want {
			t.Errorf("params = %+v, want %+v", c.got, c.want)
		}
		if err := c.got.Validate(); err != nil {
			t.Errorf("%+v.Validate() = %v, want nil", c.got, err)
		}
	}
}

func TestWithBurstLeavesItsReceiver(t *testing.T) {
	p := gcra.PerSecond(30)
	if _ = p.WithBurst(5); p != gcra.PerSecond(30) {
		t.Errorf("params after WithBurst = %+v, want them unchanged", p)
	}
}

// Wrong arguments don't panic: Validate names the field and the value.
func TestRatesOutOfRange(t *testing.T) {
	for _, c := range []struct {
		params gcra.FreqLimitParams
		field  string
		value  any
		text   string
	}{
		{gcra.PerSecond(0), "Limit", 0, "gcra: Limit is 0: must be at least 1"},
		{gcra.PerMinute(-1), "Limit", -1, "gcra: Limit is -1: must be at least 1"},
		{gcra.PerHour(math.MinInt), "Limit", math.MinInt, fmt.Sprintf("gcra: Limit is %d: must be at least 1", math.MinInt)},
		{gcra.PerSecond(1_000_000_001), "Limit", 1_000_000_001, "gcra: Limit is 1000000001: must be at most one per nanosecond of Period, 1000000000"},
		{gcra.Every(0), "Period", time.Duration(0), "gcra: Period is 0s: must be at least 1ns"},
		{gcra.Every(-time.Second), "Period", -time.Second, "gcra: Period is -1s: must be at least 1ns"},
		{gcra.Every(gcra.MaxSpan + 1), "Period", gcra.MaxSpan + 1, "gcra: Period is 876000h0m0.000000001s: must be at most 876000h0m0s times Limit"},
		{gcra.PerSecond(1).WithBurst(-2), "Burst", -2, "gcra: Burst is -2: must be at least 1, or 0 which means 1"},
		{gcra.Every(gcra.MaxSpan).WithBurst(2), "Burst", 2, "gcra: Burst is 2: must be at most 1, so that Burst intervals take no more than 100 years"},
		{gcra.PerSecond(0).WithBurst(5).Strict(), "Limit", 0, "gcra: Limit is 0: must be at least 1"},
		{gcra.Every(0).Strict(), "Period", time.Duration(0), "gcra: Period is 0s: must be at least 1ns"},
		{gcra.PerSecond(5).WithBurst(-2).Strict(), "Burst", -2, "gcra: Burst is -2: must be at least 1, or 0 which means 1"},
	} {
		err := c.params.Validate()
		wrong, ok := errors.AsType[*gcra.ParamError](err)
		if !ok || !errors.Is(err, gcra.ErrParams) {
			t.Errorf("%+v.Validate() = %v, want a *ParamError", c.params, err)
			continue
		}
		if wrong.Field != c.field || wrong.Value != c.value || err.Error() != c.text {
			t.Errorf("%+v.Validate() = %q (%s, %v), want %q (%s, %v)",
				c.params, err, wrong.Field, wrong.Value, c.text, c.field, c.value)
		}
	}
}

// Whatever made the params, Strict keeps a full burst and the steady rate after it
// within Limit events per Period.
func TestStrictOfRates(t *testing.T) {
	for _, p := range []gcra.FreqLimitParams{
		gcra.PerSecond(1), gcra.PerSecond(30).WithBurst(30), gcra.PerSecond(7).WithBurst(3),
		gcra.PerMinute(20).WithBurst(20), gcra.PerMinute(20).WithBurst(5), gcra.PerHour(1000).WithBurst(999),
		gcra.Every(time.Second), gcra.Every(100 * time.Millisecond).WithBurst(5),
	} {
		strict := p.Strict()
		if err := strict.Validate(); err != nil {
			t.Errorf("%v.Strict() = %v: %v", p, strict, err)
		}
		var s gcra.State
		n := 0
		for slot := s.Slot(0, strict, 1); slot < int64(p.Period); slot = s.Slot(slot, strict, 1) {
			s = s.Charge(slot, strict, 1)
			n++
		}
		if n < 1 || n > p.Limit {
			t.Errorf("%v.Strict() = %v: %d events in one period, want from 1 to %d", p, strict, n, p.Limit)
		}
	}
}
