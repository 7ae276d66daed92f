package engine

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher/backend"
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

// Each job under Config.Params has its own limit, also while others wait that came before and after it.
func TestJobsUnderParamsHaveTheirOwnLimits(t *testing.T) {
	e, _ := newEngine(t, func(c *Config) { c.Params = hour })
	l := still(t, e)
	l.sched.Pause()
	keys := []string{"a", "b", "a", "b", "c"}
	jobs := make([]*schedule.Job, len(keys))
	for i, key := range keys {
		jobs[i] = e.submitForTest(t, Submission{Key: key})
	}
	l.takeAll()
	for i, key := range keys {
		want := []backend.Limit{{Key: key, Params: hour}}
		if got := jobs[i].Limits(); !slices.Equal(got, want) {
			t.Errorf("job %d has the limits %v, want %v", i, got, want)
		}
	}
}
