package adaptive

import (
	"math"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
	"pgregory.net/rapid"
)

// The params of a limit that was slowed down are valid if its own are, and never faster than
// those.
func TestParamsAreValid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		interval := rapid.Int64Range(1, 1000).Draw(t, "interval")
		if rapid.Bool().Draw(t, "long") {
			interval = int64(gcra.MaxSpan) / interval
		}
		limit := rapid.Int64Range(1, min(1000, int64(1<<62)/interval)).Draw(t, "limit")
		base := gcra.FreqLimitParams{
			Limit:  int(limit),
			Period: time.Duration(limit * interval),
			Burst:  int(rapid.Int64Range(0, min(1000, int64(gcra.MaxSpan)/interval)).Draw(t, "burst")),
		}
		if err := base.Validate(); err != nil {
			t.Fatal(err)
		}
		factor := rapid.Float64Range(1e-9, 1).Draw(t, "factor")
		l := Limit{Base: base, factor: factor}
		got := l.Params()
		if err := got.Validate(); err != nil {
			t.Fatalf("%v at %v is %v: %v", base, factor, got, err)
		}
		if got.Interval() < base.Interval() || got.Limit != base.Limit || got.Burst != base.Burst {
			t.Fatalf("%v at %v is %v, want it no faster, with the same Burst", base, factor, got)
		}
		slower := float64(base.Interval()) / factor
		most := min(float64(backend.Unlimited)/float64(max(base.Burst, 1)), math.MaxInt64/float64(limit))
		if want := min(slower, most); float64(got.Interval()) < want*(1-1e-6)-float64(2*time.Microsecond) {
			t.Fatalf("%v at %v is %v, with an interval of %v, want about %v", base, factor, got, got.Interval(), time.Duration(want))
		}
	})
}
