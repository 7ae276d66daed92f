package dispatcher_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
)

// wantStopped ends the context of Run and wants Run to return after a time, with an error that says
// how many jobs were dropped.
func (s *stage) wantStopped(dropped int, after time.Duration) {
	s.t.Helper()
	at := time.Now()
	s.stop(errEnough)
	s.wantEnd(at, dropped, after)
}

func (s *stage) wantEnd(stopped time.Time, dropped int, after time.Duration) {
	s.t.Helper()
	err := <-s.ended
	var stop *dispatcher.StopError
	switch {
	case !errors.As(err, &stop):
		s.t.Fatalf("Run() = %v, want a StopError", err)
	case stop.Dropped != dropped || stop.Err != errEnough:
		s.t.Errorf("Run() = %+v, want %d dropped and the cause", stop, dropped)
	case !errors.Is(err, errEnough) || !errors.Is(err, context.Canceled):
		s.t.Errorf("Run() = %v, want it to match the error of its context and its cause", err)
	}
	if took := time.Since(stopped); took != after {
		s.t.Errorf("Run returns %v after the end of its context, want %v", took, after)
	}
	s.check()
}

// When Run's context ends, nothing starts any more, handlers that run get StopTimeout, and what waits,
// for whatever, is reported as dropped at once.
func TestStopLetsHandlersFinish(t *testing.T) {
	inEachBackend(t, func(t *testing.T, b backend.Backend) {
		var mu sync.Mutex
		reported := map[string]time.Duration{}
		begin := time.Now()
		s := open(t, b, config{Workers: 3, Retry: dispatcher.Retry{MaxAttempts: 2, Initial: time.Hour}, Events: whenDone(func(r result) {
			mu.Lock()
			reported[r.Job.Payload] = time.Since(begin)
			mu.Unlock()
		})}, func(ctx context.Context, j job) error {
			switch j.Payload {
			case "runs":
				time.Sleep(5 * time.Second)
				return ctx.Err()
			case "retries":
				return errFailed
			}
			return nil
		})
		waits := []string{"retries", "limited", "dated", "paused", "held", "plain"}
		s.submit("retries", "retries")
		s.submit("a", "first", limit("x", every(time.Hour)))
		s.submit("a", "limited", limit("x", every(time.Hour)))
		s.submitJob(job{Key: "b", Payload: "dated", NotBefore: s.begin.Add(time.Hour)})
		s.PauseKey("paused")
		s.submit("paused", "paused")
		if err := s.Hold(t.Context(), "held", time.Hour); err != nil {
			t.Fatal(err)
		}
		s.submit("held", "held")
		time.Sleep(100 * time.Millisecond)
		for range 3 {
			s.submit("runs", "runs")
		}
		s.submit("plain", "plain")
		time.Sleep(900 * time.Millisecond)
		stopped := time.Now()
		s.stop(errEnough)
		synctest.Wait()
		for _, payload := range waits {
			if r := s.outcomeOf(payload); r.Outcome != dispatcher.Dropped || !errors.Is(r.Err, dispatcher.ErrStopped) || !errors.Is(r.Err, errEnough) {
				t.Errorf("%s: %v, %v, want dropped by the stop", payload, r.Outcome, r.Err)
			}
			mu.Lock()
			at := reported[payload]
			mu.Unlock()
			if want := stopped.Sub(begin); at != want {
				t.Errorf("%s is reported at %v, want %v", payload, at, want)
			}
		}
		if err := s.Submit(t.Context(), "key", "late"); !errors.Is(err, dispatcher.ErrClosed) {
			t.Errorf("Submit() while Run stops = %v, want ErrClosed", err)
		}
		if _, err := s.Load(t.Context()); !errors.Is(err, dispatcher.ErrClosed) {
			t.Errorf("Load() while Run stops = %v, want ErrClosed", err)
		}
		shut := make(chan error, 2)
		for range 2 {
			go func() { shut <- s.Shutdown(t.Context()) }()
		}
		s.wantEnd(stopped, len(waits), 4100*time.Millisecond)
		for range 2 {
			if err := <-shut; err != nil {
				t.Errorf("Shutdown() while Run stops = %v, want nil", err)
			}
		}
		if got := s.Stats(); got.Succeeded != 4 || got.Dropped != uint64(len(waits)) {
			t.Errorf("Stats() = %+v, want 4 succeeded and %d dropped", got, len(waits))
		}
	})
}

// Jobs without limits, which go by the fast path, are dropped at once too, while the worker is busy.
func TestStopDropsPlainJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{Workers: 1}, func(context.Context, job) error {
			time.Sleep(5 * time.Second)
			return nil
		})
		for i := range 1000 {
			s.submit("key", named("job", i))
		}
		time.Sleep(time.Second)
		stopped := time.Now()
		s.stop(errEnough)
		synctest.Wait()
		s.mu.Lock()
		reports := len(s.results)
		s.mu.Unlock()
		if got := s.Stats(); got.Dropped != 999 || got.Running != 1 || reports != 999 {
			t.Errorf("Stats() = %+v and %d reports, want 999 dropped and 1 that runs", got, reports)
		}
		s.wantEnd(stopped, 999, 4*time.Second)
	})
}

