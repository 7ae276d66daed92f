package schedule

import (
	"testing"
	"time"
)

// refuseInTurn is the answer that limit 0 opens then, and when to ask again.
func (w *world) refuseInTurn(until, turn int64) func(*Job) {
	return func(j *Job) { w.Refused(w.now, j, Refusal{Until: until, Turn: turn}) }
}

// wantAsked wants the backend to be asked for a job of a key next at an instant.
func (w *world) wantAsked(key string, want int64) {
	w.tb.Helper()
	before := w.answer
	defer func() { w.answer = before }()
	got := int64(-1)
	w.answer = func(j *Job) {
		if j.Key() == key && got < 0 {
			got = w.now
		}
		w.grant(j)
	}
	w.run()
	if got != want {
		w.tb.Errorf("the backend is asked for %q at %v, want %v", key, time.Duration(got), time.Duration(want))
	}
}

// Who is told a turn asks then, a lead before it, and not when the limit opens.
func TestTurn(t *testing.T) {
	w := newWorld(t, Config{Workers: many, Horizon: 20 * ms, Lead: 10 * ms})
	x := limitOn("x", rate(10, time.Second, 1))
	w.submit("a", x)
	w.submit("b", x)
	w.answer = w.refuseInTurn(100*ms, 700*ms)
	w.step()
	w.wantAsked("a", 690*ms)
	w.wantSlots("b", w.of("a")[0]+100*ms)
}

// A turn before the limit opens does not open it.
func TestTurnBeforeTheLimitOpens(t *testing.T) {
	w := newWorld(t, Config{Workers: many})
	w.submit("a", limitOn("x", rate(10, time.Second, 1)))
	w.answer = w.refuseInTurn(500*ms, 100*ms)
	w.step()
	w.wantAsked("a", 500*ms)
}

// Jobs that cost less have a turn of their own: what is not enough for a dear one
// may do for them. Those that cost more wait for the turn too.
func TestTurnByCost(t *testing.T) {
	p := rate(10, time.Second, 5)
	for _, c := range []struct {
		cost int
		want int64
	}{{1, 0}, {3, 2 * sec}, {5, 2 * sec}} {
		w := newWorld(t, Config{Workers: many})
		w.submit("first", costly("x", p, c.cost))
		w.run()
		w.starts = nil
		w.lookUp("x").limit.state.TAT = 0
		w.submit("a", costly("x", p, 3))
		asked := 0
		w.answer = func(j *Job) {
			if asked++; asked > 1 {
				w.grant(j)
				return
			}
			w.Refused(w.now, j, Refusal{Until: 100 * ms, Turn: 2 * sec})
			for g := &w.lookUp("x").limit.gate; g != nil; g = g.next {
				if got := max(g.turn, 0); g.cost == c.cost && got != c.want {
					t.Errorf("the turn for jobs of cost %d is %v after that of cost 3 was told 2s, want %v",
						c.cost, time.Duration(got), time.Duration(c.want))
				}
			}
		}
		w.step()
	}
}

// Of the turns told to batches that crossed the earliest counts, so that none is
// missed; one that has come makes room for the next.
func TestTurnsThatCross(t *testing.T) {
	w := newWorld(t, Config{Workers: many})
	x := limitOn("x", rate(10, time.Second, 1))
	lim := w.limitOf("x")
	lim.params = x.Params
	g := w.gateOf(lim, 1)
	w.wait(0, g, 700*ms)
	w.wait(0, g, 900*ms)
	if g.turn != 700*ms {
		t.Errorf("the turn is %v, want the earlier one, 700ms", time.Duration(g.turn))
	}
	w.wait(0, g, 300*ms)
	if g.turn != 300*ms {
		t.Errorf("the turn is %v, want the earlier one, 300ms", time.Duration(g.turn))
	}
	w.wait(300*ms, g, 900*ms)
	if g.turn != 900*ms {
		t.Errorf("the turn is %v when the one before has come, want 900ms", time.Duration(g.turn))
	}
	w.wait(300*ms, g, 0)
	if g.turn != 900*ms {
		t.Errorf("the turn is %v after an answer without one, want 900ms", time.Duration(g.turn))
	}
}
