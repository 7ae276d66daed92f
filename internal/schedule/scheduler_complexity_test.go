package schedule

import (
	"math"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// comparisons is how many a job costs with so many lanes behind one shared
// limit, in all heaps that the lanes share.
func comparisons(t *testing.T, lanes int, limits func(int, []backend.Limit) []backend.Limit) float64 {
	w := newWorld(t, Config{Workers: 64, Horizon: 2 * ms})
	for i := range lanes {
		w.Submit(0, newJob(i), laneKey(i), 0, limits(i, nil))
	}
	count := func() int {
		shared := w.lookUp("shared").limit
		return w.timed.Compared() + w.Scheduler.ready.Compared() + w.debts.Compared() +
			shared.heads.Compared() + shared.gate.waiting.Compared() + shared.gate.solo.lanes.Compared()
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

// changes is an observer that counts how often a lane changes.
type changes struct{ n int }

func (c *changes) laneChanges(*lane)           { c.n++ }
func (c *changes) jobLeft(*Job, bool)          {}
func (c *changes) jobStarted(*Job)             {}
func (c *changes) laneCut(*lane, uint64, *Job) {}
func (c *changes) limitChanged(*limit)         {}

// A start in a serial key costs no more with 100 times the priorities: few lanes change and,
// in the queues that they share, few elements are compared. So it does however the jobs end.
func TestPrioritiesOfASerialKeyCostNothing(t *testing.T) {
	shared := limitOn("shared", rate(1_000_000, time.Second, 1_000))
	for name, limits := range map[string][]backend.Limit{
		"no limit": nil, "shared": {shared}, "shared and own": {shared, limitOn("k", perKey)},
	} {
		for end, do := range map[string]func(w *world, j *Job){
			"finished": func(w *world, j *Job) { w.Finished(w.now, j, false) },
			"retried": func(w *world, j *Job) {
				w.Hold(w.now, "k", w.now+ms)
				w.Finished(w.now, j, idOf(j) == 0)
				setID(j, 1)
			},
			"snoozed": func(w *world, j *Job) { w.Later(w.now, j, w.now+ms, false) },
			"waited for": func(w *world, j *Job) {
				if idOf(j) == 1 {
					w.Finished(w.now, j, false)
					return
				}
				w.Later(w.now, j, w.now+ms, true)
				setID(j, 1)
			},
			"removed": func(w *world, j *Job) {
				w.Finished(w.now, j, false)
				w.Remove(w.now, w.firstOf("k"))
			},
		} {
			perStart := func(priorities int) float64 {
				const starts = 50
				w := newWorld(t, Config{Workers: 8, Serial: true})
				w.takes = func(*Job) int64 { return 1000 * sec } // it ends here
				for i := range priorities + 2*starts {
					w.submitAt(-i, "k", limits...)
				}
				c := &changes{}
				w.observe(c)
				queues := func() int {
					n := w.free.solo.lanes.Compared() + w.unbound.solo.lanes.Compared() + w.timed.Compared() + w.Scheduler.ready.Compared()
					if lim := w.lookUp("shared").limit; lim != nil {
						n += lim.heads.Compared() + lim.gate.solo.lanes.Compared() + lim.gate.waiting.Compared()
					}
					for _, g := range w.lookUp("k").lane.keyLanes().groups.All() {
						n += g.lanes.Compared()
					}
					return n
				}
				before := queues()
				for range starts {
					for len(w.running) == 0 {
						w.runUntil(w.now + sec)
					}
					j := w.running[0].Job
					w.running = nil
					do(w, j)
				}
				return float64(c.n+queues()-before) / starts
			}
			few, lots := perStart(100), perStart(10_000)
			t.Logf("%s, %s: %.1f steps a start with 100 priorities, %.1f with 10,000", name, end, few, lots)
			if lots > 2*few {
				t.Errorf("%s, %s: %.1f steps a start with 100 priorities, %.1f with 10,000: want no more than twice as many",
					name, end, few, lots)
			}
		}
	}
}

// firstOf returns the job of a key that has the highest priority.
func (w *world) firstOf(key string) *Job {
	var first *lane
	for l := range w.lookUp(key).lanes() {
		if l.length > 0 && (first == nil || l.rank.priority > first.rank.priority) {
			first = l
		}
	}
	return first.head
}
