package schedule

import (
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// A job that was taken for a slot ahead of now is refused because of one of its limits, or was not
// asked about. The others open when they did before: not at that slot.
func TestRefusedLeavesOtherLimitsAsTheyWere(t *testing.T) {
	for name, answer := range map[string]func(w *world) func(*Job){
		"refused":  func(w *world) func(*Job) { return w.refuseUntil(0, sec) },
		"rejected": func(w *world) func(*Job) { return func(j *Job) { w.Rejected(w.now, j) } },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, Config{Workers: many, Horizon: 5 * ms})
			opensAt4 := limitOn("x", rate(1, 4*time.Millisecond, 1))
			y := limitOn("y", rate(1, time.Second, 2))
			w.submit("first", opensAt4)
			w.script("a", answer(w))
			w.step()
			w.submit("a", opensAt4, y) // is taken for 4 ms
			w.step()
			w.submit("b", costly("y", y.Params, 2))
			w.step()
			w.wantSlots("b", 0)
		})
	}
}

// Of several jobs of a batch that were all refused, in whatever order, the last one leaves the
// limit as it was.
func TestUnchargeTheLatestFirst(t *testing.T) {
	w := newWorld(t, Config{Workers: many, Horizon: 5 * ms})
	y := rate(1, time.Second, 3)
	var asked []*Job
	w.answer = func(j *Job) { asked = append(asked, j) }
	for _, key := range []string{"a", "b", "c"} {
		w.submit(key, limitOn("x"+key, perKey), limitOn("y", y))
	}
	w.step()
	if len(asked) != 3 {
		t.Fatalf("%d jobs are taken at once, want 3", len(asked))
	}
	for i := range asked {
		w.Refused(w.now, asked[len(asked)-1-i], Refusal{Binding: 0, Until: sec})
	}
	w.answer = nil
	w.submit("d", costly("y", y, 3))
	w.step()
	w.wantSlots("d", 0)
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
