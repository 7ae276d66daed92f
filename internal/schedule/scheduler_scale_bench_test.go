package schedule

import (
	"fmt"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// The benchmarks here let one thing grow of which others have few. What an operation
// costs may grow with its logarithm.

// sizes are up to a million.
var sizes = []int{1_000, 10_000, 100_000, 1_000_000}

func perJob(b *testing.B, jobs int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*jobs), "ns/job")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkForecastOfDeadlines is a forecast of one key whose jobs have deadlines: all
// can be met, or most can't.
func BenchmarkForecastOfDeadlines(b *testing.B) {
	for _, left := range []time.Duration{10_000 * time.Hour, 10 * time.Second} {
		for _, jobs := range sizes {
			b.Run(fmt.Sprintf("left=%v/jobs=%d", left, jobs), func(b *testing.B) {
				s := New(Config{Workers: 32})
				limits := []backend.Limit{limitOn("x", rate(30, time.Second, 1))}
				for id := range jobs {
					s.SubmitDated(0, newJob(id), "k", 0, limits, Dates{Deadline: int64(left) + int64(id)})
				}
				for b.Loop() {
					s.Snapshot(0, nil).Forecast(0, func(Expected) bool { return true })
				}
				perJob(b, jobs)
			})
		}
	}
}

// BenchmarkCosts is the cost of a start where each job under one limit costs something
// else, such as the tokens of a prompt: all wait for the limit, or so many workers are
// busy that it is open for some.
func BenchmarkCosts(b *testing.B) {
	for _, workers := range []int{many, 1} {
		for _, kinds := range []int{1, 32, 1_000, 32_000, 1_000_000} {
			b.Run(fmt.Sprintf("workers=%d/kinds=%d", workers, kinds), func(b *testing.B) {
				// A job of middling cost takes a millisecond of the limit.
				p := rate(kinds*500, time.Second, 2*kinds)
				c := newCrowd(Fair, func(lane int, limits []backend.Limit) []backend.Limit {
					return append(limits, costly("tokens", p, 1+lane*7919%kinds))
				})
				c.cfg.Workers, c.idle = workers, workers
				lanes := max(1_000, kinds)
				c.fill(lanes)
				goOn := func() {
					j := c.start(b)
					if workers == 1 {
						c.now += ms // a job takes as long as the limit lets one in
					}
					c.Finished(c.now, j, false)
					c.submit(idOf(j), j.Key())
				}
				for range 10_000 { // until the first is overdue, and has a claim
					goOn()
				}
				for b.Loop() {
					goOn()
				}
			})
		}
	}
}

// BenchmarkPriorities is the cost of a start where each job of a key has a priority of
// its own, such as the time at which it was made: the oldest goes first or the newest.
func BenchmarkPriorities(b *testing.B) {
	limits := []backend.Limit{limitOn("shared", rate(1_000_000_000, time.Second, 1_000))}
	for _, serial := range []bool{false, true} {
		for _, first := range []string{"oldest", "newest"} {
			for _, priorities := range []int{1, 100, 1_000, 32_000, 1_000_000} {
				b.Run(fmt.Sprintf("serial=%v/first=%s/priorities=%d", serial, first, priorities), func(b *testing.B) {
					s := New(Config{Workers: 8, Serial: serial})
					now, next, step := int64(0), 0, -1
					if first == "newest" {
						step = 1
					}
					submit := func() {
						s.Submit(now, newJob(0), "k", next, limits)
						next += step
					}
					for range priorities {
						submit()
					}
					start := func() {
						now += 1000
						j, _ := s.Next(now)
						s.Granted(now, j, j.Slot)
						s.Finished(now, j, false)
						submit()
					}
					for range 1_000 {
						start()
					}
					for b.Loop() {
						start()
					}
				})
			}
		}
	}
}

