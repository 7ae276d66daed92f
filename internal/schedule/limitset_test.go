package schedule

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// Keeping the limits of a job that has ended does not keep the scheduler in memory.
func TestLimitsOfAJobKeepNoScheduler(t *testing.T) {
	for n := 1; n <= 3; n++ {
		var kept []backend.Limit
		gone := make(chan struct{})
		func() {
			w := newWorld(t, Config{Workers: 1})
			var limits []backend.Limit
			for i := range n {
				limits = append(limits, limitOn(fmt.Sprint(i), rate(1, time.Second, 1)))
			}
			kept = w.submit("key", limits...).Limits()
			runtime.AddCleanup(w.Scheduler, func(struct{}) { close(gone) }, struct{}{})
		}()
		runtime.GC()
		select {
		case <-gone:
		case <-time.After(5 * time.Second):
			t.Errorf("with %d limits the scheduler is kept", n)
		}
		runtime.KeepAlive(kept)
	}
}

// Jobs keep the slice with which they were submitted, and share it if the job before has an equal
// one. What is appended to the limits of a job goes elsewhere.
func TestJobKeepsItsLimits(t *testing.T) {
	w := newWorld(t, Config{Workers: 1})
	p := rate(1, time.Second, 1)
	first := []backend.Limit{limitOn("x", p), limitOn("y", p), limitOn("behind", p)}[:2]
	equal, other := []backend.Limit{first[0], first[1]}, []backend.Limit{first[1]}
	a, b, c, free := w.submit("key", first...), w.submit("key", equal...), w.submit("key", other...), w.submit("key")
	for i, want := range []struct {
		job    *Job
		limits []backend.Limit
		keeps  bool
	}{{a, first, true}, {b, equal, false}, {b, first, true}, {c, other, true}, {c, first, false}, {free, first, false}} {
		if got := want.job.Keeps(want.limits); got != want.keeps {
			t.Errorf("%d: Keeps() = %v, want %v", i, got, want.keeps)
		}
	}
	if _ = append(a.Limits(), limitOn("new", p)); first[:3][2].Key != "behind" {
		t.Error("append to Limits() has written behind the slice of the caller")
	}
}

// A job that costs more than a Burst which was lowered while it asked shuts the limit for as long
// as it has charged it for, and not for ever.
func TestGrantedAboveALoweredBurst(t *testing.T) {
	w := newWorld(t, Config{Workers: many})
	dear := limitOn("x", rate(10, time.Second, 10))
	dear.Cost = 5
	w.answer = func(j *Job) {
		w.answer = w.grant
		w.Scheduler.Submit(w.now, &Job{}, "b", 0, []backend.Limit{limitOn("x", rate(10, time.Second, 3))})
		w.Granted(w.now, j, w.now)
	}
	j := w.submit("a", dear)
	w.step()
	if at, want := j.set.under[0].state.TAT, 500*ms; at != want {
		t.Errorf("the TAT is %v, want %v", time.Duration(at), time.Duration(want))
	}
}
