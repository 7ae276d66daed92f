package goredis

import (
	"fmt"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/redistest"
	"pgregory.net/rapid"
)

// Trap 9: a key in debt is used with other params, of intervals from a microsecond
// to 100 years. The products of such are not exact in a double. The TAT is never
// earlier than the exact one, and at most 2 us later.
func TestRebaseOfAnyIntervals(t *testing.T) {
	client, prefix, n := redistest.Client(t), redistest.Prefix(t), 0
	l := newLab(t, client, prefix)
	interval := rapid.Custom(func(t *rapid.T) time.Duration {
		most := rapid.SampledFrom([]time.Duration{
			10 * time.Microsecond, time.Millisecond, time.Second, 30 * time.Hour, backend.Unlimited / 4, backend.Unlimited,
		}).Draw(t, "most")
		return time.Duration(rapid.Int64Range(1, int64(most/time.Microsecond)).Draw(t, "interval")) * time.Microsecond
	})
	params := func(t *rapid.T, label string) gcra.FreqLimitParams {
		p := every(interval.Draw(t, label), 1)
		p.Burst = rapid.IntRange(1, int(min(100, backend.Unlimited/p.Period))).Draw(t, label)
		return p
	}
	rapid.Check(t, func(t *rapid.T) {
		n++
		l.prefix, l.now = fmt.Sprint(prefix, n, ":"), labStart
		before, after := params(t, "before"), params(t, "after")
		charge := limit("k", before)
		charge.Cost = rapid.IntRange(1, before.Burst).Draw(t, "cost")
		l.reserve(t, request(charge))
		l.now += rapid.Int64Range(0, int64(before.Period/time.Microsecond)*int64(charge.Cost)).Draw(t, "passed")

		// Refused in any case, so that nothing is charged.
		later := request(limit("k", after))
		later.NotBefore = time.UnixMicro(l.now + 1)
		l.reserve(t, later)
		state := gcra.State{}.Charge(nanos(labStart), micro(before), charge.Cost)
		want := rebase(inMicros(state), l.now, after)
		value, err := client.Get(l.t.Context(), l.prefix+"k").Result()
		if err != nil {
			t.Fatalf("GET: %v, want nil", err)
		}
		got := int64(parseStored(t, value).tat)
		if got < want.TAT || got > want.TAT+2 {
			t.Fatalf("TAT of a key charged %d of %v, %d us later with %v = %d, want %d or at most 2 more",
				charge.Cost, before, l.now-labStart, after, got, want.TAT)
		}
	})
}

// Trap 9: a product over 2^53 that a double rounds down to a multiple of the old
// interval, so that the remainder for which to round up is lost.
func TestRebaseRoundsUpLostRemainders(t *testing.T) {
	l := newLab(t, redistest.Client(t), redistest.Prefix(t))
	for _, c := range []struct{ before, after, debt, want int64 }{
		{200_000_000, 100_000_001, 100_000_001, 50_000_002},
		{300_000_000, 100_000_001, 100_000_001, 33_333_335},
		{400_000_000, 100_000_001, 300_000_001, 75_000_002},
	} {
		key := fmt.Sprint(c.before)
		l.takes(limit(key, every(time.Duration(c.before)*time.Microsecond, 1)))
		l.now += c.before - c.debt
		got := l.refused(limit(key, every(time.Duration(c.after)*time.Microsecond, 1))).Microseconds()
		if got < c.want || got > c.want+2 {
			t.Errorf("wait of %d us of an interval of %d, in one of %d = %d us, want %d or at most 2 more", c.debt, c.before, c.after, got, c.want)
		}
	}
}

// Debt counts for 100 years at most, in whatever interval.
func TestRebaseIsBounded(t *testing.T) {
	l := newLab(t, redistest.Client(t), redistest.Prefix(t))
	for _, c := range []struct{ interval, want time.Duration }{
		{24 * time.Hour, 1000 * 24 * time.Hour},
		{backend.Unlimited / 1000, backend.Unlimited},
		{backend.Unlimited / 999, backend.Unlimited},
		{backend.Unlimited / 2, backend.Unlimited},
		{backend.Unlimited, backend.Unlimited},
	} {
		key := c.interval.String()
		burst := limit(key, every(time.Microsecond, 1000))
		burst.Cost = 1000
		l.takes(burst)
		if got := l.refused(limit(key, every(c.interval, 1))); got != c.want {
			t.Errorf("wait for 1000 events in an interval of %v = %v, want %v", c.interval, got, c.want)
		}
	}
}
