package engine

import (
	"fmt"
	"runtime"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/adaptive"
	"github.com/freqlimit/dispatcher/internal/schedule"
)

// slowed returns an idle loop in which n limits are slowed down, the ith one at when(i).
func slowed(tb testing.TB, n int, when func(i int) int64) *loop {
	tb.Helper()
	e, _ := newEngine(tb, adapts(adaptive.Config{Refusals: 1, Cut: 0.5, MinFactor: 0.01, Recovery: 100 * time.Second}))
	l := still(tb, e)
	for i := range n {
		key := strconv.Itoa(i)
		l.sched.Submit(0, &schedule.Job{}, key, 0, []backend.Limit{{Key: key, Params: second}})
		l.refused(0, key, adaptive.Refusal{Until: when(i)})
		if lim := l.adaptive.Get(key); lim == nil || lim.Factor() != 0.5 {
			tb.Fatalf("limit %d is not slowed down", i)
		}
	}
	return l
}

// However many limits recover at one instant, the loop goes on with its work after a few
// of them.
func TestAdaptRecoversAFewAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limits = 10 * maxRecoveries
		l := slowed(t, limits, func(int) int64 { return 0 })
		recovered := func() (n int) {
			for i := range limits {
				if l.adaptive.Get(strconv.Itoa(i)).Factor() > 0.5 {
					n++
				}
			}
			return n
		}
		now := int64(1500 * time.Millisecond)
		for want := maxRecoveries; want <= limits; want += maxRecoveries {
			l.recoverLimits(now)
			if got := recovered(); got != want {
				t.Fatalf("%d limits have recovered, want %d", got, want)
			}
		}
		l.recoverLimits(now)
		if at, _ := l.adaptive.Next(); at <= now {
			t.Errorf("a limit is still due at %v", time.Duration(at))
		}
	})
}

// BenchmarkAdapt measures a step in which one of many limits that are slowed down
// recovers.
func BenchmarkAdapt(b *testing.B) {
	for _, limits := range []int{100, 20_000, 1_000_000} {
		b.Run(fmt.Sprint("limits=", limits), func(b *testing.B) {
			apart := int64(time.Second) / int64(limits)
			l := slowed(b, limits, func(i int) int64 { return int64(i) * apart })
			for !l.e.reports.isIdle() {
				runtime.Gosched()
			}
			now := int64(time.Second)
			for b.Loop() {
				now += apart
				l.recoverLimits(now)
			}
		})
	}
}
