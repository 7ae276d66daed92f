package schedule

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/freqlimit/dispatcher/backend"
)

// Trap 11: jobs are removed at the head, in the middle and at the tail of a lane,
// until few are left; the others start in their order, with no hole between them.
func TestTrap11RemoveAnywhere(t *testing.T) {
	inEachOrder(t, func(t *testing.T, order Order) {
		w := newWorld(t, Config{Workers: many, Order: order})
		var left []*Job
		for i := range 1000 {
			j := w.submit("k", limitOn("k", rate(1, 1, 1)))
			setID(j, i)
			left = append(left, j)
		}
		w.runUntil(0)
		left = left[1:] // has started
		random := rand.New(rand.NewPCG(1, 2))
		for len(left) > 20 {
			i := random.IntN(len(left))
			switch random.IntN(8) {
			case 0:
				i = 0
			case 1:
				i = len(left) - 1
			}
			w.Remove(w.now, left[i])
			left = slices.Delete(left, i, i+1)
			if got := w.Waiting(); got != len(left) {
				t.Fatalf("%d jobs wait, want %d", got, len(left))
			}
			if got, want := chain(left[0].lane), len(left)+int(left[0].lane.gone); got != want {
				t.Fatalf("%d jobs are linked, want %d", got, want)
			}
		}
		last := w.submit("k", limitOn("k", rate(1, 1, 1)))
		setID(last, 1000)
		w.run()
		want := append([]*Job{w.starts[0].Job}, append(left, last)...)
		if len(w.starts) != len(want) {
			t.Fatalf("%d jobs have started, want %d", len(w.starts), len(want))
		}
		for i, s := range w.starts {
			if s.Job != want[i] || s.slot != int64(i) {
				t.Errorf("start %d is that of job %d at %d, want job %d at %d", i, idOf(s.Job), s.slot, idOf(want[i]), i)
			}
		}
		w.wantIdle()
		w.runUntil(w.now + 1000)
		w.wantNothingKept()
	})
}

// chain is how many jobs a lane holds on to.
func chain(l *lane) int {
	n := 0
	for j := l.head; j != nil; j = j.next {
		n++
	}
	return n
}

// A job that comes behind one that was removed does not share its terms, which are
// over.
func TestTermsOfTheRemovedAreNotShared(t *testing.T) {
	s := New(Config{Workers: 1})
	s.Pause()
	under := []backend.Limit{limitOn("x", rate(1, 100, 1))}
	s.Submit(0, newJob(0), "k", 0, nil)
	removed := newJob(1)
	s.Submit(0, removed, "k", 0, under)
	s.Remove(0, removed)
	s.Submit(0, newJob(2), "k", 0, under)
	if got := s.lookUp("x").limit.terms; got != 1 {
		t.Errorf("%d terms name the limit, want 1", got)
	}
}

// To remove all jobs of a lane, each from its middle, costs no more than to submit
// them.
func TestRemoveCostsTheSameAnywhere(t *testing.T) {
	const jobs = 200_000
	s := New(Config{Workers: 1})
	s.Pause()
	var all []*Job
	for i := range jobs {
		all = append(all, newJob(i))
		s.Submit(0, all[i], "k", 0, nil)
	}
	swept := 0
	for i := len(all) - 1; i > 0; i -= 2 {
		s.Remove(0, all[i])
		if s.lookUp("k").lane.gone == 0 {
			swept++
		}
	}
	if swept == 0 || swept > 20 {
		t.Errorf("%d jobs were removed in %d sweeps, want some and few", jobs/2, swept)
	}
}

// A deadline that is the slot is met, and one a nanosecond before it is not: then
// the job expires and charges nothing, so that the next takes the slot.
func TestDeadlineEqualToTheSlot(t *testing.T) {
	for _, late := range []int64{0, 1} {
		w := newWorld(t, Config{Workers: many, Horizon: 5})
		w.submit("k", limitOn("k", rate(1, 100, 1)))
		j := newJob(1)
		w.SubmitDated(0, j, "k", 0, []backend.Limit{limitOn("k", rate(1, 100, 1))}, Dates{Deadline: 100 - late})
		w.submit("k", limitOn("k", rate(1, 100, 1)))
		w.run()
		if late == 0 {
			w.wantSlots("k", 0, 100, 200)
		} else {
			w.wantSlots("k", 0, 100)
		}
		if len(w.expired) != int(late) {
			t.Errorf("deadline %d: %d jobs expire, want %d", 100-late, len(w.expired), late)
		}
		w.wantIdle()
	}
}

// In the order of Backlog a lane ranks by how many wait in it. When jobs behind its
// head are removed, whom its claim kept waiting starts at once.
func TestRemoveEndsAClaim(t *testing.T) {
	w := newWorld(t, Config{Workers: many, Order: Backlog})
	x := rate(1, 10, 2)
	w.submit("first", costly("x", x, 2))
	w.step()
	var a []*Job
	for range 10 {
		a = append(a, w.submit("a", costly("x", x, 2)))
	}
	for range 9 {
		w.submitAt(1, "urgent", limitOn("x", x)) // each takes x before a has saved up
	}
	w.runUntil(95) // the head of a is overdue
	w.submit("b", limitOn("x", x))
	w.submit("b", limitOn("x", x))
	w.runUntil(100)
	w.wantSlots("b") // or a would start after 110
	w.now = 101
	for _, j := range a[1:] {
		w.Remove(w.now, j)
	}
	w.run()
	w.wantSlots("b", 101, 130)
	w.wantSlots("a", 120)
	w.wantIdle()
}

