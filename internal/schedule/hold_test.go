package schedule

import (
	"testing"
	"time"
)

// Trap 12: a shorter hold never shortens a longer one.
func TestTrap12HoldOnlyExtends(t *testing.T) {
	w := newWorld(t, Config{Workers: many})
	w.delay("a", 10*sec)
	w.delay("a", 2*sec)
	w.submit("a")
	w.submit("a", limitOn("x", perShared))
	w.runUntil(5 * sec)
	w.delay("a", sec)
	w.delay("a", -sec)
	w.delay("a", 0)
	w.run()
	w.wantSlots("a", 10*sec, 10*sec)

	w.submit("a")
	w.delay("a", sec)
	w.delay("a", 3*sec)
	w.run()
	w.wantSlots("a", 10*sec, 10*sec, 13*sec)
}

// Trap 12: a hold concerns its key alone, whichever limits others share with
// it, and the results of others do not end it.
func TestTrap12HoldLeavesOthersAlone(t *testing.T) {
	w := newWorld(t, Config{Workers: many})
	for range 2 {
		w.submit("a", limitOn("shared", rate(10, time.Second, 1)), limitOn("a", perKey))
	}
	for range 3 {
		w.submit("b", limitOn("shared", rate(10, time.Second, 1)), limitOn("b", perKey))
	}
	w.delay("a", 90*sec)
	w.run()
	w.wantSlots("a", 90*sec, 91*sec)
	w.wantSlots("b", 0, sec, 2*sec)
}

// Trap 12: a hold of a key holds its jobs up when they are under no limit of
// that name, and all who are under a limit of that name.
func TestTrap12HoldIsOfKeyAndLimit(t *testing.T) {
	w := newWorld(t, Config{Workers: many})
	w.submit("a", limitOn("x", perShared))
	w.submit("a")
	w.submit("b", limitOn("a", perShared))
	w.submit("c", limitOn("x", perShared))
	w.delay("a", sec)
	w.run()
	w.wantSlots("a", sec, sec)
	w.wantSlots("b", sec)
	w.wantSlots("c", 0)
}

// Trap 12: a job that comes back with a hold, as after a 429, keeps its
// place before the jobs behind it.
func TestTrap12JobRunsAgainAfterHold(t *testing.T) {
	inEachOrder(t, func(t *testing.T, order Order) {
		w := newWorld(t, Config{Workers: many, Order: order})
		w.takes = func(*Job) int64 { return 100 * ms }
		first := w.submit("a", limitOn("a", perKey))
		second := w.submit("a", limitOn("a", perKey))
		other := w.submit("b", limitOn("b", perKey))
		tries := 0
		w.again = func(j *Job) bool {
			if j != first || tries == 2 {
				return false
			}
			tries++
			w.delay("a", 7*sec)
			return true
		}
		w.run()
		w.wantSlots("a", 0, 7100*ms, 14200*ms, 15200*ms)
		w.wantSlots("b", 0)
		if last := w.starts[len(w.starts)-1].Job; last != second || other.Slot != 0 {
			t.Errorf("the last start is of a job of %q, want the second of a", last.Key())
		}
		w.wantIdle()
	})
}

// Trap 32: a held key comes back by itself, a horizon ahead, and a job that
// is submitted while it is held counts on no other event.
func TestTrap32HeldKeyComesBack(t *testing.T) {
	for _, horizon := range []int64{0, 5 * ms} {
		w := newWorld(t, Config{Workers: 1, Horizon: horizon})
		w.delay("a", sec)
		w.submit("a")
		w.step()
		if at, ok := w.Wake(); !ok || at != sec-horizon {
			t.Errorf("horizon %v: Wake() = %v, %v, want %v", time.Duration(horizon),
				time.Duration(at), ok, time.Duration(sec-horizon))
		}
		w.run()
		w.wantSlots("a", sec)
		w.wantIdle()
	}
}

// A hold that a refusal tells of holds for the jobs of that key too, those
// that are under no limit and wait for a worker, and however soon it is over.
func TestHoldHeardOfByARefusal(t *testing.T) {
	w := newWorld(t, Config{Workers: 2, Horizon: 40 * ms, Shared: true})
	k := limitOn("k", rate(1, 40*time.Second, 1))
	hold := w.submit("hold")
	w.Next(0)
	w.submit("asks", k)
	asks, _ := w.Next(0)
	for range 3 {
		w.submit("k")
	}
	w.now = 10 * ms
	w.Refused(w.now, asks, Refusal{Until: 32 * ms, Held: true})
	w.Finished(w.now, hold, false)
	w.answer = w.refuseUntil(0, sec)
	w.runUntil(50 * ms)
	w.wantSlots("k", 32*ms, 32*ms, 32*ms)
}
