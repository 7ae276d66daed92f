package schedule

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// A key may have any number of priorities. The jobs start by them, and nothing is left of
// those that have no jobs.
func TestManyPriorities(t *testing.T) {
	for _, serial := range []bool{false, true} {
		for _, n := range []int{2, fewLanes, fewLanes + 1, 1000} {
			t.Run(fmt.Sprintf("serial=%v/%d", serial, n), func(t *testing.T) {
				w := newWorld(t, Config{Workers: 1, Serial: serial})
				w.takes = func(*Job) int64 { return 1 }
				random := rand.New(rand.NewPCG(1, 2))
				w.Pause()
				for _, i := range append(random.Perm(n), random.Perm(n)...) {
					setID(w.submitAt(-i, "k"), i)
				}
				w.step()
				w.Resume()
				w.run()
				var got []int
				for _, s := range w.starts {
					got = append(got, idOf(s.Job))
				}
				if len(got) != 2*n || !slices.IsSorted(got) {
					t.Errorf("the jobs start as %v, want those of 0, 1, ... %d, two each", got, n-1)
				}
				w.wantIdle()
				w.runUntil(w.now + 1000)
				w.wantNothingKept()
			})
		}
	}
}

// All lanes of a key are found, while some go.
func TestLanesOfAKey(t *testing.T) {
	for _, n := range []int{0, 1, 2, fewLanes, 100} {
		s := New(Config{Workers: 1})
		s.Pause()
		for i := range n {
			s.Submit(0, newJob(i), "k", i, nil)
		}
		found := map[int]bool{}
		for l := range s.lookUp("k").lanes() {
			found[l.rank.priority] = true
			if l.rank.priority%2 == 0 {
				s.Remove(0, l.head)
			}
		}
		if len(found) != n {
			t.Errorf("%d of %d lanes are found", len(found), n)
		}
		found = map[int]bool{}
		for l := range s.lookUp("k").lanes() {
			found[l.rank.priority] = true
		}
		if len(found) != n/2 {
			t.Errorf("%d of %d lanes are found when half of them are gone, want %d", len(found), n, n/2)
		}
	}
}
