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
	"github.com/freqlimit/dispatcher/internal/seeds"
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
// no matter who lowers it, or when the job comes. It doesn't hold up its key or its limit.
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
					NotBefore: s.begin.Add(24 * time.Hour),
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

// changers are the ways to change the params of the limit L.
var changers = map[string]func(s *stage, p gcra.FreqLimitParams){
	"SetParams": func(s *stage, p gcra.FreqLimitParams) {
		s.t.Helper()
		if err := s.SetParams("L", p); err != nil {
			s.t.Error(err)
		}
	},
	"a submission": func(s *stage, p gcra.FreqLimitParams) {
		s.t.Helper()
		s.submitJob(job{
			Key: "brings", Payload: "brings", Limits: []dispatcher.Limit{limit("L", p)},
			NotBefore: time.Now().Add(time.Hour),
		})
	},
}

// Trap 9: from the instant at which params change, debt is paid at the new pace, and once.
// It does not matter who changes them, or whether a job could start at that instant.
func TestTrap9DebtIsPaidAtTheNewPace(t *testing.T) {
	for by, change := range changers {
		for _, state := range []string{"idle", "busy", "paused", "behind another limit"} {
			t.Run(by+" while "+state, func(t *testing.T) {
				inEachBackend(t, func(t *testing.T, b backend.Backend) {
					s := open(t, b, config{Workers: 1}, func(_ context.Context, j job) error {
						if j.Payload == "long" {
							time.Sleep(50 * time.Second)
						}
						return nil
					})
					slow, fast := gcra.FreqLimitParams{Limit: 1, Period: time.Minute, Burst: 100}, gcra.FreqLimitParams{Limit: 1, Period: time.Second, Burst: 100}
					s.submit("a", "first", costing("L", slow, 100))
					time.Sleep(time.Second / 2)
					switch state {
					case "busy":
						s.submit("other", "long")
					case "paused":
						s.PauseKey("a")
					case "behind another limit":
						s.submit("a", "before", limit("M", every(50*time.Second)))
						s.submit("a", "before", limit("M", every(50*time.Second)))
					}
					time.Sleep(time.Second / 2)
					if by == "SetParams" {
						s.submit("a", "second", costing("L", slow, 100))
					}
					time.Sleep(100 * time.Millisecond)
					change(s, fast)
					if by != "SetParams" {
						s.submit("a", "second", costing("L", fast, 100))
					}
					time.Sleep(30 * time.Second)
					s.ResumeKey("a")
					time.Sleep(time.Hour)
					// After 1.1 s, 5998.9 of 6000 s are left to pay, at the new pace 99.98 s.
					s.wantNear("second", 1100*time.Millisecond+99_981_666_667*time.Nanosecond)
					s.drainLoosely()
				})
			})
		}
	}
}

// Trap 9: a limit that is lowered while no worker is free has no second burst to give.
func TestTrap9LoweredWhileBusy(t *testing.T) {
	for by, change := range changers {
		t.Run(by, func(t *testing.T) {
			inEachBackend(t, func(t *testing.T, b backend.Backend) {
				s := open(t, b, config{Workers: 20}, func(_ context.Context, j job) error {
					if j.Key == "long" {
						time.Sleep(5 * time.Second)
					}
					return nil
				})
				fast := gcra.FreqLimitParams{Limit: 10, Period: time.Second, Burst: 10}
				slow := gcra.FreqLimitParams{Limit: 1, Period: time.Second, Burst: 10}
				for range 10 {
					s.submit("long", "used", limit("L", fast))
					s.submit("long", "long")
				}
				time.Sleep(50 * time.Millisecond)
				change(s, slow)
				for i := range 12 {
					s.submit(named("late", i), "late", limit("L", slow))
				}
				time.Sleep(time.Minute)
				// 9.5 events were left to pay at 50 ms, and 4.55 when the workers were
				// free at 5 s: five of ten, and then one a second.
				at := func(ms ...time.Duration) (ds []time.Duration) {
					for _, m := range ms {
						ds = append(ds, m*time.Millisecond)
					}
					return ds
				}
				s.wantNear("late", at(5000, 5000, 5000, 5000, 5000, 5550, 6550, 7550, 8550, 9550, 10550, 11550)...)
				s.drainLoosely()
			})
		})
	}
}

