package dispatcher_test

import (
	"context"
	"testing"
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
