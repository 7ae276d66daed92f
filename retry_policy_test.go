package dispatcher_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
)

// steady retries after 1s, 2s, 4s...
func steady(attempts int) dispatcher.Retry {
	return dispatcher.Retry{MaxAttempts: attempts, Jitter: -1}
}

// A job that fails runs again after a time that grows, and holds no worker meanwhile.
// Others of its key go on, unless jobs of a key are serial.
func TestRetryByPolicy(t *testing.T) {
	for _, serial := range []bool{false, true} {
		inEachBackend(t, func(t *testing.T, b backend.Backend) {
			s := open(t, b, config{Workers: 1, Serial: serial, Retry: steady(4)}, func(_ context.Context, j job) error {
				if j.Payload != "behind" {
					return fmt.Errorf("%w for the %d. time", errFailed, j.Failures()+1)
				}
				return nil
			})
			s.submit("chat", "fails")
			s.submit("chat", "behind")
			s.submitJob(job{Key: "own", Payload: "own policy", Retry: new(steady(2))})
			s.drain()
			s.wantNear("fails", 0, time.Second, 3*time.Second, 7*time.Second)
			s.wantNear("own policy", 0, time.Second)
			if serial {
				s.wantNear("behind", 7*time.Second)
			} else {
				s.wantNear("behind", 0)
			}
			r := s.outcomeOf("fails")
			if r.Outcome != dispatcher.Failed || !errors.Is(r.Err, errFailed) || r.Job.Attempt() != 4 || r.Job.Failures() != 3 {
				t.Errorf("outcome: %v, %v at attempt %d after %d failures, want failed at 4 after 3",
					r.Outcome, r.Err, r.Job.Attempt(), r.Job.Failures())
			}
			if got := s.Stats().Retried; got != 4 {
				t.Errorf("Stats().Retried = %d, want 4", got)
			}
		})
	}
}

// What a handler says is found wherever it is in its error.
func TestVerdicts(t *testing.T) {
	after, snooze := dispatcher.RetryAfter(time.Minute, nil), dispatcher.Snooze(time.Hour)
	for _, c := range []struct {
		name string
		err  error
		want []time.Duration
	}{
		{"permanent", dispatcher.Permanent(errFailed), []time.Duration{0}},
		{"permanent inside", fmt.Errorf("sending: %w", errors.Join(errFailed, dispatcher.Permanent(errFailed))), []time.Duration{0}},
		{"permanent before the others", errors.Join(snooze, after, dispatcher.Permanent(errFailed)), []time.Duration{0}},
		{"after before snooze", errors.Join(snooze, errFailed, after), []time.Duration{0, time.Minute}},
		{"after though the cause is permanent", dispatcher.RetryAfter(time.Minute, dispatcher.Permanent(errFailed)), []time.Duration{0, time.Minute}},
		{"after though the cause says snooze", dispatcher.RetryAfter(time.Minute, snooze), []time.Duration{0, time.Minute}},
		{"after though the cause says after", dispatcher.RetryAfter(time.Minute, dispatcher.RetryAfter(time.Hour, nil)), []time.Duration{0, time.Minute}},
		{"permanent after all", dispatcher.Permanent(dispatcher.RetryAfter(time.Minute, dispatcher.Permanent(errFailed))), []time.Duration{0}},
		{"snooze", fmt.Errorf("not yet: %w", snooze), []time.Duration{0, time.Hour}},
		{"not worth it", context.Canceled, []time.Duration{0}},
		{"failed", errFailed, []time.Duration{0, time.Second}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				retry := steady(3)
				retry.If = func(err error) bool { return !errors.Is(err, context.Canceled) }
				s := open(t, inMemory(), config{Retry: retry}, func(_ context.Context, j job) error {
					if j.Attempt() == 1 {
						return c.err
					}
					return nil
				})
				s.submit("chat", "job")
				s.drain()
				s.wantStarts("job", c.want...)
				if r := s.outcomeOf("job"); len(c.want) == 1 && (r.Outcome != dispatcher.Failed || !errors.Is(r.Err, c.err)) {
					t.Errorf("outcome: %v, %v, want failed with %v", r.Outcome, r.Err, c.err)
				}
			})
		})
	}
	if err := dispatcher.Permanent(nil); err != nil {
		t.Errorf("Permanent(nil) = %v, want nil", err)
	}
}

