package schedule

import (
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// An invalidated limit is asked for at once, whatever was known of it: debt, or a turn. The
// backend's answer ends that.
func TestInvalidate(t *testing.T) {
	w := newWorld(t, Config{Workers: many, Horizon: 20 * ms, Lead: 10 * ms, Shared: true})
	asked := 0
	w.answer = func(j *Job) {
		if asked++; w.now < 50*sec {
			w.Refused(w.now, j, Refusal{Until: 100 * sec, Turn: 105 * sec})
		} else {
			w.Refused(w.now, j, Refusal{Until: 60 * sec})
		}
	}
	w.submit("a", limitOn("x", rate(1, time.Minute, 1)))
	w.runUntil(20 * sec)
	w.Invalidate(w.now, "x")
	w.Invalidate(w.now, "unknown")
	w.runUntil(20 * sec)
	if asked != 2 {
		t.Errorf("the backend was asked %d times when the limit was invalidated once, want 2", asked)
	}
	w.runUntil(50 * sec)
	if asked != 2 {
		t.Errorf("the backend was asked %d times after it had answered, want 2", asked)
	}
	w.Invalidate(w.now, "x")
	w.step()
	w.wantAsked("a", 60*sec-10*ms)
}

// When slots are given back the backend is asked how the limit stands: nobody waits by what it
// was thought to owe. Until it answers, a forecast goes by what was given back.
func TestGivenBackIsAskedFor(t *testing.T) {
	w := newWorld(t, Config{Workers: many, Horizon: 5 * ms})
	l := limitOn("x", rate(1, time.Hour, 2))
	for range 3 {
		w.submit("a", l)
	}
	w.step() // takes two
	if len(w.starts) != 2 {
		t.Fatalf("%d jobs have started, want 2", len(w.starts))
	}
	asked := 0
	w.answer = func(j *Job) {
		asked++
		w.Refused(w.now, j, Refusal{Binding: 0, Until: 30 * sec})
	}
	w.runUntil(sec)
	if asked != 0 {
		t.Fatalf("the backend is asked %d times while the limit is closed, want 0", asked)
	}
	w.GivenBack(w.now, []backend.Limit{l, limitOn("unknown", perKey)})
	if lim := w.lookUp("x").limit; w.expected(lim).TAT != int64(time.Hour) {
		t.Errorf("TAT is expected to be %v when one of two was given back, want 1h", time.Duration(w.expected(lim).TAT))
	}
	w.step()
	if asked != 1 {
		t.Errorf("the backend is asked %d times after a slot was given back, want once", asked)
	}
	w.answer = nil
	if at, ok := w.Wake(); !ok || at != 30*sec-5*ms {
		t.Errorf("Wake() = %v, %v, want when the backend said, less the horizon", time.Duration(at), ok)
	}
}

// If the picture of a limit is unconfirmed, the backend is asked before anybody waits.
func TestNobodyWaitsForAnUnconfirmedPicture(t *testing.T) {
	w, saver, other := saving(t, Dates{})
	w.answer = func(j *Job) {
		if j == saver {
			w.Refused(w.now, j, Refusal{Binding: 1, Until: 3600 * sec}) // y: others have taken it
			return
		}
		w.grant(j)
	}
	w.Invalidate(w.now, "x")
	w.runUntil(w.now)
	if got, want := other.Slot, w.now; got != want {
		t.Errorf("the other job starts at %v, want %v", time.Duration(got), time.Duration(want))
	}
}
