package schedule

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/freqlimit/dispatcher/backend"
)

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

// Very many jobs with one date come in bits, so that those that wait for nothing do not
// wait for them, and go by their order all the same.
func TestManyDatesAtOnce(t *testing.T) {
	const jobs = 10 * mostArrivals
	for _, horizon := range []int64{0, 5} {
		w := newWorld(t, Config{Workers: many, Horizon: horizon})
		slow := limitOn("slow", rate(1, 10, 1))
		for id := range jobs {
			w.SubmitDated(0, newJob(id), "k", 0, nil, Dates{NotBefore: 100})
			w.SubmitDated(0, newJob(jobs+id), laneKey(id), 0, []backend.Limit{slow}, Dates{NotBefore: 100})
		}
		w.run()
		var free, limited []int
		for i, s := range w.starts {
			if id := idOf(s.Job); id < jobs {
				free = append(free, id)
				if s.slot != 100 {
					t.Fatalf("horizon %d: job %d starts at %d, want 100", horizon, id, s.slot)
				}
			} else {
				limited = append(limited, id)
			}
			if i > 0 && s.slot < w.starts[i-1].slot {
				t.Fatalf("horizon %d: start %d is at %d, the one before at %d", horizon, i, s.slot, w.starts[i-1].slot)
			}
		}
		if len(free) != jobs || !slices.IsSorted(free) || len(limited) != jobs || !slices.IsSorted(limited) {
			t.Errorf("horizon %d: %d and %d jobs have started, want %d each in the order of their submission", horizon, len(free), len(limited), jobs)
		}
		if last := w.last(); last != 100+10*(jobs-1) {
			t.Errorf("horizon %d: the last job starts at %d, want %d", horizon, last, 100+10*(jobs-1))
		}
	}
}

// One call of Next lets so many jobs come and no more.
func TestArrivalsAreBounded(t *testing.T) {
	s := New(Config{Workers: 1})
	for id := range 3 * mostArrivals {
		s.SubmitDated(0, newJob(id), "k", 0, nil, Dates{NotBefore: 100})
	}
	for i := range 3 {
		s.Next(100)
		if got, want := s.dates.len(), (2-i)*mostArrivals; got != want {
			t.Errorf("%d jobs have not come after call %d, want %d", got, i, want)
		}
		if at, ok := s.Wake(); i == 0 && ok {
			t.Errorf("Wake() = %d while no worker is free, want none", at)
		}
	}
}

// A job that was submitted before the date of another, and is heard of later, goes
// before it, whatever the lane is doing.
func TestLateSubmission(t *testing.T) {
	for _, paused := range []bool{false, true} {
		w := newWorld(t, Config{Workers: 1})
		if paused {
			w.Pause()
		}
		x := limitOn("x", rate(1, 100, 1))
		w.submit("k", x)
		w.step()
		w.SubmitDated(0, newJob(10), "k", 0, nil, Dates{NotBefore: 10})
		w.SubmitDated(0, newJob(12), "k", 0, nil, Dates{NotBefore: 12})
		w.runUntil(20)
		for _, late := range []int64{9, 11, 11, 12} {
			j := newJob(int(late))
			j.Arrival = late
			w.Submit(w.now, j, "k", 0, nil)
		}
		w.Resume()
		w.run()
		var got []int
		for _, s := range w.starts[1:] {
			got = append(got, idOf(s.Job))
		}
		want := []int{9, 10, 11, 11, 12, 12}
		if !paused {
			want = []int{10, 12, 9, 11, 11, 12} // the dated ones were there alone
		}
		if !slices.Equal(got, want) {
			t.Errorf("paused %v: the jobs start as %v, want %v", paused, got, want)
		}
		w.wantIdle()
	}
}

// Jobs that come back go by their order, however many there are and whenever they come:
// none has to pass all others.
func TestComingBackCostsTheSameAnywhere(t *testing.T) {
	const jobs = 20_000
	s := New(Config{Workers: jobs})
	var all []*Job
	for id := range jobs + 1 {
		all = append(all, newJob(id))
		s.Submit(0, all[id], "k", 0, nil)
	}
	for range jobs {
		s.Next(0)
	}
	random := rand.New(rand.NewPCG(1, 2))
	random.Shuffle(jobs, func(i, j int) { all[i], all[j] = all[j], all[i] })
	s.Pause()
	for i, j := range all[:jobs] {
		if i%2 == 0 {
			s.Finished(0, j, true)
		} else {
			s.Later(0, j, 1, i%4 == 1)
		}
	}
	s.SetWorkers(1, 1)
	s.Next(1)
	s.Next(1)
	l := s.lookUp("k").lane
	for s.dates.len() > 0 {
		s.Next(1)
	}
	if got := compared(&l.aside().strays); got > 60*jobs {
		t.Errorf("%d comparisons for %d jobs, want some for each", got, jobs)
	}
	s.Resume()
	for id := range jobs + 1 {
		j, _ := s.Next(1)
		if j == nil || idOf(j) != id {
			t.Fatalf("start %d: job %v, want %d", id, j, id)
		}
		s.Finished(1, j, false)
	}
}
