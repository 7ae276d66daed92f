package engine

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher/internal/schedule"
)

// However many jobs have one deadline, the loop goes on with its work after some of them.
func TestExpireInSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const steps = 10
		e, o := newEngine(t, nil)
		l := still(t, e)
		l.sched.Pause()
		for range steps * expiredAtOnce {
			e.submitForTest(t, Submission{Key: "k", Dates: &schedule.Dates{Deadline: int64(time.Second)}})
		}
		l.takeAll()
		time.Sleep(2 * time.Second)
		for i := range steps {
			if at, ok := l.sched.Wake(); !ok || at > e.Now() {
				t.Errorf("after step %d Wake() = %d, %v, want an instant that has passed", i, at, ok)
			}
			l.expire(e.Now())
			if got, want := o.ended[Expired], (i+1)*expiredAtOnce; got != want {
				t.Errorf("after step %d %d jobs have expired, want %d", i+1, got, want)
			}
		}
		if at, ok := l.sched.Wake(); ok {
			t.Errorf("Wake() = %d when all have expired, want none", at)
		}
	})
}