// The contexts of handlers end StopTimeout after Run's, with its cause.
func TestStopTimeout(t *testing.T) {
	for timeout, want := range map[time.Duration]time.Duration{
		0: 10 * time.Second, -1: 0, time.Nanosecond: time.Nanosecond, 3 * time.Second: 3 * time.Second,
	} {
		t.Run(fmt.Sprint(timeout), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t, inMemory(), config{StopTimeout: timeout}, func(ctx context.Context, j job) error {
					<-ctx.Done()
					if ctx.Err() != context.Canceled || context.Cause(ctx) != errEnough {
						t.Errorf("the handler's context ends with %v, %v, want Canceled and the cause of Run's", ctx.Err(), context.Cause(ctx))
					}
					return nil
				})
				s.submit("plain", "plain")
				s.track(job{Key: "tracked", Payload: "tracked"})
				s.submitJob(job{Key: "timed", Payload: "timed", Timeout: time.Hour})
				time.Sleep(time.Second)
				s.wantStopped(0, want)
			})
		})
	}
}

// A handler that the end of its context cuts off has one outcome, with and without a policy for
// retries: dropped, as the jobs that were to run again. What says that it has failed has failed.
func TestCutOff(t *testing.T) {
	policies := map[string]dispatcher.Retry{
		"no policy": {}, "attempts left": steady(3), "none left": steady(1),
	}
	for name, c := range map[string]struct {
		err     func(ctx context.Context) error
		want    dispatcher.Outcome // without a policy
		retried dispatcher.Outcome // if there are attempts left
	}{
		"nil":               {func(context.Context) error { return nil }, dispatcher.Succeeded, dispatcher.Succeeded},
		"the error":         {func(ctx context.Context) error { return ctx.Err() }, dispatcher.Dropped, dispatcher.Dropped},
		"the error wrapped": {func(ctx context.Context) error { return fmt.Errorf("send: %w", ctx.Err()) }, dispatcher.Dropped, dispatcher.Dropped},
		"the cause":         {context.Cause, dispatcher.Dropped, dispatcher.Dropped},
		"the cause wrapped": {func(ctx context.Context) error { return fmt.Errorf("send: %w", context.Cause(ctx)) }, dispatcher.Dropped, dispatcher.Dropped},
		"another error":     {func(context.Context) error { return errFailed }, dispatcher.Failed, dispatcher.Dropped},
		"permanent":         {func(ctx context.Context) error { return dispatcher.Permanent(ctx.Err()) }, dispatcher.Failed, dispatcher.Failed},
		"retry after":       {func(context.Context) error { return dispatcher.RetryAfter(time.Hour, errFailed) }, dispatcher.Dropped, dispatcher.Dropped},
		"snooze":            {func(context.Context) error { return dispatcher.Snooze(time.Hour) }, dispatcher.Dropped, dispatcher.Dropped},
		"panic":             {func(ctx context.Context) error { panic(ctx.Err()) }, dispatcher.Panicked, dispatcher.Panicked},
	} {
		for policy, retry := range policies {
			t.Run(name+"/"+policy, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var mu sync.Mutex
					returned := map[string]error{}
					s := open(t, inMemory(), config{Retry: retry}, func(ctx context.Context, j job) error {
						<-ctx.Done()
						err := c.err(ctx)
						mu.Lock()
						defer mu.Unlock()
						returned[j.Payload] = err
						return err
					})
					h := s.track(job{Key: "key", Payload: "tracked"})
					s.submit("key", "job")
					time.Sleep(time.Second)
					s.stop(errEnough)
					err := <-s.ended
					s.check()
					want := c.want
					if policy == "attempts left" {
						want = c.retried
					}
					dropped := 0
					for _, payload := range []string{"job", "tracked"} {
						r := s.outcomeOf(payload)
						if r.Outcome != want {
							t.Errorf("the job has %v, %v, want %v", r.Outcome, r.Err, want)
						}
						if r.Outcome == dispatcher.Dropped {
							dropped++
							if !errors.Is(r.Err, dispatcher.ErrStopped) || !errors.Is(r.Err, errEnough) || !errors.Is(r.Err, returned[payload]) || r.Job.Attempt() != 1 {
								t.Errorf("the error is %v at attempt %d, want why it stopped and what the handler returned, at 1", r.Err, r.Job.Attempt())
							}
						}
					}
					if stop, ok := errors.AsType[*dispatcher.StopError](err); !ok || stop.Dropped != dropped {
						t.Errorf("Run() = %v, want %d dropped", err, dropped)
					}
					if r, ended := h.Result(); !ended || r.Outcome != want {
						t.Errorf("the handle has %v, want %v", r.Outcome, want)
					}
				})
			})
		}
	}
}

