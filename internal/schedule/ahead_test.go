package schedule

import "testing"

// A head whose place a job takes whose date is within the horizon, if nothing can be taken
// there, gets it back with its rank: whether that job is of its lane, or of another one of a
// serial key.
func TestLookingAheadChangesNoRank(t *testing.T) {
	for name, dated := range map[string]func(w *world) *Job{
		"of the lane": func(w *world) *Job {
			j := w.submit("a")
			w.step()
			w.running = nil
			w.Later(w.now, j, 10, false)
			return j
		},
		"of a sibling": func(w *world) *Job {
			j := newJob(0)
			w.SubmitDated(w.now, j, "a", 1, nil, Dates{NotBefore: 10})
			return j
		},
		"of one of its peers": func(w *world) *Job {
			j := newJob(0)
			w.SubmitDated(w.now, j, "a", 1, w.Request(w.firstOf("a"), nil), Dates{NotBefore: 10})
			return j
		},
	} {
		w := newWorld(t, Config{Workers: 1, Serial: true, Horizon: 5})
		x, y := limitOn("x", rate(1, 100, 1)), limitOn("y", rate(1, 300, 1))
		w.submit("both", x, y)
		w.step()
		var j *Job
		if name == "of the lane" {
			j = dated(w)
		}
		w.submit("b", x, y) // ready at 300
		a := w.submit("a", x)
		if j == nil {
			j = dated(w)
		}
		w.delay("x", 1000)
		w.delay("a", 1000)
		w.runUntil(6)
		if w.tried.len() == 0 {
			t.Fatalf("%s: nobody has looked at the job with a date", name)
		}
		w.Remove(w.now, j)
		w.run()
		if first := w.starts[len(w.starts)-2]; first.Job != a {
			t.Errorf("%s: a job of %q starts first, want the one that was ready first, of %q", name, first.Key(), a.Key())
		}
		w.wantIdle()
	}
}
