package schedule

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
)

// wantFailed fails the test unless these jobs have cost too much, in any order.
func (w *world) wantFailed(want ...*Job) {
	w.tb.Helper()
	for _, j := range w.failed {
		if !slices.Contains(want, j) {
			w.tb.Errorf("job %d of %q has failed, want it to go on", idOf(j), j.Key())
		}
	}
	for _, j := range want {
		if !slices.Contains(w.failed, j) {
			w.tb.Errorf("job %d of %q has not failed, want it to", idOf(j), j.Key())
		}
	}
}

// Trap 6: jobs that cost more than a lowered Burst fail when it is lowered, wherever
// they stand: as the head, in the middle of a lane, behind a job of their key that runs,
// before their date, in a paused key, waiting to run again. The others go on.
func TestTrap6LoweredBurst(t *testing.T) {
	for _, serial := range []bool{false, true} {
		w := newWorld(t, Config{Workers: many, Serial: serial})
		old, low := rate(1, time.Second, 10), rate(1, time.Hour, 4)
		dear, cheap := costly("x", old, 5), costly("x", old, 4)
		w.takes = func(*Job) int64 { return sec }
		w.submit("first", costly("x", old, 10))
		var want []*Job
		for range 3 {
			want = append(want, w.submit("a", dear), w.submit("a", dear))
			w.submit("a", cheap)
			w.submit("a")
		}
		w.submit("b")
		w.step()
		want = append(want, w.submit("b", dear), w.submit("b", dear))
		w.PauseKey(w.now, "c")
		want = append(want, w.submit("c", dear))
		want = append(want, newJob(0))
		w.SubmitDated(0, want[len(want)-1], "d", 0, w.Request(want[0], nil), Dates{NotBefore: 100 * sec})
		w.step()
		w.setParams("x", low)
		w.step()
		w.wantFailed(want...)
		w.ResumeKey(0, "c")
		w.run()
		if n := len(w.starts); n != 8 {
			t.Errorf("%d jobs have started, want the 8 others", n)
		}
		w.wantIdle()
		w.runUntil(w.now + 24*3600*sec)
		w.wantNothingKept()
	}
}

// Trap 6: jobs that run when the Burst is lowered fail when they come back.
func TestTrap6LoweredWhileItRuns(t *testing.T) {
	for name, comeBack := range map[string]func(*world, *Job){
		"at once": func(w *world, j *Job) { w.Finished(w.now, j, true) },
		"later":   func(w *world, j *Job) { w.Later(w.now, j, w.now+sec, false) },
		"held":    func(w *world, j *Job) { w.Later(w.now, j, w.now+sec, true) },
	} {
		w := newWorld(t, Config{Workers: many})
		w.takes = func(*Job) int64 { return 1 << 60 }
		j := w.submit("a", costly("x", rate(1, time.Second, 10), 5))
		w.step()
		w.running = nil // it ends here
		w.setParams("x", rate(1, time.Second, 4))
		w.step()
		w.wantFailed()
		w.takes = nil
		w.submit("a")
		comeBack(w, j)
		w.run()
		t.Log(name)
		w.wantFailed(j)
		w.wantIdle()
	}
}

// Trap 6: a job about which the backend is asked when the Burst is lowered starts if it
// is granted, and fails if not.
func TestTrap6LoweredWhileItAsks(t *testing.T) {
	for _, answer := range []string{"granted", "refused", "failed", "rejected"} {
		w := newWorld(t, Config{Workers: 1})
		j := w.submit("a", costly("x", rate(1, time.Second, 1000), 1000))
		if asked, ask := w.Next(0); asked != j || !ask {
			t.Fatalf("Next() = %v, %v, want the job, to be asked for", asked, ask)
		}
		// 1,000 of these intervals are more than an int64 can hold.
		w.setParams("x", gcra.FreqLimitParams{Limit: 1, Period: gcra.MaxSpan, Burst: 1})
		w.step()
		w.wantFailed()
		least, most := int64(0), sec // of debt
		switch answer {
		case "granted":
			w.Granted(0, j, 0)
			least, most = int64(gcra.MaxSpan), int64(gcra.MaxSpan)
		case "refused":
			w.Refused(0, j, Refusal{Until: sec})
		case "failed":
			w.Failed(0, j, sec)
		case "rejected":
			w.Rejected(0, j)
		}
		if at := w.lookUp("x").limit.state.TAT; at < least || at > most {
			t.Errorf("%s: the TAT is %v, want from %v to %v", answer, time.Duration(at), time.Duration(least), time.Duration(most))
		}
		if answer == "granted" {
			w.Finished(0, j, false)
		}
		w.step()
		if answer == "granted" || answer == "rejected" {
			w.wantFailed()
		} else {
			w.wantFailed(j)
		}
		w.wantIdle()
	}
}

