package dispatcher_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
)

// Guarantee 9, trap 30: whatever a handler does, its job alone is harmed. Jobs of
// other keys and of its own go on, also when it has done it more often than
// there are workers.
func TestGuarantee9OneBadHandler(t *testing.T) {
	errBad := errors.New("bad")
	for _, bad := range []struct {
		name    string
		handler func()
		outcome dispatcher.Outcome
		err     func(error) bool
	}{
		{"panic with an error", func() { panic(errBad) }, dispatcher.Panicked, func(err error) bool {
			var p *dispatcher.PanicError
			return errors.As(err, &p) && p.Value == errBad && errors.Is(err, errBad) &&
				strings.Contains(string(p.Stack), "TestGuarantee9OneBadHandler")
		}},
		{"panic with a value", func() { panic(42) }, dispatcher.Panicked, func(err error) bool {
			var p *dispatcher.PanicError
			return errors.As(err, &p) && p.Value == 42 && len(p.Stack) > 0
		}},
		{"panic with nil", func() { panic(nil) }, dispatcher.Panicked, func(err error) bool {
			var p *runtime.PanicNilError
			return errors.As(err, &p)
		}},
		{"panic with a RetryAfter", func() { panic(dispatcher.RetryAfter(0, nil)) }, dispatcher.Panicked, func(err error) bool {
			var p *dispatcher.PanicError
			return errors.As(err, &p)
		}},
		{"index out of range", func() { _ = strings.Fields("")[0] }, dispatcher.Panicked, func(err error) bool {
			var p runtime.Error
			return errors.As(err, &p)
		}},
		{"Goexit", runtime.Goexit, dispatcher.Panicked, func(err error) bool {
			return errors.Is(err, dispatcher.ErrGoexit)
		}},
		{"Goexit after a panic", func() {
			defer runtime.Goexit()
			panic(errBad)
		}, dispatcher.Panicked, func(err error) bool { return err != nil }},
		{"panic after a Goexit", func() {
			defer func() { panic(errBad) }()
			runtime.Goexit()
		}, dispatcher.Panicked, func(err error) bool { return errors.Is(err, errBad) }},
	} {
		t.Run(bad.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const workers = 3
				s := open(t, inMemory(), config{Workers: workers, Serial: true, Params: perSecond(10)},
					func(_ context.Context, j job) error {
						if strings.HasPrefix(j.Payload, "bad") {
							bad.handler()
						}
						return nil
					})
				for i := range 3 * workers {
					s.submit("key", named("bad", i))
					s.submit("key", named("good", i))
					s.submit("other", named("other", i))
				}
				s.drain()
				for i := range 3 * workers {
					if r := s.outcomeOf(named("bad", i)); r.Outcome != bad.outcome || !bad.err(r.Err) {
						t.Errorf("outcome of a bad job: %v, %v, want %v and its error", r.Outcome, r.Err, bad.outcome)
					}
					for _, name := range []string{"good", "other"} {
						if r := s.outcomeOf(named(name, i)); r.Outcome != dispatcher.Succeeded {
							t.Errorf("outcome of a good job: %v, want %v", r.Outcome, dispatcher.Succeeded)
						}
					}
					s.wantStarts(named("good", i), time.Duration(2*i+1)*100*time.Millisecond)
					s.wantStarts(named("other", i), time.Duration(i)*100*time.Millisecond)
				}
				if got := s.Stats().Workers; got > workers {
					t.Errorf("Stats().Workers = %d, want %d at most", got, workers)
				}
			})
		})
	}
}

// Guarantee 9: an error that panics when it is looked into, as a nil pointer with
// the type of an error may, harms its job alone.
func TestGuarantee9TypedNilError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{Workers: 1}, func(_ context.Context, j job) error {
			if j.Payload == "bad" {
				var err *url.Error
				return err
			}
			return nil
		})
		for range 3 {
			s.submit("key", "bad")
		}
		s.submit("key", "good")
		s.drain()
		if got := s.Stats(); got.Panicked != 3 || got.Succeeded != 1 {
			t.Errorf("Stats() = %+v, want 3 panicked and 1 succeeded", got)
		}
	})
}

