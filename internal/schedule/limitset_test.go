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
