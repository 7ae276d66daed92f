package schedule

import (
	"testing"
	"time"
)

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

// A hold that a refusal reports also applies to the jobs of that key that are under no limit and wait
// for a worker, however soon it ends.
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