// Trap 6: until it fails, such a job keeps no other waiting by a claim, and its gate
// overflows nothing.
func TestTrap6ShutGate(t *testing.T) {
	inEachOrder(t, func(t *testing.T, order Order) {
		w := newWorld(t, Config{Workers: many, Order: order})
		p := rate(1, time.Second, 1000)
		w.submit("first", limitOn("y", p))
		dear := w.submit("dear", costly("x", p, 1000), limitOn("y", rate(1, time.Hour, 1)))
		w.step()
		if w.Waiting() != 1 {
			t.Fatalf("%d jobs wait, want the one of cost 1000, for y", w.Waiting())
		}
		w.delay("y", 24*3600*sec)
		w.now = 20 * 3600 * sec // the job has been overdue since 5 h
		slow := gcra.FreqLimitParams{Limit: 1, Period: gcra.MaxSpan, Burst: 1}
		w.setParams("x", slow)
		other := w.submit("other", limitOn("x", slow))
		w.wantGates()
		if j, _ := w.Next(w.now); j != other {
			t.Errorf("Next() = %v, want the job of cost 1", j)
		} else {
			w.grant(j)
		}
		w.step()
		w.wantFailed(dear)
	})
}

// wantGates fails the test unless all gates open at instants that can be reckoned with.
func (w *world) wantGates() {
	w.tb.Helper()
	for key, n := range w.keys.All() {
		if n.limit == nil {
			continue
		}
		for g := &n.limit.gate; g != nil; g = g.next {
			if at := g.open(); at < 0 && at != math.MinInt64 || at > never || g.headroom < 0 {
				w.tb.Errorf("the gate of %q for cost %d opens at %d, with headroom %d", key, g.cost, at, g.headroom)
			}
		}
	}
}

// A limit set that jobs share, of which one waits apart or comes back late, are found
// wherever their jobs are.
func TestLimitSetOfJobsInSeveralPlaces(t *testing.T) {
	w := newWorld(t, Config{Workers: many})
	w.takes = func(*Job) int64 { return 1 << 60 }
	p := rate(1, time.Second, 5)
	dear := costly("x", p, 5)
	var all []*Job
	for range 6 {
		all = append(all, w.submit("a", dear))
	}
	w.runUntil(30 * sec)
	if len(w.starts) != 6 {
		t.Fatalf("%d jobs have started, want 6", len(w.starts))
	}
	w.running = nil
	w.Later(w.now, all[1], w.now+100*sec, false)
	w.Later(w.now, all[3], w.now+100*sec, true)
	w.submit("a")
	all = append(all, w.submit("a", dear), w.submit("a", dear))
	w.Finished(w.now, all[2], true)
	w.Remove(w.now, all[6])
	w.Finished(w.now, all[0], false)
	w.setParams("x", rate(1, time.Second, 4))
	w.step()
	w.wantFailed(all[1], all[2], all[3], all[7])
	w.takes = nil
	w.Finished(w.now, all[4], false)
	w.Finished(w.now, all[5], false)
	w.run()
	w.wantIdle()
	w.runUntil(w.now + 3600*sec)
	w.wantNothingKept()
}

// A job with dates shares its limit set with none behind it: it may leave the lane again.
func TestLimitSetOfJobWithDates(t *testing.T) {
	w := newWorld(t, Config{Workers: many})
	w.takes = func(*Job) int64 { return 1 << 60 }
	dear := costly("x", rate(1, time.Second, 5), 5)
	first, second := newJob(0), newJob(1)
	w.SubmitDated(0, first, "a", 0, []backend.Limit{dear}, Dates{Deadline: 1 << 61})
	w.Submit(0, second, "a", 0, []backend.Limit{dear})
	w.step()
	w.running = nil
	w.Later(0, first, 100*sec, false)
	w.Remove(0, second)
	w.setParams("x", rate(1, time.Second, 4))
	w.step()
	w.wantFailed(first)
	w.wantIdle()
}