// Trap 9: what a backend answers by the old params, after they have changed, does not
// keep jobs waiting.
func TestTrap9AnswerByOldParams(t *testing.T) {
	for by, change := range changers {
		t.Run(by, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &remote{inner: inMemory(), trip: 2 * time.Second}
				slow := limit("L", every(time.Hour))
				nextSlot(t, b.inner, slow)
				s := open(t, b, config{}, nil)
				s.submit("a", "waits", slow)
				time.Sleep(1500 * time.Millisecond) // it has been refused, and does not know
				change(s, perSecond(1))
				time.Sleep(time.Minute)
				if at := s.startsOf("waits"); len(at) != 1 || at[0] > 10*time.Second {
					t.Errorf("the job starts at %v, want within some round trips of 2s", at)
				}
				s.drainLoosely()
			})
		})
	}
}

// Trap 6: a request that has not been sent goes by the new params. One that has been
// sent, and is granted, holds.
func TestTrap6LoweredWhileItAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &remote{inner: inMemory(), trip: 2 * time.Second}
		s := open(t, b, config{}, nil)
		old, low := gcra.FreqLimitParams{Limit: 1, Period: time.Second, Burst: 10}, gcra.FreqLimitParams{Limit: 1, Period: time.Second, Burst: 4}
		s.submit("a", "sent", costing("L", old, 10))
		time.Sleep(time.Second / 2)
		s.submit("b", "unsent", costing("L", old, 10))
		s.submit("c", "unsent, other limit", costing("M", old, 10))
		time.Sleep(time.Second / 2)
		for _, key := range []string{"L", "M"} {
			if err := s.SetParams(key, low); err != nil {
				t.Fatal(err)
			}
		}
		s.drainLoosely()
		s.wantTooDear("unsent", 10, 4)
		s.wantTooDear("unsent, other limit", 10, 4)
		s.wantStarts("sent", 2*time.Second)
	})
}

// Trap 8, trap 9: jobs that bring different params by turns get what each pace allows
// for the time that it holds: nothing is gained or lost by the changes.
func TestTrap9ParamsThatAlternate(t *testing.T) {
	for _, r := range seeds.First(t, 100) {
		synctest.Test(t, func(t *testing.T) {
			s := open(t, inMemory(), config{Horizon: time.Nanosecond}, nil)
			burst := 1 + r.IntN(4)
			intervals := []time.Duration{time.Second, 2 * time.Second, 3 * time.Second, 10 * time.Second}
			var want []time.Duration
			var now, at time.Duration // at which debt was
			interval, debt, queued := time.Second, 0.0, 0
			// What starts until an instant, by a debt in events that is paid at a steady pace.
			pay := func(until time.Duration) {
				for ; queued > 0; queued-- {
					opens := at + time.Duration(max(0, debt-float64(burst-1))*float64(interval))
					if opens > until {
						break
					}
					want = append(want, max(opens, at))
					debt = max(0, debt-float64(max(opens, at)-at)/float64(interval)) + 1
					at = max(opens, at)
				}
				debt = max(0, debt-float64(until-at)/float64(interval))
				at = until
			}
			for range 30 {
				time.Sleep(time.Duration(r.IntN(3000)) * time.Millisecond)
				now = time.Since(s.begin)
				pay(now)
				interval = intervals[r.IntN(len(intervals))]
				s.submit("a", "job", limit("L", gcra.FreqLimitParams{Limit: 1, Period: interval, Burst: burst}))
				queued++
				pay(now)
			}
			pay(now + time.Hour)
			s.drainLoosely()
			got := s.startsOf("job")
			if len(got) != len(want) {
				t.Fatalf("%d starts, want %d", len(got), len(want))
			}
			for i := range got {
				// Each of the 30 changes rounds up to a nanosecond, of the shortest interval.
				if off := got[i] - want[i]; off.Abs() > 30*10*time.Nanosecond {
					t.Fatalf("start %d at %v, want %v: off by %v", i, got[i], want[i], off)
				}
			}
		})
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
