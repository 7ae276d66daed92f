package schedule

import (
	"maps"
	"testing"
	"time"
)

// Taking begins when a slot is Lead ahead, and then goes on up to Horizon: so one
// batch goes out for many slots, and each slot is known before it comes.
func TestLeadAndHorizon(t *testing.T) {
	w := newWorld(t, Config{Workers: many, Horizon: 40 * ms, Lead: 20 * ms})
	x := limitOn("x", rate(100, time.Second, 1))
	for range 12 {
		w.submit("a", x)
	}
	w.run()
	decided := map[int64]int{}
	for i, s := range w.starts {
		if want := int64(i) * 10 * ms; s.slot != want {
			t.Errorf("start %d: %v, want %v", i, time.Duration(s.slot), time.Duration(want))
		}
		decided[s.decided]++
	}
	// At 0 the slots to 40 ms, at 50-20 those to 70, at 80-20 those to 100, at 90
	// the last.
	if want := map[int64]int{0: 5, 30 * ms: 3, 60 * ms: 3, 90 * ms: 1}; !maps.Equal(decided, want) {
		t.Errorf("starts decided by instant: %v, want %v", decided, want)
	}
}

// Without a lead a slot is taken as soon as it is within the horizon.
func TestLeadIsTheHorizonIfNotGiven(t *testing.T) {
	w := newWorld(t, Config{Workers: many, Horizon: 40 * ms})
	x := limitOn("x", rate(100, time.Second, 1))
	for range 7 {
		w.submit("a", x)
	}
	w.run()
	for _, s := range w.starts[5:] {
		if ahead := s.slot - s.decided; ahead != 40*ms {
			t.Errorf("the slot at %v is taken %v ahead, want %v", time.Duration(s.slot), time.Duration(ahead), 40*time.Millisecond)
		}
	}
}

// The reach may change while jobs wait.
func TestReach(t *testing.T) {
	w := newWorld(t, Config{Workers: many})
	x := limitOn("x", rate(100, time.Second, 1))
	for range 10 {
		w.submit("a", x)
	}
	w.step()
	if at, _ := w.Wake(); at != 10*ms {
		t.Errorf("Wake() = %v without a reach, want 10ms", time.Duration(at))
	}
	w.Reach(30*ms, 5*ms)
	if at, _ := w.Wake(); at != 5*ms {
		t.Errorf("Wake() = %v with a lead of 5ms, want 5ms", time.Duration(at))
	}
	w.runUntil(5 * ms)
	if got := len(w.starts); got != 4 {
		t.Errorf("%d jobs are taken at 5ms, want 4: those with slots up to 35ms", got)
	}
	w.run()
}
