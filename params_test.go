package dispatcher_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
)

// costing returns a limit of which a job takes more than one.
func costing(key string, p gcra.FreqLimitParams, cost int) dispatcher.Limit {
	return dispatcher.Limit{Key: key, Params: p, Cost: cost}
}

// wantTooDear wants a job to have failed, since it costs more than a Burst.
func (s *stage) wantTooDear(payload string, cost, burst int) {
	s.t.Helper()
	r := s.outcomeOf(payload)
	e, ok := errors.AsType[*gcra.CostError](r.Err)
	if r.Outcome != dispatcher.Failed || !ok || e.Cost != cost || e.Burst != burst || !errors.Is(r.Err, backend.ErrLimit) {
		s.t.Errorf("outcome of %q: %v, %v, want failed, with a CostError of %d over %d", payload, r.Outcome, r.Err, cost, burst)
	}
	if starts := s.startsOf(payload); len(starts) > 0 {
		s.t.Errorf("%q started at %v, want no start", payload, starts)
	}
}

// hasEnded reports whether a job has an outcome.
func (s *stage) hasEnded(payload string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.results {
		if r.Job.Payload == payload {
			return true
		}
	}
	return false
}

// Trap 6: a job that costs more than a lowered Burst fails when the Burst is lowered,
// whoever lowers it, or when the job comes. It holds up neither its key nor its limit.
func TestTrap6LoweredBurst(t *testing.T) {
	old, low := gcra.FreqLimitParams{Limit: 1, Period: time.Second, Burst: 10}, gcra.FreqLimitParams{Limit: 1, Period: time.Hour, Burst: 4}
	for name, lower := range map[string]func(s *stage){
		"SetParams": func(s *stage) {
			if err := s.SetParams("L", low); err != nil {
				s.t.Error(err)
			}
		},
		"a submission": func(s *stage) { s.submit("b", "lowers", limit("L", low)) },
	} {
		t.Run(name, func(t *testing.T) {
			inEachBackend(t, func(t *testing.T, b backend.Backend) {
				s := open(t, b, config{}, nil)
				s.submit("a", "first", costing("L", old, 10))
				s.submit("a", "dear", costing("L", old, 10))
				s.submit("a", "free", dispatcher.Limit{Key: "free", Params: perSecond(1)})
				s.submit("a", "middle", limit("other", perSecond(1)), costing("L", old, 5))
				s.submitJob(job{
					Key: "a", Payload: "dated", Limits: []dispatcher.Limit{costing("L", old, 5)},
					Options: &options{NotBefore: s.begin.Add(24 * time.Hour)},
				})
				time.Sleep(100 * time.Millisecond)
				lower(s)
				time.Sleep(100 * time.Millisecond)
				for payload, cost := range map[string]int{"dear": 10, "middle": 5, "dated": 5} {
					if !s.hasEnded(payload) {
						t.Fatalf("%q waits, want it to fail at once", payload)
					}
					s.wantTooDear(payload, cost, 4)
				}
				s.wantNear("free", 100*time.Millisecond)
				if name == "SetParams" {
					s.submit("a", "late", costing("L", old, 7))
					time.Sleep(100 * time.Millisecond)
					s.wantTooDear("late", 7, 4)
				}
				s.drainLoosely()
			})
		})
	}
}

// Trap 6: params that jobs bring again after SetParams was taken back may be too low for
// jobs that have come meanwhile.
func TestTrap6UnsetParams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{}, nil)
		own := gcra.FreqLimitParams{Limit: 1, Period: time.Hour, Burst: 4}
		s.submit("a", "first", costing("L", own, 4))
		synctest.Wait()
		high := own
		high.Burst = 10
		if err := s.SetParams("L", high); err != nil {
			t.Fatal(err)
		}
		s.submit("a", "dear", costing("L", high, 10))
		s.submit("a", "cheap", limit("L", own))
		synctest.Wait()
		if err := s.SetParams("L", gcra.FreqLimitParams{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		s.wantTooDear("dear", 10, 4)
		s.drainLoosely()
		s.wantStarts("cheap", time.Hour)
	})
}

