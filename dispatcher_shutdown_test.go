package dispatcher_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
)

// Shutdown waits until all that was accepted has been done, at the limits.
func TestShutdownDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{Params: every(time.Minute)}, func(context.Context, job) error {
			time.Sleep(30 * time.Second)
			return nil
		})
		for range 10 {
			s.submit("key", "job")
		}
		s.drain()
		if got := time.Since(s.begin); got != 9*time.Minute+30*time.Second {
			t.Errorf("Shutdown() takes %v, want 9m30s", got)
		}
		if got := s.Stats().Succeeded; got != 10 {
			t.Errorf("%d jobs have succeeded, want 10", got)
		}
	})
}

// A job that runs again while the dispatcher drains is done before the end.
func TestShutdownDrainsRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{}, func(_ context.Context, j job) error {
			if j.Attempt() < 4 {
				return dispatcher.RetryAfter(time.Minute, nil)
			}
			return nil
		})
		s.submit("key", "job")
		s.drain()
		s.wantStarts("job", 0, time.Minute, 2*time.Minute, 3*time.Minute)
	})
}

// When the context of Shutdown ends first, its error says what is left, and the
// work goes on.
func TestShutdownThatIsCutShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{Params: every(time.Minute)}, func(context.Context, job) error {
			time.Sleep(90 * time.Second)
			return nil
		})
		for range 10 {
			s.submit("key", "job")
		}
		time.Sleep(65 * time.Second) // two run
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errEnough)
		defer cancel()
		err := s.Shutdown(ctx)
		var left *dispatcher.ShutdownError
		if !errors.As(err, &left) || left.Waiting != 8 || left.Running != 2 || !errors.Is(err, errEnough) {
			t.Errorf("Shutdown() = %v, want a ShutdownError with 8 waiting, 2 running and the cause", err)
		}
		if want := "dispatcher: shutdown: 8 jobs queued, 2 running: enough"; err.Error() != want {
			t.Errorf("Error() = %q, want %q", err, want)
		}
		if err := s.Submit(t.Context(), "key", "late"); !errors.Is(err, dispatcher.ErrClosed) {
			t.Errorf("Submit() after Shutdown = %v, want ErrClosed", err)
		}
		s.drain()
		if got := len(s.starts); got != 10 {
			t.Errorf("%d jobs have started, want 10", got)
		}
	})
}

// Shutdown may be called often, before, during and after the end.
func TestShutdownTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{}, func(context.Context, job) error {
			time.Sleep(time.Minute)
			return nil
		})
		s.submit("key", "job")
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				if err := s.Shutdown(t.Context()); err != nil {
					t.Errorf("Shutdown() = %v, want nil", err)
				}
			})
		}
		wg.Wait()
		if got := time.Since(s.begin); got != time.Minute {
			t.Errorf("Shutdown() returns after %v, want 1m", got)
		}
		s.drain()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown() after the end = %v, want nil", err)
		}
	})
}

// Shutdown after the end returns nil, even with a context that has ended.
func TestShutdownAfterTheEndMindsNoContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{}, nil)
		s.submit("key", "job")
		s.drain()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for range 100 { // a select of two ends would pick either
			if err := s.Shutdown(ctx); err != nil {
				t.Fatalf("Shutdown() after the end = %v, want nil", err)
			}
		}
	})
}

// Shutdown before Run: with nothing to do it returns at once, and so does the Run
// that follows.
func TestShutdownBeforeRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, inMemory(), config{}, nil)
		if err := s.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown() = %v, want nil", err)
		}
		if err := s.Submit(t.Context(), "key", "job"); !errors.Is(err, dispatcher.ErrClosed) {
			t.Errorf("Submit() = %v, want ErrClosed", err)
		}
		if err := s.Run(t.Context()); err != nil {
			t.Errorf("Run() after Shutdown = %v, want nil", err)
		}
	})
}