// A head keeps its rank, and with it its claim, when a job comes back behind it: before
// another, or before one that has been removed, and however it comes back.
func TestComingBackBehindTheHead(t *testing.T) {
	ways := map[string]func(s *Scheduler, j *Job){
		"at a date": func(s *Scheduler, j *Job) { s.Later(1, j, 50, false) },
		"held":      func(s *Scheduler, j *Job) { s.Later(45, j, 50, true) },
		"at once":   func(s *Scheduler, j *Job) { s.Finished(45, j, true) },
	}
	for name, comeBack := range ways {
		for _, removed := range []bool{false, true} {
			s := New(Config{Workers: 2})
			head, back, last := newJob(0), newJob(1), newJob(2)
			s.Submit(0, head, "k", 0, []backend.Limit{limitOn("x", rate(1, 100, 1))})
			s.Submit(0, back, "k", 0, nil)
			s.Next(0)
			s.Granted(0, head, 0)
			s.Next(0)
			s.Later(1, head, 2, true)
			if name == "at a date" {
				comeBack(s, back)
			}
			s.Submit(1, last, "k", 0, nil)
			if removed {
				s.Remove(1, last)
			}
			s.Next(2) // the head waits for x
			l := s.lookUp("k").lane
			rank, overdue := l.rank, l.overdue()
			s.Hold(40, "x", 300) // whoever waits from now on is ready later
			if name != "at a date" {
				comeBack(s, back)
			}
			s.Next(50)
			if order := l.order(); l.head != head || len(order) < 2 || order[1] != back {
				t.Fatalf("%s, removed %v: the job has not come back behind the head", name, removed)
			}
			if l.rank != rank || l.overdue() != overdue {
				t.Errorf("%s, removed %v: the head has rank %v and is overdue from %d on, want %v and %d as before",
					name, removed, l.rank, l.overdue(), rank, overdue)
			}
		}
	}
}

// order is the jobs of a lane that are there, in their order.
func (l *lane) order() []*Job {
	var jobs []*Job
	for j := l.head; j != nil; j = j.next {
		if !j.gone() {
			jobs = append(jobs, j)
		}
	}
	for d := range l.others() {
		if d.strays {
			jobs = append(jobs, d.job)
		}
	}
	slices.SortFunc(jobs, func(a, b *Job) int {
		if a.before(b) {
			return -1
		}
		return 1
	})
	return jobs
}

// Very many jobs that can't meet their deadlines make no call of Next long: Wake has it
// called again for the others.
func TestLapsesAreBounded(t *testing.T) {
	const jobs = 3*mostLapses + 10
	s := New(Config{Workers: 2})
	first := newJob(0)
	s.Submit(0, first, "k", 0, []backend.Limit{limitOn("x", rate(1, 1, 1))})
	for id := range jobs {
		s.SubmitDated(0, newJob(1+id), "k", 0, nil, Dates{Deadline: 50})
	}
	s.Submit(0, newJob(1+jobs), "k", 0, nil)
	s.Next(0)
	s.Granted(0, first, 100) // those behind it can't start before
	for left := jobs + 1; left > mostLapses; left -= mostLapses {
		if j, _ := s.Next(0); j != nil {
			t.Fatalf("job %d is taken with %d before it", idOf(j), left-1)
		}
		if got, want := s.Waiting(), left-mostLapses; got != want {
			t.Fatalf("%d jobs wait, want %d", got, want)
		}
		if at, ok := s.Wake(); !ok || at > 0 {
			t.Fatalf("Wake() = %d, %v, want 0 at the latest", at, ok)
		}
	}
	if j, _ := s.Next(0); j == nil || idOf(j) != 1+jobs {
		t.Errorf("Next() = %v, want the last job", j)
	}
	n := 0
	for s.Expired(0) != nil {
		n++
	}
	if at, ok := s.Wake(); n != jobs || ok {
		t.Errorf("%d jobs have expired, Wake() = %d, %v; want %d and none", n, at, ok, jobs)
	}
}

// Jobs that have expired when all are abandoned are handed over too, once.
func TestAbandonExpired(t *testing.T) {
	s := New(Config{Workers: 2})
	first := newJob(0)
	s.Submit(0, first, "k", 0, []backend.Limit{limitOn("x", rate(1, 1, 1))})
	for id := range 5 {
		s.SubmitDated(0, newJob(1+id), "k", 0, nil, Dates{Deadline: 50})
	}
	s.Next(0)
	s.Granted(0, first, 100)
	s.Next(0)
	if !s.HasExpired() || s.Expired(0) == nil {
		t.Fatal("no job has expired")
	}
	n := 0
	s.Abandon(func(*Job) { n++ })
	if n != 4 || s.HasExpired() || s.Expired(0) != nil {
		t.Errorf("%d jobs are handed over, want 4, and none left", n)
	}
}
