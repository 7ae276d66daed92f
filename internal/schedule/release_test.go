package schedule

import (
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

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
