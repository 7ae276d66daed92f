package dispatcher_test

import (
	"context"
	"errors"
	"reflect"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
)

// Guarantee 8, trap 31: while many goroutines submit, the intake closes. Every
// accepted job is reported once, every other Submit is an error, and nothing
// runs after Run has returned.
func TestGuarantee8ExactlyOneOutcome(t *testing.T) {
	errGone := errors.New("gone")
	for _, end := range []struct {
		name string
		end  func(d *dispatcher.Dispatcher[int], stop context.CancelCauseFunc)
		want error
	}{
		{"Shutdown", func(d *dispatcher.Dispatcher[int], _ context.CancelCauseFunc) { _ = d.Shutdown(context.Background()) }, nil},
		{"ctx ends", func(_ *dispatcher.Dispatcher[int], stop context.CancelCauseFunc) { stop(errGone) }, errGone},
		{"ctx ends during Shutdown", func(d *dispatcher.Dispatcher[int], stop context.CancelCauseFunc) {
			ended, cancel := context.WithCancel(context.Background())
			cancel()
			d.Pause() // else all may be done before ctx ends
			_ = d.Shutdown(ended)
			stop(errGone)
		}, errGone},
	} {
		t.Run(end.name, func(t *testing.T) {
			for range 20 {
				c := newCrowd(t)
				ctx, stop := context.WithCancelCause(context.Background())
				c.end = func() { end.end(c.Dispatcher, stop) }
				ended := make(chan error, 1)
				go func() {
					err := c.Run(ctx)
					c.returned.Store(true)
					ended <- err
				}()
				c.submit()
				if err := <-ended; !errors.Is(err, end.want) {
					t.Errorf("Run() = %v, want %v", err, end.want)
				}
				stop(nil)
				c.check()
			}
		})
	}
}

// crowd is many goroutines that submit to one dispatcher until it is closed.
type crowd struct {
	*dispatcher.Dispatcher[int]
	t        *testing.T
	end      func()      // called by one of them, in the midst of it
	returned atomic.Bool // Run has

	accepted [16]int      // how many jobs of each goroutine
	reported [16]sync.Map // the outcomes of each one's jobs
}