// Guarantee 9: a handler that never returns takes one worker, and, with Serial,
// its key. The others go on at their limits.
func TestGuarantee9NeverReturning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := open(t, inMemory(), config{Workers: 2, Serial: true, Params: perSecond(10)}, func(_ context.Context, j job) error {
			if j.Payload == "stuck" {
				<-release // and minds no context
			}
			return nil
		})
		s.submit("stuck", "stuck")
		s.submit("stuck", "behind it")
		for range 100 {
			s.submit("key", "job")
		}
		time.Sleep(time.Hour)
		if got := s.startsOf("job"); len(got) != 100 || got[99] != 9900*time.Millisecond {
			t.Errorf("the other jobs start at %v, want 100 starts, 0.1s apart", got)
		}

		// Shutdown says what is left, and the end of ctx does not return before
		// the handler has.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var left *dispatcher.ShutdownError
		if err := s.Shutdown(ctx); !errors.As(err, &left) || left.Running != 1 || left.Waiting != 1 {
			t.Errorf("Shutdown() = %v, want 1 running and 1 waiting", err)
		}
		s.stop(errEnough)
		synctest.Wait()
		select {
		case err := <-s.ended:
			t.Fatalf("Run() = %v while a handler runs", err)
		default:
		}
		close(release)
		s.cut()
		if r := s.outcomeOf("stuck"); r.Outcome != dispatcher.Succeeded {
			t.Errorf("outcome of the handler that returned in the end: %v, want %v", r.Outcome, dispatcher.Succeeded)
		}
		if r := s.outcomeOf("behind it"); r.Outcome != dispatcher.Dropped {
			t.Errorf("outcome of the job behind it: %v, want %v", r.Outcome, dispatcher.Dropped)
		}
	})
}

// Guarantee 9: an Events.Done that panics harms nothing; it is logged.
func TestGuarantee9DonePanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &lines{}
		s := open(t, inMemory(), config{
			Workers: 2,
			Params:  perSecond(10),
			Logger:  log.logger(),
			Events:  whenDone(func(result) { panic("on purpose") }),
		}, nil)
		for range 10 {
			s.submit("key", "job")
		}
		time.Sleep(500 * time.Millisecond)
		synctest.Wait()
		s.cut() // the rest is reported by the goroutine of Run
		log.want(t, "Events.Done panicked", 10)
		log.want(t, "on purpose", 10)
		if got := s.Stats(); got.Succeeded != 6 || got.Dropped != 4 {
			t.Errorf("Stats() = %+v, want 6 succeeded and 4 dropped", got)
		}
	})
}

// Guarantee 9: an Events.Done that ends its goroutine costs a worker's goroutine, and
// nothing else.
func TestGuarantee9DoneGoexits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{
			Workers: 2,
			Params:  perSecond(10),
			Events:  whenDone(func(result) { runtime.Goexit() }),
		}, nil)
		for range 10 {
			s.submit("key", "job")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Fatalf("Shutdown() = %v, want nil", err)
		}
		s.drain()
	})
}

// Guarantee 9: the same while the jobs that wait are dropped, which is not done by
// a worker.
func TestGuarantee9DoneGoexitsForDroppedJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{
			Workers: 2,
			Params:  every(time.Hour),
			Events: whenDone(func(r result) {
				if r.Outcome == dispatcher.Dropped {
					runtime.Goexit()
				}
			}),
		}, nil)
		for i := range 10 {
			s.submit("key", named("job", i))
		}
		synctest.Wait()
		s.cut()
		for i := range 10 {
			want := dispatcher.Dropped
			if i == 0 {
				want = dispatcher.Succeeded
			}
			if r := s.outcomeOf(named("job", i)); r.Outcome != want {
				t.Errorf("outcome of job %d: %v, want %v", i, r.Outcome, want)
			}
		}
		if err := s.Submit(t.Context(), "key", "late"); !errors.Is(err, dispatcher.ErrClosed) {
			t.Errorf("Submit() after Run = %v, want ErrClosed", err)
		}
	})
}

