package dispatcher_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
)

// A job with a date holds up nobody of its key, starts at that instant, not before,
// and comes behind those that are there then.
func TestNotBefore(t *testing.T) {
	inEachBackend(t, func(t *testing.T, b backend.Backend) {
		s := open(t, b, config{Workers: 1, Params: perSecond(1)}, nil) // two have no order
		s.submitJob(job{Key: "chat", Payload: "later", NotBefore: s.begin.Add(2500 * time.Millisecond)})
		s.submitJob(job{Key: "past", Payload: "past", NotBefore: s.begin.Add(-time.Hour)})
		s.submitJob(job{Key: "free", Payload: "free", Limits: dispatcher.NoLimits, NotBefore: s.begin.Add(time.Minute)})
		for i := range 5 {
			s.submit("chat", named("m", i))
		}
		s.drain()
		s.wantOrder("past", "m0", "m1", "m2", "m3", "m4", "later", "free")
		s.wantNear("later", 5*time.Second)
		s.wantNear("free", time.Minute)
		s.wantNear("past", 0)
	})
}

// A deadline that is the job's slot is met; one that is before it is not, as soon as
// that is certain, and then nothing has been charged.
func TestDeadline(t *testing.T) {
	inEachBackend(t, func(t *testing.T, b backend.Backend) {
		s := open(t, b, config{Params: perSecond(1)}, nil)
		_, remote := b.(*remote)
		slack := time.Duration(0)
		if remote {
			slack = 10 * time.Millisecond // its clock starts with the first request
		}
		submit := func(payload string, deadline time.Duration) {
			s.submitJob(job{Key: "chat", Payload: payload, Deadline: s.begin.Add(deadline)})
		}
		s.submit("chat", "m0")
		submit("equal", time.Second+slack)
		submit("too late", 2*time.Second-1)
		s.submit("chat", "m1")
		submit("long past", 2500*time.Millisecond)
		s.submit("chat", "m2")
		s.drain()
		s.wantNear("equal", time.Second)
		s.wantNear("m1", 2*time.Second)
		s.wantNear("m2", 3*time.Second)
		for _, payload := range []string{"too late", "long past"} {
			if r := s.outcomeOf(payload); r.Outcome != dispatcher.Expired || !errors.Is(r.Err, dispatcher.ErrExpired) {
				t.Errorf("outcome of %q: %v, %v, want expired", payload, r.Outcome, r.Err)
			}
		}
		if got := s.Stats().Expired; got != 2 {
			t.Errorf("Stats().Expired = %d, want 2", got)
		}
	})
}

// A deadline is for all runs of a job, and passes also while it waits beside its
// queue, is paused or held.
func TestDeadlinePassesWhereverTheJobWaits(t *testing.T) {
	inEachBackend(t, func(t *testing.T, b backend.Backend) {
		var ended []time.Duration
		begin := time.Now()
		s := open(t, b, config{Retry: steady(9), Events: whenDone(func(r result) {
			if r.Outcome == dispatcher.Expired {
				ended = append(ended, time.Since(begin))
			}
		})}, func(_ context.Context, j job) error { return errFailed })
		s.PauseKey("paused")
		s.submitJob(job{Key: "paused", Payload: "paused", Deadline: begin.Add(10 * time.Second)})
		if err := s.Hold(context.Background(), "held", time.Hour); err != nil {
			t.Fatal(err)
		}
		s.submitJob(job{Key: "held", Payload: "held", Deadline: begin.Add(20 * time.Second)})
		s.submitJob(job{Key: "retried", Payload: "retried", Deadline: begin.Add(30 * time.Second)})
		time.Sleep(time.Minute)
		s.drain()
		want := []time.Duration{10 * time.Second, 20 * time.Second, 30 * time.Second}
		for i := range want {
			if len(ended) != 3 || ended[i] < want[i] || ended[i] > want[i]+10*time.Millisecond {
				t.Fatalf("jobs expire at %v, want %v", ended, want)
			}
		}
		s.wantNear("retried", 0, time.Second, 3*time.Second, 7*time.Second, 15*time.Second)
	})
}

