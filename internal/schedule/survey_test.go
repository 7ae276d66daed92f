package schedule

import (
	"fmt"
	"testing"

	"github.com/freqlimit/dispatcher/backend"
)

// checkSurvey panics unless a survey finds all jobs that wait: for random histories.
func (s *Scheduler) checkSurvey(now int64) {
	waiting := 0
	s.Survey(now, func(_ string, n, _ int, _ Standing) { waiting += n })
	if waiting != s.Waiting() {
		panic(fmt.Sprintf("the survey finds %d jobs, want %d", waiting, s.Waiting()))
	}
}

// Each lane stands where its first job does.
func TestSurvey(t *testing.T) {
	w := newWorld(t, Config{Workers: 9, Serial: true})
	w.takes = func(*Job) int64 { return 1000 }
	slow := limitOn("slow", rate(1, 100, 1))
	w.submit("limited", slow)
	w.submitAt(1, "behind")
	w.submit("behind")
	w.submit("behind")
	w.submit("held")
	w.submit("under", limitOn("closed", rate(1, 100, 1)))
	w.submit("paused")
	w.submit("paused")
	w.PauseKey(w.now, "paused")
	w.delay("held", 500)
	w.delay("closed", 500)
	w.SubmitDated(0, newJob(0), "dated", 0, nil, Dates{NotBefore: 500})
	w.step()
	w.submit("other", slow)
	w.submit("other", slow)
	w.step()
	type load struct {
		waiting, running int
		is               Standing
	}
	survey := func() map[string]load {
		got := map[string]load{}
		w.Survey(w.now, func(key string, waiting, running int, is Standing) {
			if waiting > 0 {
				got[key] = load{waiting, running, is}
			}
		})
		return got
	}
	want := map[string]load{
		"behind": {2, 0, StandingBehind}, // the one that runs is of another priority
		"held":   {1, 0, StandingHeld},
		"under":  {1, 0, StandingHeld},
		"paused": {2, 0, StandingPaused},
		"dated":  {1, 0, StandingDated},
		"other":  {2, 0, StandingLimited},
	}
	if got := survey(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the survey is %v, want %v", got, want)
	}
	w.SetWorkers(w.now, 2) // both are busy
	w.submit("ready", []backend.Limit{}...)
	want["ready"] = load{1, 0, StandingReady}
	if got := survey(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("with all workers busy the survey is %v, want %v", got, want)
	}
	w.Pause()
	for key, l := range survey() {
		if l.is != StandingPaused && key != "dated" {
			t.Errorf("while all is paused %q stands as %d, want %d", key, l.is, StandingPaused)
		}
	}
}
