package schedule

import (
	"testing"
	"time"
)

// Slots follow the limits, not the wake-ups: while each wake-up is late, but by
// less than an interval and no more than the horizon hides, the rate is kept.
func TestLateWakeUpsDoNotLowerTheRate(t *testing.T) {
	w := newWorld(t, Config{Workers: many, Horizon: 5 * ms})
	for range 100 {
		w.submit("a", limitOn("x", rate(100, time.Second, 1)))
	}
	for w.step(); w.Waiting() > 0; w.step() {
		at, _ := w.Wake()
		w.now = max(w.now, at) + 5*ms
	}
	if want := 99 * 10 * ms; w.last() != want {
		t.Errorf("with each wake-up 5 ms late the last start is at %v, want %v",
			time.Duration(w.last()), time.Duration(want))
	}
}

// Trap 32: a job that is submitted to an idle scheduler starts with the next
// call, and nothing has to happen first.
func TestTrap32SubmitToIdle(t *testing.T) {
	w := newWorld(t, Config{Workers: 1})
	w.step()
	if at, ok := w.Wake(); ok {
		t.Errorf("Wake() of an idle scheduler = %v, want none", time.Duration(at))
	}
	w.now = sec
	w.submit("a", limitOn("x", perShared))
	w.step()
	w.now = 2 * sec
	w.step()
	w.submit("b")
	w.step()
	w.wantSlots("a", sec)
	w.wantSlots("b", 2*sec)
}

// Trap 32: while all workers are busy there is no instant to wake at; the end of
// the last handler is what starts the next job.
func TestTrap32LastWorkerFinishing(t *testing.T) {
	w := newWorld(t, Config{Workers: 2})
	w.takes = func(*Job) int64 { return 3 * sec }
	for range 3 {
		w.submit("a", limitOn("x", perShared))
	}
	w.runUntil(sec)
	if w.Idle() != 0 {
		t.Fatalf("%d workers are idle, want none", w.Idle())
	}
	if at, ok := w.Wake(); ok {
		t.Errorf("Wake() with all workers busy = %v, want none", time.Duration(at))
	}
	w.run()
	w.wantSlots("a", 0, 33333334, 3*sec)
	w.wantIdle()
}