func newCrowd(t *testing.T) *crowd {
	c := &crowd{t: t}
	var err error
	c.Dispatcher, err = dispatcher.New(inMemory(), c.handle, dispatcher.Config[int]{
		Workers:  4,
		Capacity: 300,
		Limits: func(key string, i int) []dispatcher.Limit {
			if i%3 > 0 {
				return nil
			}
			return []dispatcher.Limit{limit(key, perSecond(1_000_000)), limit("shared", perSecond(1_000_000))}
		},
		Events: dispatcher.Events[int]{Done: c.done},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *crowd) handle(_ context.Context, j dispatcher.Job[int]) error {
	if c.returned.Load() {
		c.t.Error("a job starts after Run has returned")
	}
	switch j.Payload % 10 {
	case 1:
		return errors.New("failed")
	case 2:
		panic("panicked")
	case 3:
		if j.Attempt() == 1 {
			return dispatcher.RetryAfter(0, nil)
		}
	}
	return nil
}

func (c *crowd) done(_ context.Context, r dispatcher.Result[int]) {
	if c.returned.Load() {
		c.t.Error("an outcome is reported after Run has returned")
	}
	goroutine, _ := strconv.Atoi(r.Job.Key)
	if _, twice := c.reported[goroutine].LoadOrStore(r.Job.Payload, r.Outcome); twice {
		c.t.Errorf("job %d of goroutine %d is reported twice", r.Job.Payload, goroutine)
	}
}

// submit returns when every goroutine has been told that the intake is closed.
func (c *crowd) submit() {
	var (
		wg    sync.WaitGroup
		count atomic.Int64
	)
	for g := range c.accepted {
		wg.Go(func() {
			key := strconv.Itoa(g)
			for {
				err := c.Submit(context.Background(), key, c.accepted[g])
				switch {
				case err == nil:
					c.accepted[g]++
					if count.Add(1) == 500 {
						c.end()
					}
				case errors.Is(err, dispatcher.ErrFull):
					runtime.Gosched()
				case errors.Is(err, dispatcher.ErrClosed):
					return
				default:
					c.t.Errorf("Submit() = %v, want ErrFull or ErrClosed", err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// check wants one outcome for each job that was accepted, and none for others.
func (c *crowd) check() {
	for g := range c.accepted {
		for i := range c.accepted[g] {
			if _, ok := c.reported[g].LoadAndDelete(i); !ok {
				c.t.Fatalf("job %d of goroutine %d was accepted and has no outcome", i, g)
			}
		}
		c.reported[g].Range(func(payload, _ any) bool {
			c.t.Errorf("job %v of goroutine %d was refused and has an outcome", payload, g)
			return true
		})
	}
}

// Guarantee 8: Run ends in the midst of taking in what was submitted. None of it
// is forgotten.
func TestGuarantee8EndWhileTakingIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &ending{Backend: inMemory()}
		s := prepare(t, b, config{}, nil)
		for i := range 5000 {
			s.submit(named("key", i), "job", limit("shared", perSecond(1)))
		}
		b.end = func() { s.stop(errEnough) }
		s.run()
		synctest.Wait()
		s.cut()
		if got := s.Stats(); got.Dropped != 5000 {
			t.Errorf("Stats() = %+v, want 5000 dropped", got)
		}
	})
}

// Guarantee 8: each way to end is told apart.
func TestGuarantee8Outcomes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errBad := errors.New("bad")
		s := open(t, inMemory(), config{Workers: 4, StopTimeout: -1}, func(ctx context.Context, j job) error {
			switch j.Payload {
			case "fails":
				return errBad
			case "panics":
				panic(errBad)
			case "runs on":
				<-ctx.Done()
				time.Sleep(time.Minute)
			case "runs again":
				return dispatcher.RetryAfter(time.Hour, nil)
			}
			return nil
		})
		for _, payload := range []string{"succeeds", "fails", "panics", "runs on", "runs again"} {
			s.submit(payload, payload)
		}
		s.submit("key", "first", limit("key", every(time.Hour)))
		s.submit("key", "waits", limit("key", every(time.Hour)))
		time.Sleep(time.Second)
		s.stop(errEnough)
		time.Sleep(time.Second)
		if err := s.Submit(t.Context(), "key", "late"); !errors.Is(err, dispatcher.ErrClosed) {
			t.Errorf("Submit() while Run stops = %v, want ErrClosed", err)
		}
		s.cut()
		if passed := time.Since(s.begin); passed != time.Minute+time.Second {
			t.Errorf("Run() returns after %v, want it to wait for the handler that runs on, 1m1s", passed)
		}
		for _, c := range []struct {
			payload string
			want    dispatcher.Outcome
			err     error
		}{
			{"succeeds", dispatcher.Succeeded, nil},
			{"fails", dispatcher.Failed, errBad},
			{"panics", dispatcher.Panicked, errBad},
			{"runs on", dispatcher.Succeeded, nil},
			{"runs again", dispatcher.Dropped, dispatcher.ErrStopped},
			{"first", dispatcher.Succeeded, nil},
			{"waits", dispatcher.Dropped, dispatcher.ErrStopped},
			{"waits", dispatcher.Dropped, errEnough},
		} {
			if r := s.outcomeOf(c.payload); r.Outcome != c.want || !errors.Is(r.Err, c.err) {
				t.Errorf("outcome of %q: %v, %v, want %v, %v", c.payload, r.Outcome, r.Err, c.want, c.err)
			}
		}
		stats := s.Stats()
		stats.Workers = 0
		if got := stats.Lateness.Count(); got != 1 {
			t.Errorf("the lateness of %d starts is known, want the lateness of the one under a limit", got)
		}
		stats.Lateness = dispatcher.Histogram{}
		want := dispatcher.Stats{Submitted: 7, Retried: 1, Succeeded: 3, Failed: 1, Panicked: 1, Dropped: 2}
		if !reflect.DeepEqual(stats, want) {
			t.Errorf("Stats() = %+v, want %+v", stats, want)
		}
	})
}

// What the result of a job says.
func TestResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{Params: perSecond(1)}, func(_ context.Context, j job) error {
			time.Sleep(100 * time.Millisecond)
			if j.Payload == "second" && j.Attempt() == 1 {
				return dispatcher.RetryAfter(3*time.Second, nil)
			}
			return nil
		})
		time.Sleep(time.Second)
		s.submit("key", "first")
		s.submit("key", "second")
		s.submit("key", "third")
		s.submit("key", "dropped")
		time.Sleep(5500 * time.Millisecond)
		s.cut()
		for _, c := range []struct {
			payload              string
			attempt              int
			slot, started, ended time.Duration
		}{
			{"first", 1, 1000 * time.Millisecond, 1000 * time.Millisecond, 1100 * time.Millisecond},
			{"second", 2, 5100 * time.Millisecond, 5100 * time.Millisecond, 5200 * time.Millisecond},
			{"third", 1, 6100 * time.Millisecond, 6100 * time.Millisecond, 6200 * time.Millisecond},
		} {
			r := s.outcomeOf(c.payload)
			if got := r.Job.Attempt(); got != c.attempt {
				t.Errorf("Attempt() of %q = %d, want %d", c.payload, got, c.attempt)
			}
			since := func(what string, at time.Time, want time.Duration) {
				if got := at.Sub(s.begin); got != want {
					t.Errorf("%s of %q: %v, want %v", what, c.payload, got, want)
				}
			}
			since("Submitted()", r.Job.Submitted(), time.Second)
			since("Slot()", r.Job.Slot(), c.slot)
			since("Started", r.Started, c.started)
			since("Ended", r.Ended, c.ended)
			if got := r.Lateness(); got != 0 {
				t.Errorf("Lateness() of %q = %v, want 0", c.payload, got)
			}
		}
		r := s.outcomeOf("dropped")
		if !r.Job.Slot().IsZero() || !r.Started.IsZero() || !r.Ended.IsZero() || r.Lateness() != 0 || r.Job.Attempt() != 0 {
			t.Errorf("the dropped job has %+v, want no slot, start, end, lateness or attempt", r)
		}
	})
}