// The cause of a RetryAfter is in its text, and errors.Is finds it.
func TestRetryAfterHasACause(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{dispatcher.RetryAfter(time.Minute, errFailed), "dispatcher: retry after 1m0s: " + errFailed.Error()},
		{dispatcher.RetryAfter(time.Minute, nil), "dispatcher: retry after 1m0s"},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("Error() = %q, want %q", got, c.want)
		}
	}
	if err := dispatcher.RetryAfter(0, errFailed).Holding("x"); !errors.Is(err, errFailed) {
		t.Errorf("errors.Is(%v, %v) = false, want true", err, errFailed)
	}
}

// Holding and HoldingLimits add up, and change no error that is in use elsewhere.
func TestHeldKeys(t *testing.T) {
	after := dispatcher.RetryAfter(time.Minute, errFailed)
	two := after.Holding("x", "bot")
	limits := []dispatcher.Limit{limit("bot", perSecond(1)), limit("chat", perSecond(1))}
	for _, c := range []struct {
		name   string
		err    *dispatcher.RetryAfterError
		limits []dispatcher.Limit
		want   []string
	}{
		{"the job's", after, limits, []string{"key"}},
		{"no keys", after.Holding(), limits, []string{"key"}},
		{"two", two, limits, []string{"x", "bot"}},
		{"three", two.Holding("y"), limits, []string{"x", "bot", "y"}},
		{"three others", two.Holding("z"), limits, []string{"x", "bot", "z"}},
		{"the limits'", after.HoldingLimits(), limits, []string{"bot", "chat"}},
		{"two and the limits'", two.HoldingLimits(), limits, []string{"x", "bot", "chat"}},
		{"the limits' of a job without", after.HoldingLimits(), nil, []string{"key"}},
	} {
		if got := c.err.HeldKeys("key", c.limits); !slices.Equal(got, c.want) {
			t.Errorf("HeldKeys of %s = %q, want %q", c.name, got, c.want)
		}
	}
}

// RetryAfter in the middle of a lane, with jobs behind it: nothing of the lane
// overtakes it, it uses up no attempt, and other keys go on.
func TestRetryAfterInTheMiddleOfALane(t *testing.T) {
	inEachBackend(t, func(t *testing.T, b backend.Backend) {
		s := open(t, b, config{Params: perSecond(1), Retry: steady(2)}, func(_ context.Context, j job) error {
			if j.Payload == "m2" && j.Attempt() <= 3 {
				return dispatcher.RetryAfter(10*time.Second, nil)
			}
			return nil
		})
		for i := range 5 {
			s.submit("chat", named("m", i))
			s.submit("other", named("o", i))
		}
		s.drain()
		s.wantNear("m2", 2*time.Second, 12*time.Second, 22*time.Second, 32*time.Second)
		s.wantNear("m3", 33*time.Second)
		s.wantNear("m4", 34*time.Second)
		s.wantNear("o4", 4*time.Second)
	})
}

// RetryAfter may name limits, or all of the job's: they are closed for all who are
// under them, also through the backend, and the job itself waits too.
func TestRetryAfterNamesLimits(t *testing.T) {
	bot, chat := limit("bot", perSecond(100)), limit("chat", perSecond(100))
	for _, c := range []struct {
		name        string
		err         error
		other, near time.Duration // when the other job under bot starts, and the next of the key
	}{
		{"the key", dispatcher.RetryAfter(10*time.Second, nil), 0, 10 * time.Second},
		{"one limit", dispatcher.RetryAfter(10*time.Second, nil).Holding("bot"), 10 * time.Second, 10 * time.Second},
		{"all limits", dispatcher.RetryAfter(10*time.Second, nil).HoldingLimits(), 10 * time.Second, 10 * time.Second},
		{"neither", dispatcher.RetryAfter(10*time.Second, nil).Holding("elsewhere"), 0, 10 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := inMemory()
				s := open(t, b, config{Serial: true}, func(_ context.Context, j job) error {
					if j.Payload == "told off" && j.Attempt() == 1 {
						return c.err
					}
					return nil
				})
				s.submit("chat", "told off", bot, chat)
				s.submit("chat", "behind", bot, chat)
				time.Sleep(time.Second)
				s.submit("other", "other", bot)
				wantBot := nextSlot(t, b, limit("bot", perSecond(100)))
				s.drain()
				again := s.startsOf("told off")
				if len(again) != 2 || (again[1]-c.near).Abs() > 100*time.Millisecond {
					t.Errorf("the job starts at %v, want 0 and %v", again, c.near)
				}
				if behind := s.startsOf("behind"); behind[0] < again[1] {
					t.Errorf("the one behind starts at %v, before the job", behind)
				}
				wantAbout(t, "the other job", s.startsOf("other")[0], max(c.other, time.Second))
				wantAbout(t, "limit bot at the backend", wantBot.Sub(s.begin), max(c.other, time.Second))
			})
		})
	}
}

