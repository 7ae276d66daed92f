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

// An ID is taken while its job waits, runs or waits to run again, and free when it
// has ended: for Events.Done already.
func TestIDIsTakenUntilTheEnd(t *testing.T) {
	inEachBackend(t, func(t *testing.T, b backend.Backend) {
		var s *stage
		again := job{Key: "chat", Payload: "reused", ID: "42"}
		s = prepare(t, b, config{Retry: steady(2), Events: whenDone(func(r result) {
			if r.Job.Payload == "first" {
				s.submitJob(again)
			}
		})}, func(_ context.Context, j job) error {
			time.Sleep(10 * time.Second)
			if j.Payload == "first" {
				return errFailed
			}
			return nil
		})
		taken := func(when string) {
			t.Helper()
			err := s.SubmitJob(context.Background(), job{Key: "other", Payload: when, ID: "42"})
			dup, ok := errors.AsType[*dispatcher.DuplicateError](err)
			if !ok || dup.ID != "42" || !errors.Is(err, dispatcher.ErrDuplicate) {
				t.Errorf("SubmitJob() of a job that %s = %v, want a DuplicateError", when, err)
			}
		}
		s.submitJob(job{Key: "chat", Payload: "first", ID: "42"})
		taken("waits")
		s.run()
		time.Sleep(5 * time.Second)
		taken("runs")
		time.Sleep(5500 * time.Millisecond)
		taken("waits to run again")
		time.Sleep(time.Minute)
		s.drain()
		if r := s.outcomeOf("reused"); r.Outcome != dispatcher.Succeeded {
			t.Errorf("the job that uses the ID again has %v, want succeeded", r.Outcome)
		}
	})
}

// With Replace the newest payload wins: it goes into the job that waits, and behind
// one that runs.
func TestReplace(t *testing.T) {
	inEachBackend(t, func(t *testing.T, b backend.Backend) {
		s := open(t, b, config{Serial: true}, func(context.Context, job) error {
			time.Sleep(10 * time.Second)
			return nil
		})
		edit := func(text string) *dispatcher.Handle[string] {
			return s.track(job{Key: "chat", Payload: text, ID: "message", OnDuplicate: dispatcher.ReplacePayload})
		}
		running := edit("v1")
		time.Sleep(time.Second)
		waiting := edit("v2")
		if running == waiting {
			t.Error("the edit of a job that runs has its handle, want one of its own")
		}
		for i := range 100 {
			if h := edit(named("v3.", i)); h != waiting {
				t.Fatal("the edit of a job that waits has a handle of its own, want that job's")
			}
		}
		edit("v4")
		s.drain()
		s.wantOrder("v1", "v4")
		if r, _ := waiting.Result(); r.Job.Payload != "v4" || r.Outcome != dispatcher.Succeeded {
			t.Errorf("the handle has %q, %v, want v4, succeeded", r.Job.Payload, r.Outcome)
		}
		if got := s.Stats(); got.Replaced != 101 || got.Submitted != 2 {
			t.Errorf("Stats() = %+v, want 101 replaced and 2 submitted", got)
		}
	})
}

// Of a submission that is refused nothing is left, an ID neither.
func TestRefusedIDIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, inMemory(), config{Capacity: 1}, nil)
		s.submit("chat", "fills it")
		refused := job{Key: "chat", Payload: "refused", ID: "x"}
		if err := s.SubmitJob(context.Background(), refused); !errors.Is(err, dispatcher.ErrFull) {
			t.Fatalf("SubmitJob() = %v, want ErrFull", err)
		}
		s.run()
		time.Sleep(time.Second)
		s.submitJob(refused)
		s.drain()
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

// An ID is taken while a job with it waits or runs, in whatever order those end that
// came with ReplacePayload while others ran.
func TestIDOfSeveralThatRun(t *testing.T) {
	ends := [][]string{{"a", "b", "c"}, {"a", "c", "b"}, {"b", "a", "c"}, {"b", "c", "a"}, {"c", "a", "b"}, {"c", "b", "a"}}
	for _, order := range ends {
		synctest.Test(t, func(t *testing.T) {
			goOn := map[string]chan struct{}{"a": make(chan struct{}), "b": make(chan struct{}), "c": make(chan struct{})}
			s := open(t, inMemory(), config{}, func(_ context.Context, j job) error {
				if wait := goOn[j.Payload]; wait != nil {
					<-wait
				}
				return nil
			})
			named := func(payload string, o dispatcher.OnDuplicate) job {
				return job{Key: "chat", Payload: payload, ID: "status", OnDuplicate: o}
			}
			for _, payload := range []string{"a", "b", "c"} {
				s.submitJob(named(payload, dispatcher.ReplacePayload))
				synctest.Wait() // it runs
			}
			for _, payload := range order {
				if err := s.SubmitJob(t.Context(), named("early", dispatcher.RejectDuplicate)); !errors.Is(err, dispatcher.ErrDuplicate) {
					t.Errorf("SubmitJob() before %s has ended, of %q = %v, want %v", payload, order, err, dispatcher.ErrDuplicate)
				}
				close(goOn[payload])
				synctest.Wait()
			}
			s.submitJob(named("after", dispatcher.RejectDuplicate))
			s.drain()
			s.wantOrder("a", "b", "c", "after")
		})
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
