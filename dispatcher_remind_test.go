package dispatcher_test

import (
	"context"
	"log"
	"log/slog"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
)

// captureDefault has slog.Default write to a log, until the test ends.
func captureDefault(t *testing.T) *lines {
	l := &lines{}
	old, flags := slog.Default(), log.Flags()
	slog.SetDefault(l.logger())
	t.Cleanup(func() {
		slog.SetDefault(old)
		log.SetOutput(os.Stderr) // SetDefault has taken it
		log.SetFlags(flags)
	})
	return l
}

// Without a Logger, what goes wrong is in the default one, as it is at the time; also in the log of the
// middleware Log.
func TestDefaultLogger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recoverOne := func(ctx context.Context, j dispatcher.JobInfo, next func(context.Context) error) error {
			if j.Key == "0" {
				return next(ctx)
			}
			return dispatcher.Recover(ctx, j, next)
		}
		d, err := dispatcher.New(inMemory(), func(_ context.Context, j dispatcher.Job[string]) error {
			panic(j.Payload)
		}, dispatcher.Config[string]{Middleware: []dispatcher.Middleware{dispatcher.Log(nil), recoverOne}})
		if err != nil {
			t.Fatal(err)
		}
		said := captureDefault(t)
		go func() { _ = d.Run(t.Context()) }()
		for i, payload := range []string{"not recovered", "on purpose"} {
			if err := d.Submit(t.Context(), strconv.Itoa(i), payload); err != nil {
				t.Fatal(err)
			}
		}
		if err := d.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		said.want(t, "handler panicked", 1)
		said.want(t, "not recovered", 1)
		said.want(t, "job failed", 1)
		said.want(t, "handler returned", 1)
		said.want(t, "on purpose", 2)
	})
}

// A Logger that discards keeps all quiet.
func TestDiscardingLogger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		said := captureDefault(t)
		s := prepare(t, inMemory(), config{Logger: slog.New(slog.DiscardHandler)}, func(context.Context, job) error { panic("on purpose") })
		s.submit("key", "job")
		time.Sleep(time.Hour)
		s.run()
		s.drain()
		said.want(t, "", 0)
	})
}

// unran returns a stage whose Run has not been called, and its log.
func unran(t *testing.T) (*stage, *lines) {
	said := &lines{}
	return prepare(t, inMemory(), config{Logger: said.logger()}, nil), said
}

// Jobs that wait for a Run that does not come are in the log, in one line.
func TestJobsWithoutRun(t *testing.T) {
	for name, limits := range map[string][]dispatcher.Limit{"plain": nil, "limited": {limit("x", perSecond(1000))}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, said := unran(t)
				time.Sleep(time.Hour)
				for range 3 {
					s.submit("key", "job", limits...)
				}
				time.Sleep(5*time.Second - 1)
				said.want(t, "", 0)
				time.Sleep(time.Nanosecond)
				synctest.Wait()
				said.want(t, "Run has not been called", 1)
				said.want(t, "jobs=3", 1)
				s.submit("key", "job", limits...)
				time.Sleep(time.Hour)
				said.want(t, "", 1)
				s.run()
				s.drain()
			})
		})
	}
}

// Nothing is said where Run is called in time.
func TestRunInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, said := unran(t)
		s.submit("key", "job", limit("x", every(time.Hour)))
		s.submit("key", "job", limit("x", every(time.Hour)))
		time.Sleep(5*time.Second - 1)
		s.run()
		idle := make(chan error)
		go func() { idle <- s.WaitIdle(context.Background()) }()
		time.Sleep(time.Minute)
		if _, err := s.Load(t.Context()); err != nil {
			t.Error(err)
		}
		s.drain()
		if err := <-idle; err != nil {
			t.Error(err)
		}
		said.want(t, "", 0)
	})
}

// Calls that wait for a Run that does not come say so, once each.
func TestCallsWithoutRun(t *testing.T) {
	for name, call := range map[string]func(ctx context.Context, s *stage) error{
		"Shutdown": func(ctx context.Context, s *stage) error { return s.Shutdown(ctx) },
		"WaitIdle": func(ctx context.Context, s *stage) error { return s.WaitIdle(ctx) },
		"Load":     func(ctx context.Context, s *stage) error { _, err := s.Load(ctx); return err },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, said := unran(t)
				s.submit("key", "job")
				time.Sleep(time.Hour)
				said.want(t, "", 1)
				short, cancel := context.WithTimeout(t.Context(), 5*time.Second-1)
				defer cancel()
				if err := call(short, s); err == nil {
					t.Errorf("%s() without Run = nil, want an error", name)
				}
				time.Sleep(time.Hour)
				said.want(t, "", 1)
				errs := make(chan error, 2)
				for range 2 {
					go func() { errs <- call(context.Background(), s) }()
				}
				time.Sleep(5 * time.Second)
				synctest.Wait()
				said.want(t, "Run has not been called", 2)
				said.want(t, "waits", 1)
				if name != "Load" {
					said.want(t, name, 1)
				}
				time.Sleep(time.Hour)
				said.want(t, "", 2)
				s.run()
				for range 2 {
					if err := <-errs; err != nil {
						t.Errorf("%s() = %v, want nil", name, err)
					}
				}
				s.drain()
			})
		})
	}
}

// A dispatcher that is never run, and waits for nothing, leaves nothing behind: a bubble ends, and so
// does a program.
func TestNeverRun(t *testing.T) {
	var said *lines
	synctest.Test(t, func(t *testing.T) {
		var s *stage
		s, said = unran(t)
		s.submit("key", "job")
	})
	said.want(t, "", 0)
	s, said := unran(t)
	if err := s.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown() without jobs = %v, want nil", err)
	}
	said.want(t, "", 0)
}
