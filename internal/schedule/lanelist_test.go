package schedule

import (
	"math/rand/v2"
	"slices"
	"testing"
)

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
	for s.dates.Len() > 0 {
		s.Next(1)
	}
	if got := l.aside().strays.Compared(); got > 60*jobs {
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
