package schedule

import (
	"fmt"
	"testing"
	"time"
)

const hour = 3600 * sec

// What the backend has forgotten, the scheduler forgets: holds, as limits and as keys of
// jobs, and debts.
func TestCleared(t *testing.T) {
	w := newWorld(t, Config{Workers: many})
	x, y := limitOn("x", rate(1, time.Hour, 1)), limitOn("y", rate(1, time.Hour, 1))
	w.submit("first", x)
	w.delay("key", 2*hour)
	w.delay("y", 2*hour)
	w.submit("key")
	w.submit("a", x)
	w.submit("b", y)
	w.submit("c", x, y)
	w.runUntil(10 * sec)
	clear(w.ledger)
	clear(w.closed)
	w.answer = w.grant
	for w.Clear(); !w.ClearSome(w.now); {
	}
	w.run()
	for _, key := range []string{"key", "a", "b"} {
		w.wantSlots(key, 10*sec)
	}
	w.wantSlots("c", 10*sec+hour)
	w.runUntil(w.now + 10*hour)
	w.wantNothingKept()
}

// A few limits are cleared at a time, and meanwhile some come and others go: none of those
// that were there is left out.
func TestClearSome(t *testing.T) {
	w := newWorld(t, Config{Workers: many})
	want := map[string]bool{}
	for i := range 3*fewLimits + 1 {
		key := fmt.Sprint(i)
		if i%3 == 0 {
			w.delay(key, sec) // it goes meanwhile
			continue
		}
		w.delay(key, hour)
		w.submit(key)
		want[key] = true
	}
	steps := 1
	for w.Clear(); !w.ClearSome(w.now); steps++ {
		w.delay(fmt.Sprint("late", steps), hour)
		w.now += 700 * ms
		w.step() // forgets
	}
	if steps < 3 {
		t.Errorf("%d limits are cleared in %d steps, want several", 3*fewLimits+1, steps)
	}
	clear(w.closed)
	w.run()
	for _, s := range w.starts {
		if s.slot > 3*sec {
			t.Errorf("a job of key %q starts at %v, want it when all was cleared", s.Key(), time.Duration(s.slot))
		}
		delete(want, s.Key())
	}
	if len(want) > 0 {
		t.Errorf("%d jobs have not started", len(want))
	}
	for i := 1; i < steps; i++ {
		w.submit(fmt.Sprint("late", i))
	}
	w.run()
	if got := w.starts[len(w.starts)-steps+1:]; got[0].slot < hour {
		t.Errorf("the jobs of keys that were held meanwhile start from %v on, want 1h", time.Duration(got[0].slot))
	}
}

// A hold that is made after all was cleared, of a key whose turn to be cleared has not come,
// is shorter than the one that was forgotten.
func TestHoldWhileClearing(t *testing.T) {
	w := newWorld(t, Config{Workers: many})
	w.delay("key", hour)
	for i := range 2 * fewLimits {
		w.delay(fmt.Sprint(i), hour)
	}
	w.submit("key")
	w.Clear()
	w.ClearSome(w.now)
	w.Hold(w.now, "key", 5*sec)
	for !w.ClearSome(w.now) {
	}
	w.run()
	w.wantSlots("key", 5*sec)
}
