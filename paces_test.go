package dispatcher

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher/backend/memory"
	"github.com/freqlimit/dispatcher/gcra"
)

// slowed returns a loop at rest in which n limits have been slowed down, the ith at when(i).
func slowed(tb testing.TB, n int, when func(i int) int64) *loop[int] {
	tb.Helper()
	d, err := New(memory.New(memory.Config{}), func(context.Context, Job[int]) error { return nil },
		Config[int]{Adapt: &Adapt{Refusals: 1, Recovery: 100 * time.Second}})
	if err != nil {
		tb.Fatal(err)
	}
	l, release := d.newLoop(tb.Context())
	tb.Cleanup(release)
	second := gcra.FreqLimitParams{Limit: 1, Period: time.Second}
	for i := range n {
		key := strconv.Itoa(i)
		l.sched.Submit(0, &(&entry[int]{}).sched, key, 0, []Limit{{Key: key, Params: second}})
		l.refused(0, key, refusal{until: when(i)})
		if p := l.paces.of(key); p == nil || p.share != 0.5 {
			tb.Fatalf("limit %d has not been slowed down", i)
		}
	}
	return l
}

// However many limits creep back at one instant, the loop goes on with its work after a few
// of them.
func TestAdaptCreepsAFewAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limits = 10 * creepMost
		l := slowed(t, limits, func(int) int64 { return 0 })
		crept := func() (n int) {
			for _, p := range l.paces.byKey.All() {
				if p.share > 0.5 {
					n++
				}
			}
			return n
		}
		now := int64(1500 * time.Millisecond)
		for want := creepMost; want <= limits; want += creepMost {
			l.creep(now)
			if got := crept(); got != want {
				t.Fatalf("%d limits have crept, want %d", got, want)
			}
		}
		l.creep(now)
		if p := l.paces.next(); p.at <= now {
			t.Errorf("a limit is due still at %v", time.Duration(p.at))
		}
	})
}

// Each limit creeps at its own instants, is at its pace after half of Recovery, and is
// forgotten when it has not been refused for Recovery.
func TestAdaptForgetsLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limits = 3000
		l := slowed(t, limits, func(i int) int64 { return int64(i) * int64(time.Millisecond) })
		now := int64(0)
		for l.paces.len() > 0 {
			now = max(now+int64(100*time.Millisecond), l.paces.next().at)
			for p := l.paces.next(); p != nil && p.at <= now; p = l.paces.next() {
				l.creep(now)
			}
			for i, p := range l.paces.byAt {
				if p.index != i || l.paces.of(p.key) != p {
					t.Fatalf("limit %q is not where it says", p.key)
				}
			}
		}
		// Half of Recovery to creep back, all of it to be forgotten.
		if end := int64(150*time.Second + limits*time.Millisecond); now < end || now > end+int64(2*time.Second) {
			t.Errorf("the last limit is forgotten at %v, want at %v", time.Duration(now), time.Duration(end))
		}
		if room := l.paces.byKey.Room(); len(l.paces.byAt) > 0 || room > limits/2 {
			t.Errorf("%d limits are kept, with room for %d, want none", len(l.paces.byAt), room)
		}
	})
}

// BenchmarkAdapt is the cost of a step in which one of many limits that have been slowed down
// creeps.
func BenchmarkAdapt(b *testing.B) {
	for _, limits := range []int{100, 20_000, 1_000_000} {
		b.Run(fmt.Sprint("limits=", limits), func(b *testing.B) {
			apart := int64(time.Second) / int64(limits)
			l := slowed(b, limits, func(i int) int64 { return int64(i) * apart })
			for !l.reports.isIdle() {
				runtime.Gosched()
			}
			now := int64(time.Second)
			for b.Loop() {
				now += apart
				l.creep(now)
			}
		})
	}
}
