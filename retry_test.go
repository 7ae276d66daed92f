package dispatcher_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
)

// inEachBackend runs a test in a bubble with a backend in process, and with one
// behind a network with round trips of 2 ms.
func inEachBackend(t *testing.T, test func(t *testing.T, b backend.Backend)) {
	t.Run("in process", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { test(t, inMemory()) })
	})
	t.Run("remote", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { test(t, &remote{inner: inMemory(), trip: 2 * time.Millisecond}) })
	})
}

// wantNear wants the jobs with a payload to start at these instants, or up to
// 10 ms later: as much as a few round trips.
func (s *stage) wantNear(payload string, want ...time.Duration) {
	s.t.Helper()
	got := s.startsOf(payload)
	ok := len(got) == len(want)
	for i := range min(len(got), len(want)) {
		ok = ok && got[i] >= want[i] && got[i] <= want[i]+10*time.Millisecond
	}
	if !ok {
		s.t.Errorf("%q starts at %v, want %v", payload, got, want)
	}
}

// A job that is told to come back later runs again, first of its key, and no
// sooner. It holds no worker while it waits.
func TestRetryAfter(t *testing.T) {
	inEachBackend(t, func(t *testing.T, b backend.Backend) {
		s := open(t, b, config{Workers: 1, Serial: true, Params: perSecond(1)}, func(_ context.Context, j job) error {
			if j.Payload == "told off" && j.Attempt() <= 2 {
				return fmt.Errorf("429: %w", dispatcher.RetryAfter(10*time.Second, nil))
			}
			return nil
		})
		s.submit("chat", "told off")
		s.submit("chat", "behind it")
		for i := range 5 {
			s.submit(named("other", i), "other")
		}
		s.drain()
		s.wantNear("told off", 0, 10*time.Second, 20*time.Second)
		s.wantNear("behind it", 21*time.Second)
		if got := s.startsOf("other"); len(got) != 5 || got[4] > 20*time.Millisecond {
			t.Errorf("the other chats start at %v, want all of them at once", got)
		}
		r := s.outcomeOf("told off")
		if r.Outcome != dispatcher.Succeeded || r.Job.Attempt() != 3 {
			t.Errorf("outcome: %v at attempt %d, want succeeded at 3", r.Outcome, r.Job.Attempt())
		}
		if got := s.Stats().Retried; got != 2 {
			t.Errorf("Stats().Retried = %d, want 2", got)
		}
	})
}

// Trap 12: one chat's 429 does not stop the others (python-telegram-bot#4003),
// and what the others get does not release it (#5338).
func TestTrap12OneKeyAlone(t *testing.T) {
	inEachBackend(t, func(t *testing.T, b backend.Backend) {
		s := open(t, b, config{Workers: 4}, func(_ context.Context, j job) error {
			switch {
			case j.Payload == "told off" && j.Attempt() == 1:
				return dispatcher.RetryAfter(30*time.Second, nil)
			case j.Payload == "also" && j.Attempt() == 1:
				return dispatcher.RetryAfter(time.Second, nil)
			}
			return nil
		})
		shared := limit("shared", perSecond(10))
		s.submit("a", "told off", shared, limit("a", perSecond(1)))
		s.submit("b", "also", shared, limit("b", perSecond(1)))
		for i := range 100 {
			key := named("key", i%20)
			s.submit(key, "job", shared, limit(key, perSecond(1)))
		}
		s.drain()
		s.wantNear("told off", 0, 30*time.Second)
		if got := s.startsOf("also"); len(got) != 2 || got[1] < 1100*time.Millisecond || got[1] > 3*time.Second {
			t.Errorf("the job told to come back after 1s starts at %v", got)
		}
		// 103 slots of 0.1 s, 1 of them after the 30 s.
		if got := s.startsOf("job"); got[99] > 10250*time.Millisecond {
			t.Errorf("the other jobs are done at %v, want 10.2s", got[99])
		}
	})
}

// Trap 12: a shorter hold never shortens a longer one, whether a handler
// or Hold made it, and in whatever order they come.
func TestTrap12ShorterNeverShortens(t *testing.T) {
	inEachBackend(t, func(t *testing.T, b backend.Backend) {
		s := open(t, b, config{Workers: 4}, func(_ context.Context, j job) error {
			if j.Attempt() > 1 {
				return nil
			}
			switch j.Payload {
			case "long":
				time.Sleep(time.Second / 2) // so that the other has started
				return dispatcher.RetryAfter(20*time.Second, nil)
			case "short":
				time.Sleep(time.Second)
				return dispatcher.RetryAfter(2*time.Second, nil)
			}
			return nil
		})
		s.submit("a", "long")
		s.submit("a", "short")
		time.Sleep(5 * time.Second)
		for _, d := range []time.Duration{3 * time.Second, 0, -time.Hour} {
			if err := s.Hold(t.Context(), "a", d); err != nil {
				t.Errorf("Hold(%v) = %v, want nil", d, err)
			}
		}
		s.submit("a", "later")
		s.drain()
		s.wantNear("long", 0, 20500*time.Millisecond)
		s.wantNear("short", 0, 20500*time.Millisecond)
		s.wantNear("later", 20500*time.Millisecond)
	})
}

