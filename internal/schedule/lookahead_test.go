package schedule

import (
	"maps"
	"testing"
	"time"
)

// Looking ahead may find a job whose date is within the horizon, and put it in place of a head.
// If nothing can be taken there, the head gets its place and its rank back: whether the job is
// of the same lane, or of another lane of a serial key.
func TestLookingAheadChangesNoRank(t *testing.T) {
	for name, dated := range map[string]func(w *world) *Job{
		"of the lane": func(w *world) *Job {
			j := w.submit("a")
			w.step()
			w.running = nil
			w.Later(w.now, j, 10, false)
			return j
		},
		"of another priority": func(w *world) *Job {
			j := newJob(0)
			w.SubmitDated(w.now, j, "a", 1, nil, Dates{NotBefore: 10})
			return j
		},
		"of its serial group": func(w *world) *Job {
			j := newJob(0)
			w.SubmitDated(w.now, j, "a", 1, w.Request(w.firstOf("a"), nil), Dates{NotBefore: 10})
			return j
		},
	} {
		w := newWorld(t, Config{Workers: 1, Serial: true, Horizon: 5})
		x, y := limitOn("x", rate(1, 100, 1)), limitOn("y", rate(1, 300, 1))
		w.submit("both", x, y)
		w.step()
		var j *Job
		if name == "of the lane" {
			j = dated(w)
		}
		w.submit("b", x, y) // ready at 300
		a := w.submit("a", x)
		if j == nil {
			j = dated(w)
		}
		w.delay("x", 1000)
		w.delay("a", 1000)
		w.runUntil(6)
		if w.tried.Len() == 0 {
			t.Fatalf("%s: nobody has looked at the job with a date", name)
		}
		w.Remove(w.now, j)
		w.run()
		if first := w.starts[len(w.starts)-2]; first.Job != a {
			t.Errorf("%s: a job of %q starts first, want the one that was ready first, of %q", name, first.Key(), a.Key())
		}
		w.wantIdle()
	}
}

// Taking begins when a slot is Lead ahead, and then goes on up to Horizon: so one
// batch goes out for many slots, and each slot is known before it comes.
func TestLeadAndHorizon(t *testing.T) {
	w := newWorld(t, Config{Workers: many, Horizon: 40 * ms, Lead: 20 * ms})
	x := limitOn("x", rate(100, time.Second, 1))
	for range 12 {
		w.submit("a", x)
	}
	w.run()
	decided := map[int64]int{}
	for i, s := range w.starts {
		if want := int64(i) * 10 * ms; s.slot != want {
			t.Errorf("start %d: %v, want %v", i, time.Duration(s.slot), time.Duration(want))
		}
		decided[s.decided]++
	}
	// At 0 the slots to 40 ms, at 50-20 those to 70, at 80-20 those to 100, at 90
	// the last.
	if want := map[int64]int{0: 5, 30 * ms: 3, 60 * ms: 3, 90 * ms: 1}; !maps.Equal(decided, want) {
		t.Errorf("starts decided by instant: %v, want %v", decided, want)
	}
}

// Without a lead a slot is taken as soon as it is within the horizon.
func TestLeadIsTheHorizonIfNotGiven(t *testing.T) {
	w := newWorld(t, Config{Workers: many, Horizon: 40 * ms})
	x := limitOn("x", rate(100, time.Second, 1))
	for range 7 {
		w.submit("a", x)
	}
	w.run()
	for _, s := range w.starts[5:] {
		if ahead := s.slot - s.decided; ahead != 40*ms {
			t.Errorf("the slot at %v is taken %v ahead, want %v", time.Duration(s.slot), time.Duration(ahead), 40*time.Millisecond)
		}
	}
}

// SetLookahead changes the horizon and the lead while jobs wait.
func TestSetLookahead(t *testing.T) {
	w := newWorld(t, Config{Workers: many})
	x := limitOn("x", rate(100, time.Second, 1))
	for range 10 {
		w.submit("a", x)
	}
	w.step()
	if at, _ := w.Wake(); at != 10*ms {
		t.Errorf("Wake() = %v without a horizon, want 10ms", time.Duration(at))
	}
	w.SetLookahead(30*ms, 5*ms)
	if at, _ := w.Wake(); at != 5*ms {
		t.Errorf("Wake() = %v with a lead of 5ms, want 5ms", time.Duration(at))
	}
	w.runUntil(5 * ms)
	if got := len(w.starts); got != 4 {
		t.Errorf("%d jobs are taken at 5ms, want 4: those with slots up to 35ms", got)
	}
	w.run()
}

// With a horizon jobs get the slots that they get without, if all is known from the
// beginning: the dates of jobs, too, are met one after another.
func TestHorizonChangesNoSlot(t *testing.T) {
	checkSome(t, func(t *rapidT) {
		work := drawLively(t)
		work.cfg.Serial, work.cfg.Workers = false, many
		slots := map[int64]map[int]int64{}
		for _, horizon := range []int64{0, 1, 3, 7} {
			work.cfg.Horizon = horizon
			m := newSchedulerMachine(work.cfg)
			w := newWorld(t, work.cfg)
			w.Scheduler = m.Scheduler
			w.withoutClaims = true // they begin at instants at which nothing else happens
			for id, j := range work.work {
				j.late, j.dates.Deadline = 0, 0 // that a job will expire is known sooner
				for _, l := range j.limits {
					w.ledger[l.Key] = w.ledger[l.Key].Rebase(0, l.Params)
				}
				m.submit(0, id, j)
			}
			w.run()
			slots[horizon] = map[int]int64{}
			for _, s := range w.starts {
				slots[horizon][idOf(s.Job)] = s.slot
			}
			for id := range work.work {
				got, started := slots[horizon][id]
				want, starts := slots[0][id]
				if got != want || started != starts {
					t.Fatalf("horizon %d: job %d starts at %d (%v), want %d (%v) as without\n%v", horizon, id, got, started, want, starts, work)
				}
			}
		}
	})
}
