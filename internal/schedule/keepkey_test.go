package schedule

import (
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// comeBack is how a job comes back to the front of its lane.
var comeBack = map[string]func(w *world, j *Job){
	"at once": func(w *world, j *Job) { w.Finished(w.now, j, true) },
	"held":    func(w *world, j *Job) { w.Later(w.now, j, w.now+10*sec, true) },
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
