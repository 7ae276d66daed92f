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
				t.Errorf("start %d is of job %d at %d, want job %d at %d", i, idOf(s.Job), s.slot, idOf(want[i]), i)
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

// A job that comes behind one that was removed does not share its limit set, which is
// over.
func TestLimitSetOfTheRemovedIsNotShared(t *testing.T) {
	s := New(Config{Workers: 1})
	s.Pause()
	under := []backend.Limit{limitOn("x", rate(1, 100, 1))}
	s.Submit(0, newJob(0), "k", 0, nil)
	removed := newJob(1)
	s.Submit(0, removed, "k", 0, under)
	s.Remove(0, removed)
	s.Submit(0, newJob(2), "k", 0, under)
	if got := s.lookUp("x").limit.sets; got != 1 {
		t.Errorf("%d limit sets name the limit, want 1", got)
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

// With Backlog, a lane ranks by its number of waiting jobs. When jobs behind its head are removed,
// its claim ends, and a job that the claim kept waiting starts at once.
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
