package dispatcher_test

import (
	"context"
	"errors"
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
// of the backend, also while they take the fast path, and jobs under a limit of that name.
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

// Trap 12: a hold that was made before a dispatcher runs holds there too, no matter who made it.
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

// A job that is told RetryAfter once more than MaxHolds fails, and its key is held all the
// same. Failures and snoozes do not count.
func TestMaxHolds(t *testing.T) {
	inEachBackend(t, func(t *testing.T, b backend.Backend) {
		retry := dispatcher.Retry{MaxHolds: 2, MaxAttempts: 2, Initial: time.Second, Max: time.Second, Jitter: -1}
		s := open(t, b, config{Retry: retry}, func(_ context.Context, j job) error {
			switch {
			case j.Payload == "behind":
				return nil
			case j.Attempt() == 2:
				return errFailed
			case j.Attempt() == 4:
				return dispatcher.Snooze(time.Second)
			}
			return dispatcher.RetryAfter(10*time.Second, errFailed)
		})
		s.submit("chat", "job")
		time.Sleep(25 * time.Second)
		s.submit("chat", "behind")
		s.drain()
		s.wantNear("job", 0, 10*time.Second, 11*time.Second, 21*time.Second, 22*time.Second)
		s.wantNear("behind", 32*time.Second)
		r := s.outcomeOf("job")
		e, ok := errors.AsType[*dispatcher.HoldsError](r.Err)
		if r.Outcome != dispatcher.Failed || !ok || e.MaxHolds != 2 || !errors.Is(r.Err, errFailed) {
			t.Errorf("outcome: %v, %v, want failed with a HoldsError of 2 and %v", r.Outcome, r.Err, errFailed)
		}
		if want := "dispatcher: more than 2 retry-after responses (Retry.MaxHolds): dispatcher: retry after 10s: failed"; ok && e.Error() != want {
			t.Errorf("Error() = %q, want %q", e.Error(), want)
		}
	})
}

// A job that was canceled while it ran, and then returns a RetryAfter, does not run again;
// its key is held.
func TestCanceledJobHoldsItsKey(t *testing.T) {
	inEachBackend(t, func(t *testing.T, b backend.Backend) {
		s := open(t, b, config{}, func(ctx context.Context, j job) error {
			if j.Payload == "behind" {
				return nil
			}
			<-ctx.Done()
			return dispatcher.RetryAfter(10*time.Second, nil)
		})
		h := s.track(job{Key: "chat", Payload: "job"})
		time.Sleep(time.Second)
		h.Cancel()
		time.Sleep(time.Second)
		s.submit("chat", "behind")
		s.drain()
		s.wantNear("behind", 11*time.Second)
		if r := s.outcomeOf("job"); r.Outcome != dispatcher.Canceled {
			t.Errorf("outcome: %v, want %v", r.Outcome, dispatcher.Canceled)
		}
	})
}

// That a key is held which no job and no limit has is logged, once a minute. It is for those
// who have misspelled it; keys that others hold are none of ours.
func TestStrangeHoldIsLogged(t *testing.T) {
	inEachBackend(t, func(t *testing.T, b backend.Backend) {
		log := &lines{}
		s := open(t, b, config{Logger: log.logger()}, func(_ context.Context, j job) error {
			if j.Attempt() > 1 {
				return nil
			}
			switch j.Payload {
			case "misspelled":
				return dispatcher.RetryAfter(time.Second, nil).Holding("bott")
			case "own":
				return dispatcher.RetryAfter(time.Second, nil)
			case "right":
				return dispatcher.RetryAfter(time.Second, nil).Holding("bot", "other", "dated")
			}
			time.Sleep(time.Second)
			return nil
		})
		s.submit("other", "other")
		s.submitJob(job{Key: "dated", Payload: "dated", NotBefore: time.Now().Add(time.Minute)})
		bot := limit("bot", perSecond(10))
		s.submit("chat", "right", bot)
		s.submit("chat", "own", bot)
		if err := b.Hold(t.Context(), "elsewhere", time.Second); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second / 2)
		log.want(t, "no job and no limit", 0)
		for i := range 3 {
			s.submit("chat", "misspelled", bot)
			time.Sleep(40 * time.Second)
			log.want(t, "no job and no limit", 1+i/2)
		}
		log.want(t, "level=WARN msg=\"dispatcher: held key matches no job and no limit here\" key=bott by=RetryAfter", 2)
		time.Sleep(time.Minute)
		if err := s.Hold(t.Context(), "chatt", time.Second); err != nil {
			t.Fatal(err)
		}
		s.drain()
		log.want(t, "key=chatt by=Hold", 1)
	})
}