// Events.Done sees Stats in which each job is counted once, its own among those that
// have ended.
func TestStatsInDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s *stage
		ended := uint64(0)
		s = prepare(t, inMemory(), config{Workers: 1, Events: whenDone(func(result) {
			ended++
			got := s.Stats()
			done := got.Succeeded + got.Failed + got.Panicked + got.Dropped
			if done != ended || uint64(got.Waiting+got.Running)+done != got.Submitted {
				t.Errorf("Stats() in Done = %+v, want %d ended and all of %d counted once", got, ended, got.Submitted)
			}
		})}, func(_ context.Context, j job) error {
			switch {
			case j.Payload == "fails":
				return errors.New("failed")
			case j.Payload == "panics":
				panic("panicked")
			case j.Payload == "runs again" && j.Attempt() == 1:
				return dispatcher.RetryAfter(time.Second, nil)
			}
			return nil
		})
		for _, payload := range []string{"succeeds", "fails", "runs again", "panics"} {
			s.submit(payload, payload)
		}
		s.submit("key", "first", limit("key", every(time.Hour)))
		s.submit("key", "dropped", limit("key", every(time.Hour)))
		s.run()
		time.Sleep(time.Minute)
		s.cut()
		if ended != 6 {
			t.Errorf("Done was called %d times, want 6", ended)
		}
	})
}