// BenchmarkCutBesideDated is the removal of a key with one job, beside many jobs of
// others that wait for their dates.
func BenchmarkCutBesideDated(b *testing.B) {
	for _, jobs := range sizes {
		b.Run(fmt.Sprint("dated=", jobs), func(b *testing.B) {
			s := New(Config{Workers: 1})
			for id := range jobs {
				s.SubmitDated(0, newJob(id), laneKey(id), 0, nil, Dates{NotBefore: sec + int64(id)})
			}
			for b.Loop() {
				s.Submit(0, newJob(0), "k", 0, nil)
				s.Cut(0, "k").Remove(1, func(*Job) {})
			}
		})
	}
}

// BenchmarkDated is what a job with a date costs, from its submission to its end: all
// have one key, or each its own.
func BenchmarkDated(b *testing.B) {
	for _, keys := range []string{"one", "own"} {
		for _, jobs := range sizes {
			b.Run(fmt.Sprintf("key=%s/jobs=%d", keys, jobs), func(b *testing.B) {
				var bytes float64
				for b.Loop() {
					s := New(Config{Workers: many, Horizon: 5 * ms})
					before := heapInUse()
					for id := range jobs {
						key := "k"
						if keys == "own" {
							key = laneKey(id)
						}
						s.SubmitDated(0, newJob(id), key, 0, nil, Dates{NotBefore: sec + int64(id)*1000})
					}
					bytes = float64(heapInUse()-before) / float64(jobs)
					s.Play(0, 0, func(Expected) bool { return true })
				}
				perJob(b, jobs)
				b.ReportMetric(bytes, "B/job")
			})
		}
	}
}

// BenchmarkManyDatesAtOnce is the longest step when many dates come at one instant.
func BenchmarkManyDatesAtOnce(b *testing.B) {
	for _, jobs := range sizes {
		b.Run(fmt.Sprint("jobs=", jobs), func(b *testing.B) {
			var longest time.Duration
			for b.Loop() {
				s := New(Config{Workers: 32})
				for id := range jobs {
					s.SubmitDated(0, newJob(id), laneKey(id), 0, []backend.Limit{limitOn("x", perShared)}, Dates{NotBefore: sec})
				}
				for range jobs/256 + 2 {
					began := time.Now()
					if j, ask := s.Next(sec); j != nil {
						if ask {
							s.Granted(sec, j, j.Slot)
						}
						s.Finished(sec, j, false)
					}
					longest = max(longest, time.Since(began))
				}
			}
			b.ReportMetric(float64(longest.Microseconds()), "us/longest-step")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkSnoozed is what it costs that a job comes back: very many of one key do, in
// the order of their submission, while others wait there.
func BenchmarkSnoozed(b *testing.B) {
	for _, jobs := range sizes[:3] {
		b.Run(fmt.Sprint("jobs=", jobs), func(b *testing.B) {
			for b.Loop() {
				s := New(Config{Workers: jobs})
				all := make([]*Job, jobs)
				for id := range all {
					all[id] = newJob(id)
					s.Submit(0, all[id], "k", 0, nil)
				}
				s.Submit(0, newJob(jobs), "k", 0, nil)
				for range jobs {
					s.Next(0)
				}
				s.Pause()
				for id, j := range all {
					s.Later(0, j, int64(1+id), false)
				}
				for at := range int64(jobs + 1) {
					s.Next(at)
				}
			}
			perJob(b, jobs)
		})
	}
}

// BenchmarkLimitsOfAJob is the cost of a start for each of the limits that a job is under.
func BenchmarkLimitsOfAJob(b *testing.B) {
	for _, lanes := range []int{1, 100} {
		for _, n := range []int{1, 10, 100, 1_000} {
			b.Run(fmt.Sprintf("lanes=%d/limits=%d", lanes, n), func(b *testing.B) {
				keys := make([]string, n)
				for i := range keys {
					keys[i] = fmt.Sprint("limit ", i)
				}
				c := newCrowd(Fair, func(_ int, limits []backend.Limit) []backend.Limit {
					for i, key := range keys {
						limits = append(limits, limitOn(key, rate(1000+i, time.Second, 1)))
					}
					return limits
				})
				c.fill(lanes)
				for b.Loop() {
					j := c.start(b)
					c.Finished(c.now, j, false)
					c.submit(idOf(j), j.Key())
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/limit")
			})
		}
	}
}
