package dispatcher_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend/memory"
)

// Commands count for all that was submitted before and after them.
func TestPlainJobsObeyCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{Workers: 2}, func(context.Context, job) error {
			time.Sleep(time.Second)
			return nil
		})
		for i := range 6 {
			s.submit("key", named("", i))
		}
		synctest.Wait()
		s.Pause()
		s.submit("key", "after the pause")
		time.Sleep(time.Minute)
		if got := len(s.order()); got != 2 {
			t.Errorf("%d jobs started, want the 2 before the pause", got)
		}
		if err := s.SetWorkers(1); err != nil {
			t.Fatal(err)
		}
		s.Resume()
		s.drain()
		wantAbout(t, "the last of 5 with one worker", s.last(), time.Minute+4*time.Second)
	})
}

// What keeps jobs from starting keeps jobs on the fast path too.
func TestPlainJobsWaitForLeave(t *testing.T) {
	for name, c := range map[string]struct{ shut, open func(*stage) }{
		"pause":     {func(s *stage) { s.Pause() }, func(s *stage) { s.Resume() }},
		"key pause": {func(s *stage) { s.PauseKey("key") }, func(s *stage) { s.ResumeKey("key") }},
		"hold": {func(s *stage) {
			if err := s.Hold(t.Context(), "key", time.Minute); err != nil {
				t.Error(err)
			}
		}, func(*stage) {}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t, inMemory(), config{}, nil)
				s.submit("key", "before")
				synctest.Wait()
				c.shut(s)
				synctest.Wait()
				s.submit("key", "waits")
				time.Sleep(time.Minute)
				c.open(s)
				s.drain()
				s.wantStarts("before", 0)
				s.wantStarts("waits", time.Minute)
			})
		})
	}
}

// Once a command has returned, it holds for all that waits: nothing starts before the
// loop has heard of it, however much there is to take in first.
func TestCommandsHoldAtOnce(t *testing.T) {
	const jobs, nth = 5000, 500
	for name, command := range map[string]func(s *stage) error{
		"Pause":    func(s *stage) error { s.Pause(); return nil },
		"PauseKey": func(s *stage) error { s.PauseKey("key"); return nil },
		"Hold":     func(s *stage) error { return s.Hold(context.Background(), "key", time.Hour) },
	} {
		for _, plain := range []bool{true, false} {
			t.Run(fmt.Sprint(name, "/plain=", plain), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var s *stage
					started := 0
					s = prepare(t, inMemory(), config{Workers: 1}, func(context.Context, job) error {
						if started++; started == nth {
							return command(s)
						}
						return nil
					})
					for range jobs {
						j := job{Key: "key", Payload: "job"}
						if !plain {
							j.Priority = 1
						}
						s.submitJob(j)
					}
					s.run()
					time.Sleep(time.Minute)
					synctest.Wait()
					if got := len(s.order()); got != nth {
						t.Errorf("%d jobs have started, want the %d up to the command", got, nth)
					}
					s.Resume()
					s.ResumeKey("key")
					s.drain()
				})
			})
		}
	}
}

// A handler that holds keys at a slow backend holds up its own job alone.
func TestPlainJobsGoOnWhileKeysAreHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &slowHold{inMemory()}
		s := open(t, b, config{Workers: 2}, func(_ context.Context, j job) error {
			switch {
			case j.Payload == "tells off" && j.Attempt() == 1:
				return dispatcher.RetryAfter(time.Millisecond, nil).Holding("x", "y")
			case j.Payload == "works":
				time.Sleep(100 * time.Millisecond)
			}
			return nil
		})
		for _, payload := range []string{"tells off", "works", "waits"} {
			s.submit("key", payload)
		}
		s.drain()
		s.wantStarts("waits", 100*time.Millisecond)
	})
}

// slowHold is a backend in process that takes long to hold y.
type slowHold struct{ *memory.Backend }

func (s *slowHold) Hold(ctx context.Context, key string, d time.Duration) error {
	if key == "y" {
		time.Sleep(time.Second)
	}
	return s.Backend.Hold(ctx, key, d)
}
