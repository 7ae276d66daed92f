package adaptive

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/gcra"
)

func allow(gcra.FreqLimitParams) bool { return true }

// slowed returns n limits that are slowed down to a half, the ith one at when(i).
func slowed(tb testing.TB, n int, when func(i int) int64) Limits {
	tb.Helper()
	ls := New(Config{Refusals: 1, Cut: 0.5, MinFactor: 0.01, Recovery: 100 * time.Second})
	for i := range n {
		l := ls.Add(strconv.Itoa(i), gcra.FreqLimitParams{Limit: 1, Period: time.Second})
		if !ls.Refuse(l, Refusal{Until: when(i)}, allow) || l.Factor() != 0.5 {
			tb.Fatalf("limit %d has the factor %v, want 0.5", i, l.Factor())
		}
	}
	return ls
}

// Each limit recovers at its own instants, is at its own rate after half of Recovery, and is
// forgotten after Recovery without a refusal.
func TestLimitsAreForgotten(t *testing.T) {
	const limits = 3000
	ls := slowed(t, limits, func(i int) int64 { return int64(i) * int64(time.Millisecond) })
	now, forgotten := int64(0), 0
	for ls.Len() > 0 {
		at, ok := ls.Next()
		if !ok {
			t.Fatalf("Next() has no limit, want one of %d", ls.Len())
		}
		now = max(now+int64(100*time.Millisecond), at)
		for {
			l, gone := ls.Recover(now)
			if l == nil {
				break
			}
			if gone {
				forgotten++
			}
			if gone != (ls.Get(l.Key) == nil) {
				t.Fatalf("Recover() says that limit %q is forgotten: %v; want %v", l.Key, gone, !gone)
			}
		}
	}
	// Half of Recovery to the own rate, all of it to be forgotten.
	if end := int64(150*time.Second + limits*time.Millisecond); now < end || now > end+int64(2*time.Second) {
		t.Errorf("the last limit is forgotten at %v, want at %v", time.Duration(now), time.Duration(end))
	}
	if forgotten != limits {
		t.Errorf("%d limits are forgotten, want %d", forgotten, limits)
	}
	if room := ls.byKey.Room(); room > limits/2 {
		t.Errorf("there is room for %d limits, want none", room)
	}
	if _, ok := ls.Next(); ok {
		t.Error("Next() has a limit, want none")
	}
}

// The factor follows the refusals.
func TestFactor(t *testing.T) {
	const sec = int64(time.Second)
	ls := New(Config{Refusals: 3, Cut: 0.5, MinFactor: 0.2, Recovery: 100 * time.Second})
	l := ls.Add("k", gcra.FreqLimitParams{Limit: 10, Period: time.Second})
	for _, step := range []struct {
		name    string
		refusal Refusal
		allowed bool
		changed bool
		want    float64
	}{
		{"the first", Refusal{Slot: 0, Until: 10 * sec, Delay: 10 * time.Second}, true, false, 1},
		{"one of the same hold", Refusal{Slot: 4 * sec, Until: 14 * sec, Delay: 10 * time.Second}, true, false, 1},
		{"the second", Refusal{Slot: 10 * sec, Until: 20 * sec, Delay: 10 * time.Second}, true, false, 1},
		{"the third, which the backend can't keep", Refusal{Slot: 20 * sec, Until: 30 * sec, Delay: 10 * time.Second}, false, false, 1},
		{"the first again", Refusal{Slot: 30 * sec, Until: 40 * sec, Delay: 10 * time.Second}, true, false, 1},
		{"the second again", Refusal{Slot: 40 * sec, Until: 50 * sec, Delay: 10 * time.Second}, true, false, 1},
		{"the third again", Refusal{Slot: 50 * sec, Until: 60 * sec, Delay: 10 * time.Second}, true, true, 0.5},
		{"one more", Refusal{Slot: 60 * sec, Until: 70 * sec, Delay: 10 * time.Second}, true, true, 0.25},
		{"at the minimum", Refusal{Slot: 70 * sec, Until: 80 * sec, Delay: 10 * time.Second}, true, true, 0.2},
	} {
		changed := ls.Refuse(l, step.refusal, func(gcra.FreqLimitParams) bool { return step.allowed })
		if changed != step.changed || l.Factor() != step.want {
			t.Errorf("%s: Refuse() = %v with the factor %v, want %v with %v", step.name, changed, l.Factor(), step.changed, step.want)
		}
	}
	if got, ok := ls.Recover(81*sec - 1); got != nil || ok {
		t.Errorf("Recover() = %v, %v before the limit is due, want none", got, ok)
	}
	if got, _ := ls.Recover(83 * sec); got != l || l.Factor() < 0.2299 || l.Factor() > 0.2301 {
		t.Errorf("Recover() 3 s after the hold leaves the factor %v, want 0.23", l.Factor())
	}
}

// BenchmarkRecover measures a step of one of many limits.
func BenchmarkRecover(b *testing.B) {
	for _, limits := range []int{100, 20_000, 1_000_000} {
		b.Run(fmt.Sprint("limits=", limits), func(b *testing.B) {
			apart := int64(time.Second) / int64(limits)
			ls := slowed(b, limits, func(i int) int64 { return int64(i) * apart })
			now := int64(time.Second)
			b.ReportAllocs()
			for b.Loop() {
				now += apart
				for l, _ := ls.Recover(now); l != nil; l, _ = ls.Recover(now) {
				}
			}
		})
	}
}
