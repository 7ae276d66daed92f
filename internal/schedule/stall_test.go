package schedule

import (
	"testing"
	"time"
)

// Trap 26: jobs that are due while all workers are busy do not burst out when
// the workers come free, since their slots are not taken before.
func TestTrap26DueJobsBehindBusyWorkers(t *testing.T) {
	inEachOrder(t, func(t *testing.T, order Order) {
		w := newWorld(t, Config{Workers: 1, Order: order, Horizon: 5 * ms})
		long := w.submit("long")
		w.takes = func(j *Job) int64 {
			if j == long {
				return 60 * sec
			}
			return 0
		}
		w.step()
		for range 20 {
			w.submit("a", limitOn("x", rate(10, time.Second, 1)))
			w.submit("b", limitOn("x", rate(10, time.Second, 1)))
		}
		w.runUntil(59 * sec)
		if tat := w.lookUp("x").limit.state.TAT; tat != 0 {
			t.Errorf("the limit is charged up to %v while no worker is free, want nothing", time.Duration(tat))
		}
		w.run()
		w.wantWindows()
		for i, s := range w.starts[1:] {
			if want := 60*sec + int64(i)*100*ms; s.slot != want {
				t.Errorf("start %d behind the long job: %v, want %v", i, time.Duration(s.slot), time.Duration(want))
			}
		}
	})
}

// Trap 26, with handlers so long that workers are what binds: each start is
// charged when its worker comes free, and no two are closer than the limit says.
func TestTrap26WorkersBind(t *testing.T) {
	w := newWorld(t, Config{Workers: 3})
	w.takes = func(*Job) int64 { return 10 * sec }
	for range 9 {
		w.submit("a", limitOn("x", rate(10, time.Second, 1)))
	}
	w.run()
	w.wantWindows()
	w.wantSlots("a", 0, 100*ms, 200*ms, 10*sec, 10100*ms, 10200*ms, 20*sec, 20100*ms, 20200*ms)
}

// Trap 28: after minutes in which nobody called, the slots that were missed are
// not made up, and everything goes on at its pace.
func TestTrap28StallIsNotMadeUp(t *testing.T) {
	inEachOrder(t, func(t *testing.T, order Order) {
		for _, horizon := range []int64{0, 5 * ms} {
			w := newWorld(t, Config{Workers: many, Order: order, Horizon: horizon})
			for range 300 {
				w.submit("a", limitOn("steady", rate(10, time.Second, 1)))
			}
			for range 300 {
				w.submit("b", limitOn("bursty", rate(10, time.Second, 4)))
			}
			w.runUntil(10 * sec)
			w.now += 5 * 60 * sec
			awake, before := w.now, len(w.starts)
			w.step()
			count := map[string]int{}
			for _, s := range w.starts[before:] {
				count[s.Key()]++
				if s.slot != awake {
					t.Errorf("a job of %q starts at %v, want %v", s.Key(), time.Duration(s.slot), time.Duration(awake))
				}
			}
			if count["a"] != 1 || count["b"] != 4 {
				t.Errorf("after the stall %v start at once, want one burst of each limit: 1 and 4", count)
			}
			w.run()
			w.wantWindows()
			w.wantIdle()
			as, bs := w.of("a"), w.of("b")
			if want := awake + int64(300-101-1)*100*ms; as[299] != want {
				t.Errorf("the last of a starts at %v, want %v", time.Duration(as[299]), time.Duration(want))
			}
			if want := awake + int64(300-104-4)*100*ms; bs[299] != want {
				t.Errorf("the last of b starts at %v, want %v", time.Duration(bs[299]), time.Duration(want))
			}
		}
	})
}

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
