package schedule

import (
	"math"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// counted makes a heap count its comparisons.
func counted[E any](h *heap[E], n *int) {
	before := h.before
	h.before = func(a, b E) bool { *n++; return before(a, b) }
}

// comparisons is how many a job costs with so many lanes behind one shared
// limit, in all heaps that the lanes share.
func comparisons(t *testing.T, lanes int, limits func(int, []backend.Limit) []backend.Limit) float64 {
	w := newWorld(t, Config{Workers: 64, Horizon: 2 * ms})
	for i := range lanes {
		w.Submit(0, &Job{Key: laneKey(i), Value: i}, limits(i, nil))
	}
	n := 0
	counted(&w.timed, &n)
	counted(&w.Scheduler.ready, &n)
	counted(&w.debts, &n)
	shared := w.limits["shared"]
	counted(&shared.heads, &n)
	counted(&shared.gates[0].waiting, &n)
	counted(&shared.gates[0].solo.lanes, &n)
	const jobs = 5_000
	seen := 0
	for len(w.starts) < jobs {
		w.runUntil(w.now + time.Second.Nanoseconds())
		for _, s := range w.starts[seen:] {
			w.Submit(w.now, &Job{Key: s.Key, Value: s.Value}, limits(s.Value.(int), nil))
		}
		seen = len(w.starts)
	}
	return float64(n) / float64(len(w.starts))
}

// With 100 times the lanes a job costs no more comparisons than the logarithm of
// their number grows by. Clocks and caches, which benchmarks measure, are not in
// it.
func TestComparisonsGrowWithTheLogarithm(t *testing.T) {
	for name, limits := range map[string]func(int, []backend.Limit) []backend.Limit{
		"shared": alone, "shared and own": withOwn,
	} {
		few, lots := comparisons(t, 1_000, limits), comparisons(t, 100_000, limits)
		most := math.Log(100_000) / math.Log(1_000)
		t.Logf("%s: %.1f comparisons a job with 1,000 lanes, %.1f with 100,000", name, few, lots)
		if lots/few > most*1.1 {
			t.Errorf("%s: %.1f comparisons a job with 1,000 lanes, %.1f with 100,000: %.2f times, want %.2f at most",
				name, few, lots, lots/few, most)
		}
	}
}
