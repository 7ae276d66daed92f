package schedule

import (
	"slices"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// comeBack is how a job comes back to the front of its lane.
var comeBack = map[string]func(w *world, j *Job){
	"at once": func(w *world, j *Job) { w.Finished(w.now, j, true) },
	"held":    func(w *world, j *Job) { w.Later(w.now, j, w.now+10*sec, true) },
}

// startsOf plays a world to its end, and returns the starts since, by name.
func (w *world) startsOf(names map[*Job]string) (order []string) {
	w.tb.Helper()
	before := len(w.starts)
	w.run()
	for _, s := range w.starts[before:] {
		order = append(order, names[s.Job])
	}
	return order
}

// While a job that has come back waits, for its date or for its limit, no job of its key
// and a lower priority starts, and none at all in a serial key. Others do.
func TestNothingOvertakesAJobThatCameBack(t *testing.T) {
	for name, back := range comeBack {
		for _, serial := range []bool{false, true} {
			w := newWorld(t, Config{Workers: many, Serial: serial, Horizon: 5 * ms})
			slow := limitOn("slow", rate(1, time.Minute, 1))
			first := w.submit("a", slow)
			w.step()
			w.running = nil // it ends here
			names := map[*Job]string{first: "first", w.submitAt(-1, "a"): "low"}
			w.step()
			if !serial {
				w.running = nil
				w.Finished(w.now, w.starts[1].Job, false) // a lower priority may start while it runs
				names[w.submitAt(-1, "a", limitOn("open", perKey))] = "low"
			}
			back(w, first)
			names[w.submitAt(-2, "a")] = "lowest"
			names[w.submitAt(0, "a")] = "behind"
			names[w.submitAt(1, "a")] = "high"
			names[w.submit("b")] = "other"
			want := []string{"high", "other", "first", "behind", "low", "lowest"}
			if serial {
				want = []string{"other", "first", "high", "behind", "low", "lowest"}
			}
			if got := w.startsOf(names); !slices.Equal(got, want) {
				t.Errorf("%s, serial %v: the order of starts is %q, want %q", name, serial, got, want)
			}
			if at := w.starts[len(w.starts)-1].slot; at != 60*sec {
				t.Errorf("%s, serial %v: the last start is at %v, want right behind the first's, 1m", name, serial, time.Duration(at))
			}
			w.wantIdle()
		}
	}
}

// What has waited for a job that came back goes on when that ends without a start.
func TestAJobThatCameBackEnds(t *testing.T) {
	for name, back := range comeBack {
		for how, end := range map[string]func(w *world, j *Job){
			"removed": func(w *world, j *Job) { w.Remove(w.now, j) },
			"rejected": func(w *world, j *Job) {
				w.now += 120 * sec
				if asked, ask := w.Next(w.now); asked != j || !ask {
					w.tb.Fatalf("Next() = %v, %v, want the job that came back, to be asked for", asked, ask)
				}
				w.Rejected(w.now, j)
			},
			"expired": func(w *world, _ *Job) { w.now += 31 * sec },
			"ruled out": func(w *world, _ *Job) {
				w.setParams("slow", rate(1, time.Minute, 1))
			},
			"cut off": func(w *world, _ *Job) {
				c := w.Cut(w.now, "a")
				w.submitAt(-1, "a")
				w.step()
				for c.Remove(1, func(*Job) {}) {
				}
			},
		} {
			w := newWorld(t, Config{Workers: many, Serial: true})
			j := newJob(0)
			dates := Dates{}
			if how == "expired" {
				dates.Deadline = 30 * sec
			}
			w.SubmitDated(0, j, "a", 0, []backend.Limit{costly("slow", rate(1, time.Minute, 2), 2)}, dates)
			w.step()
			w.running = nil
			w.submitAt(-1, "a")
			back(w, j)
			w.step()
			if n := w.Waiting(); n != 2 {
				t.Fatalf("%s, %s: %d jobs wait, want both", name, how, n)
			}
			end(w, j)
			w.step()
			if n := w.Waiting(); n != 0 {
				t.Errorf("%s, %s: %d jobs wait, want the one behind it to start at once", name, how, n)
			}
			w.run()
			w.wantIdle()
		}
	}
}
