package schedule

import (
	"math"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// compared is how often elements of a queue were compared.
func compared[E element[E]](q *queue[E]) int {
	if q.rest == nil {
		return 0
	}
	return q.rest.compared
}

// comparisons is how many a job costs with so many lanes behind one shared
// limit, in all heaps that the lanes share.
func comparisons(t *testing.T, lanes int, limits func(int, []backend.Limit) []backend.Limit) float64 {
	w := newWorld(t, Config{Workers: 64, Horizon: 2 * ms})
	for i := range lanes {
		w.Submit(0, newJob(i), laneKey(i), 0, limits(i, nil))
	}
	count := func() int {
		shared := w.lookUp("shared").limit
		return compared(&w.timed) + compared(&w.Scheduler.ready) + compared(&w.debts) +
			compared(&shared.heads) + compared(&shared.gate.waiting) + compared(&shared.gate.solo.lanes)
	}
	n := count()
	const jobs = 5_000
	seen := 0
	for len(w.starts) < jobs {
		w.runUntil(w.now + time.Second.Nanoseconds())
		for _, s := range w.starts[seen:] {
			w.Submit(w.now, newJob(idOf(s.Job)), s.Key(), 0, limits(idOf(s.Job), nil))
		}
		seen = len(w.starts)
	}
	return float64(count()-n) / float64(len(w.starts))
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