// Shutdown before Run with jobs waits for a Run to do them.
func TestShutdownBeforeRunWithJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, inMemory(), config{}, nil)
		s.submit("key", "job")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var left *dispatcher.ShutdownError
		if err := s.Shutdown(ctx); !errors.As(err, &left) || left.Waiting != 1 || left.Running != 0 {
			t.Errorf("Shutdown() without a Run = %v, want a ShutdownError with 1 waiting", err)
		}
		time.AfterFunc(time.Minute, s.run)
		if err := s.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown() = %v, want nil", err)
		}
		s.drain()
		s.wantStarts("job", 2*time.Minute)
	})
}

// A Run that is not the first says so, whatever has become of the first.
func TestRunTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{}, nil)
		synctest.Wait()
		if err := s.Run(t.Context()); !errors.Is(err, dispatcher.ErrRunning) {
			t.Errorf("a second Run() = %v, want ErrRunning", err)
		}
		s.submit("key", "job") // the first one goes on
		s.drain()
		if err := s.Run(t.Context()); !errors.Is(err, dispatcher.ErrRunning) {
			t.Errorf("Run() after the end of the first = %v, want ErrRunning", err)
		}
	})
}

// A Run whose context has ended before it starts drops every job.
func TestRunAfterItsContextHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, inMemory(), config{}, nil)
		for i := range 10 {
			s.submit("key", named("job", i), limit("key", perSecond(1)))
		}
		ctx, stop := context.WithCancelCause(t.Context())
		stop(errEnough)
		if stop, ok := errors.AsType[*dispatcher.StopError](s.Run(ctx)); !ok || stop.Err != errEnough || stop.Dropped != 10 {
			t.Errorf("Run() = %v, want 10 dropped and the cause, %v", stop, errEnough)
		}
		s.check()
		for i := range 10 {
			r := s.outcomeOf(named("job", i))
			if r.Outcome != dispatcher.Dropped || !errors.Is(r.Err, dispatcher.ErrStopped) || !errors.Is(r.Err, errEnough) {
				t.Errorf("outcome: %v, %v, want %v, ErrStopped and the cause", r.Outcome, r.Err, dispatcher.Dropped)
			}
		}
		if err := s.Submit(t.Context(), "key", "late"); !errors.Is(err, dispatcher.ErrClosed) {
			t.Errorf("Submit() = %v, want ErrClosed", err)
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown() = %v, want nil", err)
		}
	})
}

// Run returns the plain error of a context that ends without a cause.
func TestRunReturnsTheEndOfItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, inMemory(), config{}, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := s.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Run() = %v, want context.DeadlineExceeded", err)
		}
		if got := time.Since(s.begin); got != time.Minute {
			t.Errorf("Run() returns after %v, want 1m", got)
		}
	})
}

// Events.Done may submit: a job that makes the next one, until the intake closes.
func TestDoneMaySubmit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s *stage
		s = prepare(t, inMemory(), config{Params: perSecond(1), Events: whenDone(func(r result) {
			if err := s.Submit(context.Background(), "key", r.Job.Payload); err != nil && !errors.Is(err, dispatcher.ErrClosed) {
				t.Errorf("Submit() from Done = %v", err)
			}
		})}, nil)
		s.submit("key", "job")
		s.run()
		time.Sleep(9500 * time.Millisecond)
		s.cut()
		if got := len(s.starts); got != 10 {
			t.Errorf("%d starts in 9.5s, want 10", got)
		}
	})
}

// SubmitAll hears of a Shutdown when that begins: also a handler that Run waits for.
func TestSubmitAllHearsOfShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s *stage
		full := make(chan struct{})
		submitAll := func(ctx context.Context) error {
			n, err := s.SubmitAll(ctx, slices.Values([]job{{Key: "one more"}}))
			if n != 0 {
				t.Errorf("SubmitAll() = %d, want 0", n)
			}
			return err
		}
		s = open(t, inMemory(), config{Workers: 1, Capacity: 1}, func(ctx context.Context, j job) error {
			if j.Payload == "asks" {
				<-full
				return submitAll(context.Background()) // or it would be told that it is reentrant
			}
			return nil
		})
		s.submit("chat", "asks")
		synctest.Wait()
		s.submit("chat", "waits")
		close(full)
		outside := make(chan error)
		go func() { outside <- submitAll(context.Background()) }()
		synctest.Wait() // the queue is full, and the worker waits for room
		s.drain()
		for who, err := range map[string]error{"a handler": s.outcomeOf("asks").Err, "another": <-outside} {
			if !errors.Is(err, dispatcher.ErrClosed) {
				t.Errorf("SubmitAll() by %s = %v, want %v", who, err, dispatcher.ErrClosed)
			}
		}
	})
}

