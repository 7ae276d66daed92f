package dispatcher_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
)

// Trap 12: a hold reaches the jobs of its key in other dispatchers of the backend, whatever
// their limits are called.
func TestHoldReachesOthersWhateverTheLimitsAreCalled(t *testing.T) {
	inEachBackend(t, func(t *testing.T, b backend.Backend) {
		cfg := config{Limits: func(key, _ string) []dispatcher.Limit {
			return []dispatcher.Limit{limit("bot", perSecond(30)), limit("chat:"+key, perSecond(1))}
		}}
		first := open(t, b, cfg, func(_ context.Context, j job) error {
			if j.Attempt() == 1 {
				return dispatcher.RetryAfter(10*time.Second, nil)
			}
			return nil
		})
		second := open(t, b, cfg, nil)
		first.submit("42", "first")
		time.Sleep(time.Second)
		second.submit("42", "held")
		second.submit("7", "other")
		first.drain()
		second.drain()
		second.wantNear("other", time.Second) // the refusal has charged bot nothing
		again, held := first.startsOf("first")[1], second.startsOf("held")[0]
		if min(again, held) < 10*time.Second || max(again, held) > 11100*time.Millisecond {
			t.Errorf("the jobs of the held key start at %v and %v, want from 10s to 11.1s", again, held)
		}
	})
}

// Trap 12: a hold reaches the jobs of its key that have no limits, in the other dispatchers
// of the backend, also while they go by express, and jobs under a limit of that name.
func TestHoldReachesJobsWithoutLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inMemory()
		first := open(t, b, config{}, func(_ context.Context, j job) error {
			if j.Attempt() == 1 {
				return dispatcher.RetryAfter(10*time.Second, nil)
			}
			return nil
		})
		second, third := open(t, b, config{Workers: 1}, func(context.Context, job) error {
			time.Sleep(time.Second / 2)
			return nil
		}), open(t, b, config{}, nil)
		for _, payload := range []string{"running", "waiting", "behind"} {
			second.submit("42", payload)
		}
		time.Sleep(time.Second / 4)
		first.submit("42", "first")
		synctest.Wait()
		third.submit("42", "third")
		third.submit("7", "other")
		third.submit("7", "under", limit("42", perSecond(1)))
		first.drain()
		second.drain()
		third.drain()
		second.wantStarts("running", 0)
		second.wantNear("waiting", 10250*time.Millisecond)
		second.wantNear("behind", 10750*time.Millisecond)
		third.wantNear("third", 10250*time.Millisecond)
		third.wantNear("under", 10250*time.Millisecond)
		third.wantNear("other", time.Second/4)
	})
}

// Trap 12: a hold that was made before a dispatcher runs holds there too, whoever has made it.
func TestHoldFromBeforeRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inMemory()
		for key, d := range map[string]time.Duration{"42": 10 * time.Second, "short": time.Second / 2} {
			if err := b.Hold(t.Context(), key, d); err != nil {
				t.Fatalf("Hold(%q) = %v, want nil", key, err)
			}
		}
		time.Sleep(time.Second)
		s := open(t, b, config{}, nil)
		for _, key := range []string{"42", "short", "other"} {
			s.submit(key, key)
		}
		s.drain()
		s.wantNear("42", 9*time.Second)
		s.wantNear("short", 0)
		s.wantNear("other", 0)
	})
}
