package schedule

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/seeds"
)

// Jobs that return start in the same order as if they had never been taken, whatever
// the order, with keys that are serial or not.
func TestReturnedJobsKeepTheirOrder(t *testing.T) {
	for _, order := range []Order{Fair, FIFO, Backlog} {
		for seed := range seeds.First(t, 200) {
			cfg := Config{Workers: 8, Horizon: sec, Order: order, Serial: seed%2 == 0}
			want := startsOf(cfg, seed, 0)
			for back := 1; back <= 8; back++ {
				if got := startsOf(cfg, seed, back); fmt.Sprint(got) != fmt.Sprint(want) {
					t.Fatalf("%v: with %d jobs that return the order is %v, want %v", order, back, got, want)
				}
			}
		}
	}
}

// startsOf has random jobs start, and returns their order. At first so many of those that
// are taken return.
func startsOf(cfg Config, seed uint64, back int) []int {
	r := rand.New(rand.NewPCG(seed, 1))
	s := New(cfg)
	for i := range 30 {
		j := newJob(i)
		j.Arrival = int64(i)
		var limits []backend.Limit
		if r.IntN(4) > 0 {
			limits = []backend.Limit{limitOn(fmt.Sprint("L", r.IntN(2)), rate(1, time.Millisecond, 100))} // all is open
		}
		s.SubmitDated(int64(i), j, fmt.Sprint("k", r.IntN(5)), r.IntN(2), limits, Dates{Deadline: int64(r.IntN(2)) * 1000 * sec})
	}
	const now = 100
	type held struct {
		*Job
		Place
	}
	take := func(n int) (taken []held) {
		for len(taken) < n {
			j, ask := s.Next(now)
			if j == nil {
				break
			}
			if ask {
				s.Granted(now, j, j.Slot)
			}
			taken = append(taken, held{j, s.Place()})
		}
		return taken
	}
	taken := take(back)
	for i := len(taken) - 1; i >= 0; i-- {
		s.Returned(now, taken[i].Job, taken[i].Place)
	}
	var order []int
	for s.Waiting() > 0 {
		for _, h := range take(1) {
			order = append(order, idOf(h.Job))
			s.Finished(now, h.Job, false)
		}
	}
	return order
}