// Guarantee 9, trap 30: when Config.Limits panics, Submit says so, and nothing
// was accepted.
func TestGuarantee9LimitsPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errBad := errors.New("bad")
		s := open(t, inMemory(), config{Limits: func(key, payload string) []dispatcher.Limit {
			if payload == "bad" {
				panic(errBad)
			}
			return []dispatcher.Limit{limit(key, perSecond(1))}
		}}, nil)
		err := s.Submit(t.Context(), "key", "bad")
		var p *dispatcher.PanicError
		if !errors.As(err, &p) || p.Value != errBad || !errors.Is(err, errBad) || len(p.Stack) == 0 {
			t.Errorf("Submit() while Limits panics = %v, want a PanicError with its value and stack", err)
		}
		s.submit("key", "good")
		s.drain()
		s.wantOrder("good")
	})
}

// Guarantee 9: failures and panics reach the log, panics with their stack.
func TestGuarantee9BadJobsAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &lines{}
		s := open(t, inMemory(), config{Logger: log.logger()}, func(_ context.Context, j job) error {
			if j.Payload == "panics" {
				panic("on purpose")
			}
			return errors.New("no such chat")
		})
		s.submit("chat:1", "fails")
		s.submit("chat:2", "panics")
		s.drain()
		log.want(t, "no such chat", 1)
		log.want(t, "on purpose", 1)
		log.want(t, "chat:1", 1)
		log.want(t, "TestGuarantee9BadJobsAreLogged", 1)
	})
}

// Guarantee 9: with Recover, a panic is logged with its stack too: each by Log, and the last one by
// the dispatcher.
func TestGuarantee9RecoveredPanicsAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs, jobs := &lines{}, &lines{}
		s := open(t, inMemory(), config{
			Logger:     jobs.logger(),
			Middleware: []dispatcher.Middleware{dispatcher.Log(runs.logger()), dispatcher.Recover},
			Retry:      steady(3),
		}, func(context.Context, job) error { panic("on purpose") })
		s.submit("chat", "panics")
		s.drain()
		runs.want(t, "TestGuarantee9RecoveredPanicsAreLogged", 3)
		jobs.want(t, "TestGuarantee9RecoveredPanicsAreLogged", 1)
	})
}

// lines is a log.
type lines struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// want wants so many lines that hold a text.
func (l *lines) want(t *testing.T, text string, want int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	got := 0
	for line := range strings.Lines(l.buf.String()) {
		if strings.Contains(line, text) {
			got++
		}
	}
	if got != want {
		t.Errorf("%d lines of the log hold %q, want %d:\n%s", got, text, want, &l.buf)
	}
}

// A handler that keeps its Job doesn't keep the dispatcher or its backend in memory.
func TestKeptJobHoldsNothingElse(t *testing.T) {
	var kept job
	gone := make(chan struct{})
	func() {
		b := inMemory()
		runtime.AddCleanup(b, func(struct{}) { close(gone) }, struct{}{})
		ended := make(chan struct{})
		d, err := dispatcher.New(b, func(_ context.Context, j job) error {
			kept = j
			close(ended)
			return nil
		}, config{Params: perSecond(1)})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Submit(t.Context(), "key", "job"); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		go func() { <-ended; stop() }()
		if err := d.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Run() = %v, want the end of its context", err)
		}
	}()
	for range 100 {
		runtime.GC()
		select {
		case <-gone:
			if kept.Slot().IsZero() || kept.Submitted().IsZero() {
				t.Errorf("the job that is kept has slot %v and was submitted at %v", kept.Slot(), kept.Submitted())
			}
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Error("a job that is kept holds on to the backend")
}
