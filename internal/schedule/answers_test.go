package schedule

import (
	"testing"
	"time"
)

// script answers the jobs of one key by what it says, one after another, and
// then grants, as it does for all others.
func (w *world) script(key string, answers ...func(j *Job)) {
	w.answer = func(j *Job) {
		if j.Key() != key || len(answers) == 0 {
			w.grant(j)
			return
		}
		answers[0](j)
		answers = answers[1:]
	}
}

// refuseUntil is the answer that limit number binding opens then.
func (w *world) refuseUntil(binding int, until int64) func(*Job) {
	return func(j *Job) { w.Refused(w.now, j, Refusal{Binding: binding, Until: until}) }
}

// Failing again and again loses no job and no order, and takes no slot.
func TestFailedAgainAndAgain(t *testing.T) {
	w := newWorld(t, Config{Workers: 1, Horizon: 5 * ms})
	var jobs []*Job
	for range 4 {
		jobs = append(jobs, w.submit("a", limitOn("x", rate(10, time.Second, 2))))
	}
	tries := 0
	w.answer = func(j *Job) {
		if tries++; tries <= 10 {
			w.Failed(w.now, j, w.now+sec)
			return
		}
		w.grant(j)
	}
	w.run()
	if tries != 14 {
		t.Errorf("%d requests, want 14", tries)
	}
	back := w.starts[0].slot
	w.wantSlots("a", back, back, back+100*ms, back+200*ms)
	for i, s := range w.starts {
		if s.Job != jobs[i] {
			t.Errorf("start %d is not of job %d", i, i)
		}
	}
	w.wantIdle()
}

// A backend may grant a later slot than was foreseen: the job starts then, and
// the limit is known to be taken until after.
func TestGrantedLater(t *testing.T) {
	w := newWorld(t, Config{Workers: many, Horizon: 50 * ms})
	w.submit("a", limitOn("x", perKey))
	w.submit("b", limitOn("x", perKey))
	w.script("a", func(j *Job) {
		limits := w.Request(j, nil)
		w.Granted(w.now, j, 30*ms)
		w.begin(j, limits)
	})
	w.run()
	w.wantSlots("a", 30*ms)
	w.wantSlots("b", sec+30*ms)
}

// A job may be to run again while the next of its lane is being asked for: then
// it comes right behind that, and before it again if that is refused.
func TestFinishedAgainBehindTheOneAsking(t *testing.T) {
	w := newWorld(t, Config{Workers: many})
	first := w.submit("a", limitOn("x", perKey))
	second := w.submit("a", limitOn("x", perKey))
	third := w.submit("a", limitOn("x", perKey))
	asks := func(now int64, want *Job) {
		t.Helper()
		if j, ask := w.Next(now); j != want || !ask {
			t.Fatalf("Next(%v) = %v, %v, want %v, to be asked for", time.Duration(now), j, ask, want)
		}
	}
	asks(0, first)
	w.Granted(0, first, 0)
	asks(sec, second)
	w.Finished(sec, first, true)
	w.Refused(sec, second, Refusal{Binding: 0, Until: 2 * sec})
	asks(2*sec, first)
	w.Granted(2*sec, first, 2*sec)
	asks(3*sec, second)
	w.Granted(3*sec, second, 3*sec)
	asks(4*sec, third)
	w.Granted(4*sec, third, 4*sec)
	for _, j := range []*Job{third, first, second} {
		w.Finished(5*sec, j, false)
	}
	w.wantIdle()
}

// The last of a lane comes back while the lane is empty, or has been refilled.
func TestFinishedAgainToAnEmptyLane(t *testing.T) {
	w := newWorld(t, Config{Workers: many})
	w.takes = func(*Job) int64 { return sec }
	first := w.submit("a")
	again := true
	w.again = func(j *Job) bool {
		defer func() { again = false }()
		return again
	}
	w.step()
	w.runUntil(sec / 2)
	w.run()
	w.wantSlots("a", 0, sec)
	if w.starts[1].Job != first {
		t.Error("the second start is of another job")
	}
	w.wantIdle()
}

// With AskAll the backend is asked for jobs without limits too. While it fails they wait.
func TestAskAll(t *testing.T) {
	w := newWorld(t, Config{Workers: many, Horizon: 5 * ms, AskAll: true})
	for range 3 {
		w.submit("a")
	}
	tries := 0
	w.answer = func(j *Job) {
		if tries++; tries == 1 {
			w.Failed(w.now, j, w.now+sec)
			return
		}
		w.grant(j)
	}
	w.run()
	if tries != 4 {
		t.Errorf("%d requests, want 4", tries)
	}
	again := sec - 5*ms // it is asked a horizon ahead
	w.wantSlots("a", again, again, again)
	w.wantIdle()
}