// Trap 12: a longer hold extends one that is in force.
func TestTrap12LongerExtends(t *testing.T) {
	inEachBackend(t, func(t *testing.T, b backend.Backend) {
		s := open(t, b, config{}, nil)
		for _, d := range []time.Duration{5 * time.Second, 20 * time.Second} {
			if err := s.Hold(t.Context(), "a", d); err != nil {
				t.Fatal(err)
			}
		}
		s.submit("a", "job", limit("a", perSecond(1)))
		s.drain()
		s.wantNear("job", 20*time.Second)
	})
}

// A hold reaches the dispatchers that share the backend, where a limit has
// the key's name.
func TestHoldReachesOthers(t *testing.T) {
	inEachBackend(t, func(t *testing.T, b backend.Backend) {
		first := open(t, b, config{Params: perSecond(1)}, func(_ context.Context, j job) error {
			if j.Attempt() == 1 {
				return dispatcher.RetryAfter(10*time.Second, nil)
			}
			return nil
		})
		second := open(t, b, config{Params: perSecond(1)}, nil)
		first.submit("chat", "first")
		time.Sleep(time.Second)
		if err := second.Hold(t.Context(), "chat", 2*time.Second); err != nil { // shorter
			t.Fatal(err)
		}
		second.submit("chat", "second")
		second.submit("other", "other")
		first.drain()
		second.drain()
		second.wantNear("other", time.Second)
		starts := append(first.startsOf("first")[1:], second.startsOf("second")...)
		if d := (starts[0] - starts[1]).Abs(); min(starts[0], starts[1]) < 10*time.Second || d < time.Second-5*time.Millisecond {
			t.Errorf("after the hold the jobs start at %v, want from 10s on and 1s apart", starts)
		}
	})
}

// A RetryAfter that comes while Run ends still holds the key for the others.
func TestRetryAfterAtTheEndReachesOthers(t *testing.T) {
	inEachBackend(t, func(t *testing.T, b backend.Backend) {
		first := open(t, b, config{Params: perSecond(1), StopTimeout: -1}, func(ctx context.Context, _ job) error {
			<-ctx.Done()
			return dispatcher.RetryAfter(10*time.Second, nil)
		})
		second := open(t, b, config{Params: perSecond(1)}, nil)
		first.submit("chat", "first")
		time.Sleep(time.Second)
		first.cut()
		if r := first.outcomeOf("first"); r.Outcome != dispatcher.Dropped {
			t.Errorf("outcome: %v, want %v", r.Outcome, dispatcher.Dropped)
		}
		second.submit("chat", "second")
		second.drain()
		second.wantNear("second", 11*time.Second)
	})
}

// A job whose key is no limit of its own does not start before its hold is
// over either, also where slots are taken ahead of time.
func TestRetryAfterOfAKeyThatIsNoLimit(t *testing.T) {
	inEachBackend(t, func(t *testing.T, b backend.Backend) {
		s := open(t, b, config{Horizon: time.Second}, func(_ context.Context, j job) error {
			if j.Payload == "told off" && j.Attempt() == 1 {
				return dispatcher.RetryAfter(10*time.Second, nil)
			}
			return nil
		})
		shared := limit("bot", perSecond(30))
		s.submit("chat", "told off", shared)
		time.Sleep(5 * time.Second)
		s.submit("chat", "behind it", shared)
		s.submit("other", "other", shared)
		s.drain()
		s.wantNear("other", 5*time.Second)
		again, behind := s.startsOf("told off")[1], s.startsOf("behind it")[0]
		if again < 10*time.Second || again > 10100*time.Millisecond || behind < again {
			t.Errorf("the held jobs start at %v and %v, want from 10s on, in this order", again, behind)
		}
	})
}

// A RetryAfter of nothing runs the job again at once, under its limits again.
func TestRetryAfterNothing(t *testing.T) {
	inEachBackend(t, func(t *testing.T, b backend.Backend) {
		s := open(t, b, config{}, func(_ context.Context, j job) error {
			if j.Attempt() < 3 {
				return dispatcher.RetryAfter(-time.Second, nil)
			}
			return nil
		})
		s.submit("free", "free")
		s.submit("limited", "limited", limit("limited", perSecond(1)))
		s.drain()
		s.wantStarts("free", 0, 0, 0)
		s.wantNear("limited", 0, time.Second, 2*time.Second)
	})
}

// A hold without end holds its key until Run ends, and no other.
func TestRetryAfterForever(t *testing.T) {
	inEachBackend(t, func(t *testing.T, b backend.Backend) {
		s := open(t, b, config{Params: perSecond(1)}, func(_ context.Context, j job) error {
			if j.Key == "a" {
				return dispatcher.RetryAfter(1<<63-1, nil)
			}
			return nil
		})
		s.submit("a", "never again")
		time.Sleep(1000 * time.Hour)
		s.submit("b", "other")
		time.Sleep(time.Second)
		s.cut()
		s.wantNear("never again", 0)
		s.wantNear("other", 1000*time.Hour)
		if r := s.outcomeOf("never again"); r.Outcome != dispatcher.Dropped || r.Job.Attempt() != 1 || !r.Job.Slot().IsZero() {
			t.Errorf("outcome: %v at attempt %d with slot %v, want dropped at 1 with none", r.Outcome, r.Job.Attempt(), r.Job.Slot())
		}
	})
}

