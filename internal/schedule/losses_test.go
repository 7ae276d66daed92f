package schedule

import (
	"maps"
	"math"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
)

// checkBinding looks at what bind noted of a job that was taken and that is granted at
// once: until when, by the test's own ledger, the limit that opens last was closed, if
// that is later than all else that the job waited for.
func (w *world) checkBinding(j *Job) {
	w.tb.Helper()
	if taskOf(j).submitted == unknown || w.cfg.Shared {
		return
	}
	opens := int64(0)
	for _, l := range w.Request(j, nil) {
		opens = max(opens, w.closed[l.Key], w.ledger[l.Key].Slot(math.MinInt64, l.Params, l.Units()))
	}
	since := max(taskOf(j).submitted, j.lane.lastSlot, w.outage)
	if d := w.dated[j]; d != nil {
		since = max(since, d.NotBefore)
	}
	before := w.allLost()
	w.Lost(j, taskOf(j).submitted)
	lost := w.allLost() - before
	if want := max(0, opens-since); lost != want {
		w.tb.Fatalf("a job of key %q has lost %v to its limits, want %v, from %v to %v",
			j.Key(), time.Duration(lost), time.Duration(want), time.Duration(since), time.Duration(opens))
	}
}

func (w *world) allLost() int64 {
	sum := int64(0)
	w.Losses(func(_ string, _ gcra.FreqLimitParams, lost int64) { sum += lost })
	return sum
}

// What a job waits counts for the limit that opens last, from when nothing else kept it.
func TestLosses(t *testing.T) {
	w := newWorld(t, Config{Workers: many})
	shared, own := limitOn("shared", rate(2, time.Second, 1)), limitOn("a", rate(1, 10*time.Second, 1))
	grant := func(key string, limits ...backend.Limit) {
		t.Helper()
		submitted := w.now
		j := w.submit(key, limits...)
		for {
			if taken, _ := w.Next(w.now); taken == j {
				break
			}
			at, ok := w.Wake()
			if !ok {
				t.Fatal("the job is not taken")
			}
			w.now = max(w.now, at)
		}
		w.Lost(j, submitted)
		w.grant(j)
	}
	want := func(want map[string]int64) {
		t.Helper()
		got := map[string]int64{}
		w.Losses(func(key string, p gcra.FreqLimitParams, lost int64) {
			if p != shared.Params && p != own.Params {
				t.Errorf("limit %q has params %v", key, p)
			}
			got[key] = lost
		})
		if !maps.Equal(got, want) {
			t.Errorf("at %v lost %v, want %v", time.Duration(w.now), got, want)
		}
	}
	grant("a", shared, own)
	want(map[string]int64{})
	grant("b", shared)
	want(map[string]int64{"shared": sec / 2})
	w.runUntil(sec)
	grant("c", shared)
	grant("a", shared, own) // shared opens at 1.5 s, own at 10 s
	want(map[string]int64{"shared": sec / 2, "a": 9 * sec})
	w.delay("shared", 5*sec)
	grant("d", shared) // its turn comes with the end of the hold
	want(map[string]int64{"shared": sec/2 + 5*sec, "a": 9 * sec})
	if len(w.bound) != 0 {
		t.Errorf("%d jobs are noted, and none asks", len(w.bound))
	}
}

// What limits have cost is remembered when they are out of use, but not for as many as
// there may be keys.
func TestLossesAreBounded(t *testing.T) {
	for _, c := range []struct{ limits, want int }{{10, 10}, {2 * muchMemory, muchMemory}} {
		w := newWorld(t, Config{Workers: many})
		w.answer = func(j *Job) {
			w.Lost(j, 0)
			w.grant(j)
		}
		for i := range 2 * c.limits {
			key := laneKey(i / 2)
			w.submit(key, limitOn(key, rate(1, time.Second, 1)))
		}
		w.run()
		if got := len(w.lost); got != c.limits {
			t.Errorf("%d limits have cost something, want %d", got, c.limits)
		}
		w.runUntil(time.Hour.Nanoseconds())
		if got := len(w.lost); got != c.want {
			t.Errorf("an hour later, of %d limits what %d have cost is known, want %d", c.limits, got, c.want)
		}
	}
}

// A refusal counts once, when the job is granted at last.
func TestLossesAfterRefusal(t *testing.T) {
	w := newWorld(t, Config{Workers: many, Shared: true})
	j := w.submit("a", limitOn("x", rate(1, time.Second, 1)))
	for range 3 {
		if taken, ask := w.Next(w.now); taken != j || !ask {
			t.Fatalf("Next() at %v = %v, %v, want the job", time.Duration(w.now), taken, ask)
		}
		w.Refused(w.now, j, Refusal{Until: w.now + sec})
		if taken, _ := w.Next(w.now); taken != nil {
			t.Fatal("Next() takes a job whose limit is closed")
		}
		if len(w.bound) != 0 {
			t.Error("a job that was refused is noted")
		}
		w.now += sec
	}
	if taken, _ := w.Next(w.now); taken != j {
		t.Fatal("the job is not taken")
	}
	w.Lost(j, 0)
	w.Granted(w.now, j, w.now)
	w.Losses(func(key string, _ gcra.FreqLimitParams, lost int64) {
		if key != "x" || lost != 3*sec {
			t.Errorf("limit %q has cost %v, want x 3s", key, time.Duration(lost))
		}
	})
	if len(w.lost) != 1 || len(w.bound) != 0 {
		t.Errorf("%d limits have cost something, %d jobs are noted, want 1 and 0", len(w.lost), len(w.bound))
	}
}

// A limit costs nothing while a date, or the backend, keeps its jobs waiting anyway.
func TestLossesBeginAfterOtherWaits(t *testing.T) {
	for _, c := range []struct {
		why  string
		wait func(w *world, j *Job)
		want int64
	}{
		{"nothing", func(w *world, j *Job) { w.SubmitDated(0, j, "a", 0, x10(), Dates{}) }, 10 * sec},
		{"a date", func(w *world, j *Job) { w.SubmitDated(0, j, "a", 0, x10(), Dates{NotBefore: 4 * sec}) }, 6 * sec},
		{"the backend", func(w *world, j *Job) {
			other := w.submit("b", limitOn("y", rate(1, time.Second, 1)))
			w.Next(0)
			w.Failed(0, other, 7*sec)
			w.SubmitDated(0, j, "a", 0, x10(), Dates{})
		}, 3 * sec},
	} {
		w := newWorld(t, Config{Workers: many})
		w.submit("a", x10()...)
		w.step()
		job := newJob(1)
		c.wait(w, job)
		w.answer = func(j *Job) {
			w.Lost(j, 0)
			w.grant(j)
		}
		w.run()
		if got := w.lost["x"].time; got != c.want {
			t.Errorf("behind %s and a limit that opens at 10s, %v are lost to it, want %v", c.why, time.Duration(got), time.Duration(c.want))
		}
	}
}

func x10() []backend.Limit { return []backend.Limit{limitOn("x", rate(1, 10*time.Second, 1))} }