// The timeout of a job ends its handler's context, for each run.
func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wait := func(ctx context.Context, _ job) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}
		s := open(t, inMemory(), config{Retry: steady(2), Middleware: []dispatcher.Middleware{dispatcher.Timeout(time.Minute)}}, wait)
		s.submitJob(job{Key: "own", Payload: "own", Timeout: 5 * time.Second})
		s.submit("all", "all")
		s.drain()
		s.wantStarts("own", 0, 6*time.Second)
		s.wantStarts("all", 0, 61*time.Second)
		if r := s.outcomeOf("own"); r.Outcome != dispatcher.Failed || !errors.Is(r.Err, context.DeadlineExceeded) {
			t.Errorf("outcome: %v, %v, want failed by the timeout", r.Outcome, r.Err)
		}
	})
}

// Wrong fields of a job are refused at once, by name, and so is a bad policy.
func TestBadJobs(t *testing.T) {
	s := prepare(t, inMemory(), config{}, nil)
	now := time.Now()
	for _, c := range []struct {
		field string
		job
	}{
		{"Job.OnDuplicate", job{OnDuplicate: dispatcher.ReplacePayload}},
		{"Job.OnDuplicate", job{ID: "x", OnDuplicate: -1}},
		{"Job.OnDuplicate", job{ID: "x", OnDuplicate: 2}},
		{"Job.Timeout", job{Timeout: -1}},
		{"Job.Deadline", job{Deadline: now, NotBefore: now.Add(1)}},
		{"Job.Retry.MaxAttempts", job{Retry: &dispatcher.Retry{MaxAttempts: -1}}},
		{"Job.Retry.MaxHolds", job{Retry: &dispatcher.Retry{MaxHolds: -1}}},
		{"Job.Retry.MaxAttempts", job{Retry: &dispatcher.Retry{Initial: time.Second}}},
		{"Job.Retry.MaxAttempts", job{Retry: &dispatcher.Retry{If: func(error) bool { return true }}}},
		{"Job.Retry.Initial", job{Retry: &dispatcher.Retry{Initial: -1}}},
		{"Job.Retry.Max", job{Retry: &dispatcher.Retry{Max: -1}}},
		{"Job.Retry.Max", job{Retry: &dispatcher.Retry{Initial: 2, Max: 1}}},
		{"Job.Retry.Multiplier", job{Retry: &dispatcher.Retry{Multiplier: 0.5}}},
		{"Job.Retry.Multiplier", job{Retry: &dispatcher.Retry{Multiplier: math.NaN()}}},
		{"Job.Retry.Jitter", job{Retry: &dispatcher.Retry{Jitter: 1.1}}},
		{"Job.Retry.Jitter", job{Retry: &dispatcher.Retry{Jitter: math.NaN()}}},
	} {
		err := s.SubmitJob(context.Background(), c.job)
		if e, ok := errors.AsType[*dispatcher.ConfigError](err); !ok || e.Field != c.field || !errors.Is(err, dispatcher.ErrConfig) {
			t.Errorf("SubmitJob() = %v, want a ConfigError for %s", err, c.field)
		}
	}
	_, err := dispatcher.New(inMemory(), func(context.Context, job) error { return nil },
		config{Retry: dispatcher.Retry{MaxAttempts: -1}})
	if e, ok := errors.AsType[*dispatcher.ConfigError](err); !ok || e.Field != "Retry.MaxAttempts" {
		t.Errorf("New() = %v, want a ConfigError for Retry.MaxAttempts", err)
	}
	if err := s.SetWorkers(0); !errors.Is(err, dispatcher.ErrConfig) {
		t.Errorf("SetWorkers(0) = %v, want a ConfigError", err)
	}
	if err := s.SetParams("x", every(-1)); !errors.Is(err, backend.ErrLimit) {
		t.Errorf("SetParams() = %v, want an error that is ErrLimit", err)
	}
}

// A deadline may have passed before there was a dispatcher.
func TestDeadlineBeforeNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{}, nil)
		for payload, left := range map[string]time.Duration{"long ago": -time.Hour, "just now": -1, "now": 0} {
			s.submitJob(job{Key: "chat", Payload: payload, Deadline: s.begin.Add(left)})
		}
		s.drain()
		s.wantOrder("now")
		jobs := slices.Values([]job{{Key: "chat", Deadline: time.Now().Add(-time.Hour)}})
		if f, err := dispatcher.Plan(config{}, jobs, 0); err != nil || f.Jobs != 0 || f.Expired != 1 {
			t.Errorf("Plan() of a job whose deadline has passed = %+v, %v, want 1 expired", f, err)
		}
	})
}