// When the backend can't hold a key, the dispatcher does it alone, and logs or
// returns the error.
func TestHoldWithoutTheBackend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &lines{}
		b := &unholding{remote{inner: inMemory(), trip: 2 * time.Millisecond}}
		// What the backend does not know it can't count on ahead of time.
		s := open(t, b, config{Logger: log.logger(), Horizon: 1}, func(_ context.Context, j job) error {
			if j.Attempt() == 1 && j.Key == "a" {
				return dispatcher.RetryAfter(10*time.Second, nil)
			}
			return nil
		})
		s.submit("a", "told off", limit("a", perSecond(1)))
		if err := s.Hold(t.Context(), "b", 20*time.Second); !errors.Is(err, errAway) {
			t.Errorf("Hold() = %v, want %v", err, errAway)
		}
		s.submit("b", "held", limit("b", perSecond(1)))
		s.drain()
		s.wantNear("told off", 0, 10*time.Second)
		s.wantNear("held", 20*time.Second)
		log.want(t, "could not hold", 1)
	})
}

type unholding struct{ remote }

func (*unholding) Hold(context.Context, string, time.Duration) error { return errAway }

// A job that is to run again always has room, and is counted as one job.
func TestRetryAfterInAFullDispatcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{Workers: 1, Capacity: 2}, func(_ context.Context, j job) error {
			time.Sleep(time.Second)
			if j.Attempt() == 1 {
				return dispatcher.RetryAfter(time.Second, nil)
			}
			return nil
		})
		s.submit("a", "a")
		synctest.Wait()
		s.submit("b", "b")
		s.submit("c", "c")
		s.drain()
		s.wantStarts("a", 0, 2*time.Second+time.Second)
		if got := s.Stats(); got.Succeeded != 3 || got.Retried != 3 {
			t.Errorf("Stats() = %+v, want 3 succeeded and 3 retried", got)
		}
	})
}

// Until a job that was told to come back starts again, no job of its key and a lower
// priority does, also where the key is not held; with Serial none at all. Without, one of
// a higher priority goes first, as it would have done before.
func TestNothingOvertakesRetryAfter(t *testing.T) {
	for name, told := range map[string]error{
		"its key":     dispatcher.RetryAfter(10*time.Second, nil),
		"another key": dispatcher.RetryAfter(10*time.Second, nil).Holding("bot"),
		"its limits":  dispatcher.RetryAfter(10*time.Second, nil).HoldingLimits(),
	} {
		for _, serial := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, serial %v", name, serial), func(t *testing.T) {
				inEachBackend(t, func(t *testing.T, b backend.Backend) {
					s := open(t, b, config{Serial: serial}, func(_ context.Context, j job) error {
						if j.Payload == "told off" && j.Attempt() == 1 {
							return told
						}
						return nil
					})
					// Its limit is closed for longer than the hold.
					s.submit("chat", "told off", limit("slow", every(30*time.Second)))
					time.Sleep(time.Second)
					s.submitJob(job{Key: "chat", Payload: "low", Priority: -1, Limits: dispatcher.NoLimits})
					s.submitJob(job{Key: "chat", Payload: "behind", Limits: dispatcher.NoLimits})
					s.submitJob(job{Key: "chat", Payload: "high", Priority: 1, Limits: dispatcher.NoLimits})
					s.submit("other", "other", limit("open", perSecond(1)))
					s.drain()
					high := time.Second // nothing keeps it
					switch {
					case serial:
						high = 30 * time.Second
					case name == "its key":
						high = 10 * time.Second
					}
					s.wantNear("told off", 0, 30*time.Second)
					s.wantNear("behind", 30*time.Second)
					s.wantNear("low", 30*time.Second)
					s.wantNear("high", high)
					s.wantNear("other", time.Second)
					if again, low := s.startsOf("told off")[1], s.startsOf("low")[0]; low < again {
						t.Errorf("the job of a lower priority starts at %v, before %v", low, again)
					}
				})
			})
		}
	}
}

// Retries of serial jobs keep all of their key waiting, whatever the priority, until the
// job has ended: also if it is canceled meanwhile.
func TestSerialRetryIsCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{Serial: true, Retry: steady(3)}, func(_ context.Context, j job) error {
			if j.Payload == "fails" {
				return errFailed
			}
			return nil
		})
		h := s.track(job{Key: "chat", Payload: "fails"})
		time.Sleep(100 * time.Millisecond)
		for p := range 3 {
			s.submitJob(job{Key: "chat", Payload: "waits", Priority: p - 1})
		}
		time.Sleep(100 * time.Millisecond)
		h.Cancel()
		s.drain()
		s.wantStarts("fails", 0)
		s.wantStarts("waits", 200*time.Millisecond, 200*time.Millisecond, 200*time.Millisecond)
	})
}