// An error of a context is a failure like others while the handler's own has not been cut off: that
// of a job's Timeout, or of a call.
func TestContextErrorsThatAreNoCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{}, func(ctx context.Context, j job) error {
			if j.Payload == "timed" {
				<-ctx.Done()
				return ctx.Err()
			}
			time.Sleep(5 * time.Second)
			return context.Canceled
		})
		s.submitJob(job{Key: "timed", Payload: "timed", Timeout: 2 * time.Second})
		s.submit("call", "call")
		time.Sleep(time.Second)
		s.wantStopped(0, 4*time.Second)
		for _, payload := range []string{"timed", "call"} {
			if r := s.outcomeOf(payload); r.Outcome != dispatcher.Failed {
				t.Errorf("%s: %v, %v, want failed", payload, r.Outcome, r.Err)
			}
		}
	})
}

// A job that is canceled and cut off is canceled.
func TestCutOffOfACanceledJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{}, func(ctx context.Context, _ job) error {
			<-ctx.Done()
			time.Sleep(time.Hour)
			return ctx.Err()
		})
		h := s.track(job{Key: "key", Payload: "job"})
		time.Sleep(time.Second)
		h.Cancel()
		s.wantStopped(0, time.Hour)
		if r := s.outcomeOf("job"); r.Outcome != dispatcher.Canceled || !errors.Is(r.Err, dispatcher.ErrCanceled) {
			t.Errorf("the job has %v, %v, want canceled", r.Outcome, r.Err)
		}
	})
}

// What a handler that finishes while Run stops wants for later is dropped, but a RetryAfter holds
// the key for all who share the backend.
func TestRetriesWhileItStops(t *testing.T) {
	inEachBackend(t, func(t *testing.T, b backend.Backend) {
		s := open(t, b, config{Retry: dispatcher.Retry{MaxAttempts: 2, Initial: time.Nanosecond, Jitter: -1}}, func(_ context.Context, j job) error {
			time.Sleep(2 * time.Second)
			if j.Payload == "fails" {
				return errFailed
			}
			return dispatcher.RetryAfter(time.Minute, errFailed)
		})
		other := open(t, b, config{}, nil)
		s.submit("fails", "fails")
		s.submit("key", "refused")
		time.Sleep(time.Second)
		s.stop(errEnough)
		if stop, ok := errors.AsType[*dispatcher.StopError](<-s.ended); !ok || stop.Dropped != 2 {
			t.Errorf("Run() = %v, want 2 dropped", stop)
		}
		s.check()
		if at := len(s.starts); at != 2 {
			t.Errorf("%d starts, want 2: none again", at)
		}
		now := time.Since(other.begin)
		other.submit("other", "other", limit("key", perSecond(1)))
		other.drain()
		if at := other.startsOf("other"); len(at) != 1 || at[0] < now+time.Minute-10*time.Millisecond {
			t.Errorf("a job under the limit starts at %v, want a minute after %v", at, now)
		}
	})
}

// A Run whose context has ended before drops everything and starts nothing.
func TestRunWithAnEndedContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, inMemory(), config{}, nil)
		s.submit("key", "a")
		s.submit("key", "b")
		ctx, stop := context.WithCancelCause(context.Background())
		stop(errEnough)
		s.stop = stop
		go func() { s.ended <- s.Run(ctx) }()
		s.wantStopped(2, 0)
		s.wantOrder()
	})
}

// After a Shutdown that has drained all, Run returns nil, and its context may end later.
func TestRunAfterShutdownReturnsNil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{}, func(context.Context, job) error { time.Sleep(time.Second); return nil })
		s.submit("key", "a")
		s.drain()
	})
}

// sampleHangs is a backend that does not answer requests which are never granted.
type sampleHangs struct{ *remote }

func (s *sampleHangs) Reserve(ctx context.Context, reqs []backend.Request, ds []backend.Decision) error {
	for i := range reqs {
		if time.Until(reqs[i].NotBefore) > time.Hour {
			<-ctx.Done()
			return ctx.Err()
		}
	}
	return s.remote.Reserve(ctx, reqs, ds)
}

// When all is done Run ends, though the backend has not answered what no job needs.
func TestNoAnswerIsWaitedForWhenAllIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &sampleHangs{&remote{inner: inMemory(), trip: time.Millisecond}}
		s := open(t, b, config{}, func(context.Context, job) error {
			time.Sleep(300 * time.Millisecond)
			return nil
		})
		s.submit("key", "job", limit("x", perSecond(10)))
		time.Sleep(100 * time.Millisecond)
		if err := s.SetParams("x", perSecond(5)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
		began := time.Now()
		s.drain()
		if took := time.Since(began); took > time.Second {
			t.Errorf("Run ends %v after Shutdown, want when the job is done", took)
		}
	})
}