// Trap 6: a job that runs when the Burst is lowered may end, and fails if it is to run
// again.
func TestTrap6LoweredWhileItRuns(t *testing.T) {
	for name, err := range map[string]error{
		"retry":       errFailed,
		"retry after": dispatcher.RetryAfter(time.Second, nil),
		"snooze":      dispatcher.Snooze(time.Second),
	} {
		synctest.Test(t, func(t *testing.T) {
			cfg := config{Retry: dispatcher.Retry{MaxAttempts: 3}}
			s := open(t, inMemory(), cfg, func(_ context.Context, j job) error {
				if j.Payload == "dear" {
					time.Sleep(time.Second)
					return err
				}
				return nil
			})
			p := gcra.FreqLimitParams{Limit: 1, Period: time.Second, Burst: 10}
			s.submit("a", "dear", costing("L", p, 10))
			synctest.Wait()
			p.Burst = 4
			s.submit("b", "lowers", limit("L", p))
			s.drainLoosely()
			t.Log(name)
			r := s.outcomeOf("dear")
			if e, ok := errors.AsType[*gcra.CostError](r.Err); r.Outcome != dispatcher.Failed || !ok || e.Burst != 4 {
				t.Errorf("outcome: %v, %v, want failed, with a CostError", r.Outcome, r.Err)
			}
			s.wantStarts("dear", 0)
		})
	}
}

// Trap 6: more jobs than fail in one step all do, without further events.
func TestTrap6ManyFail(t *testing.T) {
	const jobs = 2_000
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, inMemory(), config{}, nil)
		p := gcra.FreqLimitParams{Limit: 1, Period: time.Hour, Burst: 10}
		for range jobs {
			s.submit("a", "dear", costing("L", p, 10))
		}
		s.run()
		synctest.Wait()
		p.Burst = 4
		if err := s.SetParams("L", p); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := s.Stats().Failed; n != jobs-1 {
			t.Errorf("%d jobs have failed, want all %d that waited", n, jobs-1)
		}
		s.drainLoosely()
	})
}

// A forecast counts jobs that cost too much as failed, and no claim of theirs.
func TestForecastOfJobsThatCostTooMuch(t *testing.T) {
	p := gcra.FreqLimitParams{Limit: 1, Period: time.Second, Burst: 10}
	low := gcra.FreqLimitParams{Limit: 1, Period: 100 * 365 * 24 * time.Hour, Burst: 1}
	f, err := dispatcher.Plan(config{}, func(yield func(job) bool) {
		for i := range 20 {
			if !yield(job{Key: named("k", i%3), Limits: []dispatcher.Limit{costing("L", p, 1+i%10)}}) {
				return
			}
		}
		yield(job{Key: "last", Limits: []dispatcher.Limit{limit("L", low)}})
	}, 0)
	if err != nil || f.Jobs != 2 || f.Failed != 18 || f.Stuck != 1 {
		t.Errorf("Plan() = %d jobs, %d failed, %d stuck, %v, want 2 within 100 years, 18, 1", f.Jobs, f.Failed, f.Stuck, err)
	}
}

// The error of a job that costs too much says what and how much.
func TestCostErrorNamesTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{}, nil)
		p := gcra.FreqLimitParams{Limit: 1, Period: time.Second, Burst: 10}
		if err := s.SetParams("chat:42", perSecond(1)); err != nil {
			t.Fatal(err)
		}
		s.submit("a", "dear", limit("bot", perSecond(1)), costing("chat:42", p, 2))
		s.drain()
		for _, part := range []string{"limits[1]", `"chat:42"`, "Cost is 2", "Burst, 1"} {
			if err := s.outcomeOf("dear").Err; !strings.Contains(err.Error(), part) {
				t.Errorf("the error is %q, want %q in it", err, part)
			}
		}
	})
}