// questions are the calls that the goroutine which schedules answers.
var questions = map[string]func(ctx context.Context, s *stage, h *dispatcher.Handle[string]) error{
	"Load": func(ctx context.Context, s *stage, _ *dispatcher.Handle[string]) error {
		_, err := s.Load(ctx)
		return err
	},
	"Busiest": func(ctx context.Context, s *stage, _ *dispatcher.Handle[string]) error {
		_, err := s.Busiest(ctx, 1)
		return err
	},
	"Bottlenecks": func(ctx context.Context, s *stage, _ *dispatcher.Handle[string]) error {
		_, err := s.Bottlenecks(ctx, 1)
		return err
	},
	"Drop": func(ctx context.Context, s *stage, _ *dispatcher.Handle[string]) error {
		_, err := s.Drop(ctx, "chat")
		return err
	},
	"Forecast": func(ctx context.Context, s *stage, _ *dispatcher.Handle[string]) error {
		_, err := s.Forecast(ctx, 0)
		return err
	},
	"Estimate": func(ctx context.Context, _ *stage, h *dispatcher.Handle[string]) error {
		_, err := h.Estimate(ctx)
		return err
	},
}

// Who asks while Run waits for handlers is answered: it may be one of them.
func TestAskWhileItStops(t *testing.T) {
	for name, ask := range questions {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s *stage
				handles := make(chan *dispatcher.Handle[string], 1)
				s = open(t, inMemory(), config{}, func(ctx context.Context, _ job) error {
					h := <-handles
					<-ctx.Done()
					return ask(context.Background(), s, h)
				})
				handles <- s.track(job{Key: "chat", Payload: "asks"})
				synctest.Wait()
				s.cut()
				if err := s.outcomeOf("asks").Err; !errors.Is(err, dispatcher.ErrClosed) {
					t.Errorf("%s() while Run stops: %v, want %v", name, err, dispatcher.ErrClosed)
				}
				if jobs, err := s.Drop(context.Background(), "chat"); err == nil || len(jobs) > 0 {
					t.Errorf("Drop() after Run = %v, %v, want no jobs and an error", jobs, err)
				}
			})
		})
	}
}

// What Events.Retried is told of as retried is counted as that, also if it is dropped
// instead, since Run stops.
func TestRetriedAtTheStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var retried atomic.Int64
		retry := func(context.Context, job, error, time.Duration) { retried.Add(1) }
		s := open(t, inMemory(), config{Events: events{Retried: retry}}, func(ctx context.Context, _ job) error {
			<-ctx.Done()
			return dispatcher.RetryAfter(time.Second, nil)
		})
		s.submit("chat", "job")
		synctest.Wait()
		s.cut()
		if got := s.Stats().Retried; got != 1 || retried.Load() != 1 {
			t.Errorf("Stats().Retried = %d, Events.Retried is told of %d, want 1 each", got, retried.Load())
		}
	})
}

// A job that has failed, and was to run again when Run stopped, says why it failed.
func TestDroppedBeforeItRanAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{Retry: dispatcher.Retry{MaxAttempts: 2, Initial: time.Hour}}, func(context.Context, job) error {
			return errFailed
		})
		s.submit("chat", "job")
		time.Sleep(time.Minute)
		s.cut()
		r := s.outcomeOf("job")
		if r.Outcome != dispatcher.Dropped || !errors.Is(r.Err, dispatcher.ErrStopped) || !errors.Is(r.Err, errFailed) || !errors.Is(r.Err, errEnough) {
			t.Errorf("outcome: %v, %v, want dropped by a stop, with why it stopped and what the handler said", r.Outcome, r.Err)
		}
	})
}
