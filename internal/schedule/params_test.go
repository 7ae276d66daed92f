package schedule

import (
	"testing"
	"time"
)

// Trap 9: a limit that is raised under debt lets the jobs that wait go at the new
// pace at once.
func TestTrap9RaisedUnderDebt(t *testing.T) {
	w := newWorld(t, Config{Workers: many})
	for range 3 {
		w.submit("a", limitOn("x", rate(1, time.Hour, 1)))
	}
	w.runUntil(sec)
	w.submit("b", limitOn("x", rate(1, time.Second, 1)))
	w.run()
	if last := w.last(); last > 5*sec {
		t.Errorf("after the limit was raised to one per second the last of four jobs starts at %v, want 5s at most",
			time.Duration(last))
	}
	w.wantIdle()
}

// Trap 9: a Burst that is raised counts at once.
func TestTrap9BurstRaisedUnderDebt(t *testing.T) {
	w := newWorld(t, Config{Workers: many})
	w.submit("a", limitOn("x", rate(1, time.Minute, 1)))
	w.submit("a", limitOn("x", rate(1, time.Minute, 1)))
	w.runUntil(sec)
	w.submit("a", limitOn("x", rate(1, time.Minute, 2)))
	w.run()
	w.wantSlots("a", 0, sec, 60*sec)
}

// Trap 9: a limit that is lowered under debt has no burst to give that was used
// up before: from then on starts are as far apart as the new params say.
func TestTrap9LoweredUnderDebt(t *testing.T) {
	w := newWorld(t, Config{Workers: many})
	for range 6 {
		w.submit("a", limitOn("x", rate(10, time.Second, 5)))
	}
	w.step()
	w.submit("a", limitOn("x", rate(1, time.Second, 5)))
	w.run()
	w.wantSlots("a", 0, 0, 0, 0, 0, sec, 2*sec)
}

// Trap 8: jobs that give one limit different params. The newest hold, and no
// job is lost or early by them.
func TestTrap8OneKeyTwoParams(t *testing.T) {
	inEachOrder(t, func(t *testing.T, order Order) {
		w := newWorld(t, Config{Workers: many, Order: order})
		slow, fast := rate(1, time.Second, 1), rate(10, time.Second, 1)
		for range 10 {
			w.submit("a", limitOn("x", slow))
			w.submit("b", limitOn("x", fast))
		}
		w.run()
		for i, s := range w.starts {
			if want := int64(i) * 100 * ms; s.slot != want {
				t.Errorf("start %d: %v, want %v, by the params of the job submitted last",
					i, time.Duration(s.slot), time.Duration(want))
			}
		}
		w.wantIdle()
	})
}

// A job is under two limits whose keys are its own and another's: each counts
// once.
func TestTrap8OwnKeyAndOthers(t *testing.T) {
	w := newWorld(t, Config{Workers: many})
	for range 2 {
		w.submit("a", limitOn("a", perKey), limitOn("b", perKey))
	}
	w.submit("b", limitOn("b", perKey))
	w.run()
	w.wantWindows()
	if want := 2 * sec; w.last() != want {
		t.Errorf("the last start is at %v, want %v", time.Duration(w.last()), time.Duration(want))
	}
}