// The same in a forecast, also if the jobs were submitted with one slice of limits.
func TestForecastLimitSetOfJobWithDates(t *testing.T) {
	w := newWorld(t, Config{Workers: many})
	limits := []backend.Limit{costly("x", rate(1, time.Second, 5), 5)}
	w.PauseKey(0, "a")
	w.SubmitDated(0, newJob(0), "a", 0, limits, Dates{Deadline: 1 << 61})
	w.Submit(0, newJob(1), "a", 0, limits)
	w.setParams("x", rate(1, time.Second, 4))
	s, _, _ := w.Snapshot(0, nil).scheduler(nil)
	l := s.lookUp("a").lane
	if l.head == l.tail || l.head.set == l.tail.set {
		t.Error("the job with dates shares its limit set, want one of its own")
	}
}

// However many jobs fail, a step does little: what it looks at does not grow with the
// lane or with the jobs that have failed before.
func TestRemoveImpossibleBitByBit(t *testing.T) {
	const jobs, slice = 20_000, 100
	p := rate(1, time.Hour, 5)
	for name, submit := range map[string]func(w *world, i int){
		"one key": func(w *world, i int) {
			w.submit("a", costly("x", p, 5))
		},
		"every other job of a key": func(w *world, i int) {
			w.submit("a", costly("x", p, 4+i%2))
		},
		"many keys": func(w *world, i int) {
			w.submit(fmt.Sprint("key", i), costly("x", p, 5))
		},
		"behind many others": func(w *world, i int) {
			w.submit("a", costly("x", p, 1+4*(i*2/jobs)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, Config{Workers: many})
			w.submit("first", costly("x", p, 5))
			w.step()
			for i := range jobs {
				submit(w, i)
			}
			w.setParams("x", rate(1, time.Hour, 4))
			waiting, steps := w.Waiting(), 0
			for more := true; more; steps++ {
				more = w.RemoveImpossible(0, slice, func(j *Job) { w.failed = append(w.failed, j) })
				if l := w.lookUp("a").lane; l != nil {
					if most := (steps + 1) * (1 + slice/maxInVain); int(l.gone) > most {
						t.Fatalf("%d jobs that are gone stand in a lane after %d steps, want %d at most", l.gone, steps+1, most)
					}
				}
			}
			if got := waiting - w.Waiting(); got != len(w.failed) || got == 0 {
				t.Errorf("%d jobs wait no longer, and %d have failed", got, len(w.failed))
			}
			if most := 2*waiting/slice + 2; steps > most {
				t.Errorf("%d steps of %d for %d jobs of %d, want %d at most", steps, slice, len(w.failed), waiting, most)
			}
		})
	}
}

// A lane of n jobs that all fail, and one that fails at the end of a lane of n others:
// what a job costs does not grow with n.
func BenchmarkRemoveImpossible(b *testing.B) {
	p, low := rate(1, time.Hour, 5), rate(1, time.Hour, 4)
	for _, n := range []int{1_000, 1_000_000} {
		b.Run(fmt.Sprint("all of ", n), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				w := newWorld(b, Config{Workers: many})
				w.submit("a", costly("x", p, 5))
				w.step()
				for range n {
					w.submit("a", costly("x", p, 5))
				}
				b.StartTimer()
				w.setParams("x", low)
				w.RemoveImpossible(0, n, func(*Job) {})
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/job")
		})
		b.Run(fmt.Sprint("the last of ", n), func(b *testing.B) {
			w := newWorld(b, Config{Workers: many})
			w.submit("a", costly("x", p, 5))
			w.step()
			for range n {
				w.submit("a", limitOn("x", p))
			}
			for b.Loop() {
				w.submit("a", costly("x", p, 5))
				w.setParams("x", low)
				w.RemoveImpossible(0, n, func(*Job) {})
			}
		})
	}
}
