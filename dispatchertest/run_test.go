package dispatchertest_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/dispatchertest"
	"github.com/freqlimit/dispatcher/gcra"
)

type (
	job    = dispatcher.Job[string]
	config = dispatcher.Config[string]
	result = dispatcher.Result[string]
)

var errFailed = errors.New("failed")

func newDispatcher(t *testing.T, b backend.Backend, cfg config, handler dispatcher.Handler[string]) *dispatcher.Dispatcher[string] {
	t.Helper()
	cfg.Logger = slog.New(slog.DiscardHandler)
	d, err := dispatcher.New(b, handler, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Results come in the order of the jobs, whatever they end in. What handlers submit has ended
// too.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var d *dispatcher.Dispatcher[string]
		cfg := config{Params: gcra.PerSecond(1), Retry: dispatcher.Retry{MaxAttempts: 3, Initial: time.Minute, Jitter: -1}}
		d = newDispatcher(t, &dispatchertest.Backend{}, cfg, func(ctx context.Context, j job) error {
			switch {
			case j.Payload == "parent":
				return d.SubmitJob(ctx, job{Key: "child", NotBefore: time.Now().Add(time.Hour)})
			case j.Payload == "again" && j.Attempt() == 1:
				return errFailed
			case j.Payload == "fails":
				return dispatcher.Permanent(errFailed)
			}
			return nil
		})
		results := dispatchertest.Run(t, d,
			job{Key: "a", Payload: "again"},
			job{Key: "a", Payload: "fails"},
			job{Key: "a", Payload: "late", Priority: -1, Deadline: begin.Add(time.Second)},
			job{Key: "b", Payload: "parent"},
		)
		for i, want := range []struct {
			payload string
			outcome dispatcher.Outcome
			attempt int
			started time.Duration
		}{
			{"again", dispatcher.Succeeded, 2, time.Minute},
			{"fails", dispatcher.Failed, 1, time.Second},
			{"late", dispatcher.Expired, 0, 0},
			{"parent", dispatcher.Succeeded, 1, 0},
		} {
			r := results[i]
			if r.Job.Payload != want.payload || r.Outcome != want.outcome || r.Job.Attempt() != want.attempt {
				t.Errorf("result %d is of %q, %v at attempt %d, want %+v", i, r.Job.Payload, r.Outcome, r.Job.Attempt(), want)
			}
			if r.Outcome != dispatcher.Expired && r.Started.Sub(begin) != want.started {
				t.Errorf("%q was started at %v, want %v", want.payload, r.Started.Sub(begin), want.started)
			}
		}
		if took := time.Since(begin); took != time.Hour {
			t.Errorf("Run returns after %v, want an hour, when what a handler submitted has ended", took)
		}
		if err := d.Submit(t.Context(), "", ""); !errors.Is(err, dispatcher.ErrClosed) {
			t.Errorf("Submit() after Run = %v, want %v", err, dispatcher.ErrClosed)
		}
	})
}

// failing is a test that may fail.
type failing struct {
	testing.TB
	text string
}

func (f *failing) Helper() {}

func (f *failing) Fatalf(format string, args ...any) {
	f.text = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// A test fails if one of its jobs is refused, or if the dispatcher has been run before.
func TestRunFails(t *testing.T) {
	ran := func(t *testing.T, d *dispatcher.Dispatcher[string]) {
		t.Helper()
		go func() { _ = d.Run(t.Context()) }()
		synctest.Wait()
	}
	for name, c := range map[string]struct {
		before func(t *testing.T, d *dispatcher.Dispatcher[string])
		jobs   []job
		want   string
	}{
		"refused":    {func(*testing.T, *dispatcher.Dispatcher[string]) {}, []job{{ID: "x"}, {ID: "x"}}, "job 1 was refused: dispatcher: duplicate"},
		"ran":        {ran, nil, "does not run: " + dispatcher.ErrRunning.Error()},
		"ran, a job": {ran, []job{{}}, "does not run: " + dispatcher.ErrRunning.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDispatcher(t, &dispatchertest.Backend{}, config{}, func(context.Context, job) error { return nil })
				c.before(t, d)
				f := &failing{TB: t}
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					dispatchertest.Run(f, d, c.jobs...)
				}()
				<-ended
				if !strings.Contains(f.text, c.want) {
					t.Errorf("the test fails with %q, want %q", f.text, c.want)
				}
			})
		})
	}
}