// A job that is snoozed lets others of its key by, also when they are serial, and goes
// before those that were submitted after it when it is back.
func TestSnoozeIsForOneJob(t *testing.T) {
	inEachBackend(t, func(t *testing.T, b backend.Backend) {
		s := open(t, b, config{Serial: true, Params: perSecond(1)}, func(_ context.Context, j job) error {
			if j.Payload == "m0" && j.Attempt() == 1 {
				return dispatcher.Snooze(2500 * time.Millisecond)
			}
			return nil
		})
		for i := range 6 {
			s.submit("chat", named("m", i))
		}
		s.drain()
		s.wantOrder("m0", "m1", "m2", "m0", "m3", "m4", "m5")
		s.wantNear("m0", 0, 3*time.Second)
	})
}

// A handler that panics is not retried, unless Recover makes an error of it.
func TestPanicsAreRetriedWithRecover(t *testing.T) {
	for _, recovers := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			cfg := config{Retry: steady(3)}
			if recovers {
				cfg.Middleware = []dispatcher.Middleware{dispatcher.Recover}
			}
			s := open(t, inMemory(), cfg, func(context.Context, job) error { panic(errFailed) })
			s.submit("chat", "panics")
			s.drain()
			r := s.outcomeOf("panics")
			if recovers && (r.Outcome != dispatcher.Failed || r.Job.Attempt() != 3) || !recovers && r.Outcome != dispatcher.Panicked {
				t.Errorf("recovers %v: %v at attempt %d", recovers, r.Outcome, r.Job.Attempt())
			}
			if !errors.Is(r.Err, errFailed) {
				t.Errorf("recovers %v: error %v, want one that is %v", recovers, r.Err, errFailed)
			}
		})
	}
}

// The times between retries stay within what the policy says.
func TestRetryDelay(t *testing.T) {
	for _, c := range []struct {
		retry    dispatcher.Retry
		failures int
		from, to time.Duration
	}{
		{dispatcher.Retry{}, 1, 500 * time.Millisecond, 1500 * time.Millisecond},
		{dispatcher.Retry{Jitter: -1}, 3, 4 * time.Second, 4 * time.Second},
		{dispatcher.Retry{Jitter: -1}, 1 << 30, time.Minute, time.Minute},
		{dispatcher.Retry{Jitter: -1, Initial: time.Hour}, 5, time.Hour, time.Hour},
		{dispatcher.Retry{Jitter: -1, Initial: time.Millisecond, Max: time.Second, Multiplier: 10}, 3, 100 * time.Millisecond, 100 * time.Millisecond},
		{dispatcher.Retry{Jitter: -1, Max: 100 * time.Millisecond}, 1, 100 * time.Millisecond, 100 * time.Millisecond},
		{dispatcher.Retry{Jitter: 0.1, Multiplier: 1}, 9, 900 * time.Millisecond, 1100 * time.Millisecond},
	} {
		for range 100 {
			if got := c.retry.Delay(c.failures); got < c.from || got > c.to+1 {
				t.Errorf("%+v.Delay(%d) = %v, want from %v to %v", c.retry, c.failures, got, c.from, c.to)
				break
			}
		}
	}
}
