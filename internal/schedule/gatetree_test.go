package schedule

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/pqueue"
)

// A tree of gates answers as a list of them that is gone through.
func TestGateTreeAgreesWithAList(t *testing.T) {
	rapid.Check(t, func(t *rapidT) {
		s := New(Config{Workers: 1})
		lim := s.limitOf("x")
		tree := &gateTree{}
		var in []*gate
		ranks := 0
		rankAgain := func(g *gate) {
			ranks++
			l := &lane{head: &Job{seq: uint64(ranks) * seqStep}, rank: rank{priority: span(t, "priority", -5, 5)}}
			c := &cohort{}
			c.lanes.Push(l)
			g.waiting = pqueue.Queue[*cohort]{}
			g.waiting.Push(c)
		}
		first := func(these func(*gate) bool) *gate {
			var first *gate
			for _, g := range in {
				if these(g) && (first == nil || g.waiting.Top().Before(first.waiting.Top())) {
					first = g
				}
			}
			return first
		}
		cheapest := func(these func(*gate) bool) *gate {
			var cheapest *gate
			for _, g := range in {
				if these(g) && (cheapest == nil || g.cost < cheapest.cost) {
					cheapest = g
				}
			}
			return cheapest
		}
		want := func(what string, got *gateNode, want *gate) {
			t.Helper()
			if got == nil && want == nil {
				return
			}
			if got == nil || got.gate != want || want.node != got {
				t.Fatalf("%s is %+v, want that at gate %+v", what, got, want)
			}
		}
		for range span(t, "steps", 1, 60) {
			cost := span(t, "cost", 1, 30)
			i := slices.IndexFunc(in, func(g *gate) bool { return g.cost == cost })
			switch {
			case i < 0:
				g := &gate{}
				s.initGate(g, lim, cost)
				rankAgain(g)
				in = append(in, g)
				tree.insert(g)
			case rapid.Bool().Draw(t, "remove"):
				tree.remove(in[i])
				in = slices.Delete(in, i, i+1)
			default:
				rankAgain(in[i])
				tree.root.update(cost)
			}
			from := span(t, "shut", 1, 31)
			shut := func(g *gate) bool { return g.cost >= from }
			front, costlier := tree.root.upTo(shut)
			want("the first", tree.root.foremost(), first(func(*gate) bool { return true }))
			want("the first that is not shut", front, first(func(g *gate) bool { return !shut(g) }))
			want("the cheapest that is shut", costlier, cheapest(shut))
			by := &lane{head: &Job{}, rank: rank{priority: span(t, "rank", -6, 6)}}
			want("the cheapest that is shut and ranks before", tree.root.nextBefore(by, shut),
				cheapest(func(g *gate) bool { return shut(g) && !by.Before(g.waiting.Top().lanes.Top()) }))
		}
	})
}

// comparisonsOfGates is how many comparisons a start costs, in the queues of gates, where
// jobs of so many costs wait for one limit.
func comparisonsOfGates(t *testing.T, kinds int) float64 {
	w := newWorld(t, Config{Workers: many, Horizon: 5 * ms})
	p := rate(kinds*500, time.Second, 2*kinds)
	submit := func(i int) {
		w.Submit(w.now, newJob(i), laneKey(i), 0, []backend.Limit{costly("x", p, 1+i*7919%kinds)})
	}
	for i := range max(300, kinds) {
		submit(i)
	}
	count := func() int {
		return w.timed.Compared() + w.Scheduler.ready.Compared() + w.lookUp("x").limit.heads.Compared()
	}
	seen, begun := 0, 0
	for len(w.starts) < 1_500 {
		if len(w.starts) < 1_000 { // by then heads are overdue
			begun = count()
		}
		w.runUntil(w.now + 10*ms)
		for _, s := range w.starts[seen:] {
			submit(idOf(s.Job))
		}
		seen = len(w.starts)
	}
	return float64(count()-begun) / float64(len(w.starts)-1_000)
}

// What a start costs does not grow with the costs that jobs have, though a claim of the
// first job keeps those of all other costs waiting.
func TestComparisonsDoNotGrowWithTheCosts(t *testing.T) {
	few, lots := comparisonsOfGates(t, 32), comparisonsOfGates(t, 256)
	t.Logf("%.1f comparisons a job with 32 costs, %.1f with 256", few, lots)
	if lots > 3*few {
		t.Errorf("%.1f comparisons a job with 32 costs, %.1f with 256, want 3 times as many at most", few, lots)
	}
}

// A job that ranks before the one with a claim goes as soon as the limit is open for it,
// wherever the others of its cost would be.
func TestAClaimDoesNotHoldUpHigherRanks(t *testing.T) {
	for _, few := range []int{fewGates, 0} {
		t.Run(fmt.Sprint("few=", few), func(t *testing.T) {
			p := rate(1, time.Second, 5)
			w := newWorld(t, Config{Workers: many})
			w.few = few
			w.submit("first", costly("x", p, 5))
			big := w.submit("big", costly("x", p, 5))
			for range 60 {
				w.submit("small", costly("x", p, 1))
			}
			w.runUntil(21 * sec) // big is overdue
			lim := w.lookUp("x").limit
			if c := lim.claim(); c == nil || !c.blocks() || c.lane != big.lane {
				t.Fatalf("the claim on the limit is %+v, want the claim of the job of cost 5, which keeps others waiting", c)
			}
			urgent := w.submitAt(1, "urgent", costly("x", p, 4))
			opens := w.ledger["x"].Slot(w.now, p, 4)
			w.run()
			if urgent.Slot != opens || big.Slot <= opens {
				t.Errorf("the job of higher rank starts at %v, want %v, before that with the claim, which starts at %v",
					time.Duration(urgent.Slot), time.Duration(opens), time.Duration(big.Slot))
			}
		})
	}
}
