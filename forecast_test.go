package dispatcher_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/gcra"
)

// A forecast, of all and of a key, and a plan, say when the last job starts; a handle
// says when its job does and what binds it. Then it happens.
func TestForecast(t *testing.T) {
	inEachOrder(t, func(t *testing.T, order dispatcher.Order) {
		limits := func(key, _ string) []dispatcher.Limit {
			return []dispatcher.Limit{limit("bot", perSecond(10)), limit(key, perSecond(1))}
		}
		cfg := config{Workers: 4, Order: order, Limits: limits}
		const takes = 200 * time.Millisecond
		s := prepare(t, inMemory(), cfg, func(context.Context, job) error {
			time.Sleep(takes)
			return nil
		})
		var jobs []job
		for i := range 100 {
			jobs = append(jobs, job{Key: named("chat", i*i%17), Payload: strconv.Itoa(i)})
		}
		plan, err := dispatcher.Plan(cfg, slices.Values(jobs), takes)
		if err != nil {
			t.Fatal(err)
		}
		handles := map[string]*dispatcher.Handle[string]{}
		for _, j := range jobs {
			handles[j.Payload] = s.track(j)
		}
		ctx := context.Background()
		var all, one dispatcher.Forecast
		var estimate dispatcher.Estimate
		// Each is asked before Run, and so answered before the first job starts.
		var asking sync.WaitGroup
		ask := func(question func() error) {
			asking.Go(func() {
				if err := question(); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		ask(func() (err error) { all, err = s.Forecast(ctx, takes); return })
		ask(func() (err error) { one, err = s.ForecastKey(ctx, "chat1", takes); return })
		ask(func() (err error) { estimate, err = handles["99"].Estimate(ctx); return })
		s.run()
		asking.Wait()
		s.drain()
		var last, lastOfOne time.Duration
		n := 0
		for _, st := range s.starts {
			last = max(last, st.at)
			if st.Key == "chat1" {
				lastOfOne = max(lastOfOne, st.at)
				n++
			}
		}
		if all.Jobs != 100 || all.Last != last || all.Stuck != 0 || all.Expired != 0 {
			t.Errorf("Forecast() = %+v, want 100 jobs, the last after %v", all, last)
		}
		if end := all.Curve[len(all.Curve)-1]; end.Started != 100 || end.After != last {
			t.Errorf("the curve ends at %+v, want 100 after %v", end, last)
		}
		if one.Jobs != n || one.Last != lastOfOne {
			t.Errorf("ForecastKey() = %d jobs, the last after %v, want %d, %v", one.Jobs, one.Last, n, lastOfOne)
		}
		if plan.Jobs != 100 || plan.Last != last {
			t.Errorf("Plan() = %d jobs, the last after %v, want 100, %v", plan.Jobs, plan.Last, last)
		}
		// The estimate is for jobs that take no time: here workers are short at times.
		if got := estimate.Start.Sub(s.begin); got > s.startsOf("99")[0] {
			t.Errorf("Estimate() = %v, want no later than the start, %v", got, s.startsOf("99")[0])
		}
		if _, err := handles["99"].Estimate(ctx); !errors.Is(err, dispatcher.ErrNoStart) {
			t.Errorf("Estimate() of a job that has ended: %v, want ErrNoStart", err)
		}
		if _, err := s.Forecast(ctx, 0); !errors.Is(err, dispatcher.ErrClosed) {
			t.Errorf("Forecast() after Run: %v, want ErrClosed", err)
		}
	})
}

// What is paused will not start, as far as is known.
func TestForecastOfWhatIsPaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{Params: perSecond(1)}, nil)
		s.Pause()
		for i := range 100 {
			s.submit(named("chat", i%7), named("m", i))
		}
		if f, err := s.Forecast(t.Context(), 0); err != nil || f.Stuck != 100 || f.Jobs != 0 {
			t.Errorf("Forecast() while all is paused = %+v, %v, want 100 stuck", f, err)
		}
		s.Resume()
		s.drain()
	})
}

// An estimate is exact where the schedule is, and names the limit that binds the job.
func TestEstimate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{}, nil)
		under := []dispatcher.Limit{limit("bot", perSecond(1)), limit("chat", every(10*time.Second))}
		var handles []*dispatcher.Handle[string]
		for i := range 3 {
			handles = append(handles, s.track(job{Key: "chat", Payload: named("m", i), Limits: under}))
			s.submit("other", named("o", i), limit("bot", perSecond(1)))
		}
		dated := s.track(job{Key: "dated", Payload: "dated", NotBefore: s.begin.Add(time.Minute)})
		s.PauseKey("stuck")
		stuck := s.track(job{Key: "stuck"})
		time.Sleep(500 * time.Millisecond)
		for _, c := range []struct {
			handle *dispatcher.Handle[string]
			want   time.Duration
			limit  string
			bound  bool
		}{
			{handles[1], 10 * time.Second, "chat", true},
			{handles[2], 20 * time.Second, "chat", true},
			{dated, time.Minute, "", false},
		} {
			e, err := c.handle.Estimate(context.Background())
			if err != nil || e.Start.Sub(s.begin) != c.want || e.Limit != c.limit || e.Bound != c.bound {
				t.Errorf("Estimate() = %v by %q (%v), %v, want %v by %q", e.Start.Sub(s.begin), e.Limit, e.Bound, err, c.want, c.limit)
			}
		}
		if _, err := stuck.Estimate(context.Background()); !errors.Is(err, dispatcher.ErrNoStart) {
			t.Errorf("Estimate() of a paused job: %v, want ErrNoStart", err)
		}
		s.ResumeKey("stuck")
		s.drain()
		s.wantStarts("m2", 20*time.Second)
		s.wantStarts("dated", time.Minute)
	})
}

// What Submit would refuse, Plan does, and says which job it is.
func TestPlanRefuses(t *testing.T) {
	bad := func(j job, cfg config) error {
		_, err := dispatcher.Plan(cfg, slices.Values([]job{{Key: "fine"}, j}), 0)
		return err
	}
	if err := bad(job{Limits: []dispatcher.Limit{limit("x", every(-1))}}, config{}); !errors.Is(err, gcra.ErrParams) {
		t.Errorf("Plan() with bad params = %v, want ErrParams", err)
	}
	if err := bad(job{Timeout: -1}, config{}); !errors.Is(err, dispatcher.ErrConfig) {
		t.Errorf("Plan() with a negative Timeout = %v, want ErrConfig", err)
	}
	if err := bad(job{}, config{Workers: -1}); !errors.Is(err, dispatcher.ErrConfig) {
		t.Errorf("Plan() with a bad Config = %v, want ErrConfig", err)
	}
}

// A plan for 1,000,000 recipients, a tenth of them groups.
func BenchmarkPlan(b *testing.B) {
	const recipients = 1_000_000
	names := keysOf(recipients)
	bot := limit("bot", perSecond(30))
	cfg := config{Workers: 32, Order: dispatcher.Backlog, Capacity: recipients, Limits: func(key, _ string) []dispatcher.Limit {
		if key[len(key)-1] == '7' {
			return []dispatcher.Limit{bot, limit(key, gcra.FreqLimitParams{Limit: 20, Period: time.Minute})}
		}
		return []dispatcher.Limit{bot, limit(key, perSecond(1))}
	}}
	jobs := func(yield func(job) bool) {
		for _, name := range names {
			if !yield(job{Key: name}) {
				return
			}
		}
	}
	for b.Loop() {
		f, err := dispatcher.Plan(cfg, jobs, 0)
		if err != nil || f.Jobs != recipients {
			b.Fatal(f.Jobs, err)
		}
	}
}

// Jobs that run are played as such: they hold their workers, and with Serial their
// keys, from when they began.
func TestForecastOfWhatRuns(t *testing.T) {
	for _, serial := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			cfg := config{Workers: 2, Serial: serial, Params: perSecond(1)}
			s := open(t, inMemory(), cfg, func(context.Context, job) error {
				time.Sleep(time.Minute)
				return nil
			})
			s.submit("a", "a0")
			time.Sleep(20 * time.Second)
			s.submit("b", "b0")
			time.Sleep(25 * time.Second)
			s.submit("b", "b1")
			s.submit("a", "a1")
			s.submit("c", "c0")
			f, err := s.Forecast(t.Context(), time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			asked := time.Since(s.begin)
			s.drain()
			var got []time.Duration
			for _, p := range f.Curve {
				got = append(got, asked+p.After)
			}
			var want []time.Duration
			for _, st := range s.starts[2:] {
				want = append(want, st.at)
			}
			if !slices.Equal(got, want) {
				t.Errorf("serial %v: the forecast is of starts at %v, want %v", serial, got, want)
			}
		})
	}
}

// A forecast right after SetParams knows the debt that the limit has.
func TestForecastAfterSetParams(t *testing.T) {
	for name, burst := range map[string]int{"even": 1, "burst": 10} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t, inMemory(), config{Params: gcra.FreqLimitParams{Limit: 1, Period: time.Minute, Burst: burst}}, nil)
				for i := range 30 {
					s.submit("chat", named("m", i))
				}
				synctest.Wait()
				time.Sleep(10 * time.Second)
				for range 2 {
					if err := s.SetParams("chat", gcra.FreqLimitParams{Limit: 2, Period: time.Minute, Burst: burst}); err != nil {
						t.Fatal(err)
					}
				}
				f, err := s.Forecast(t.Context(), 0)
				if err != nil {
					t.Fatal(err)
				}
				asked := time.Since(s.begin)
				s.drainLoosely()
				if got, want := asked+f.Last, s.last(); (got - want).Abs() > dispatcher.DefaultHorizon {
					t.Errorf("the last start is forecast for %v, and comes at %v", got, want)
				}
			})
		})
	}
}

// Doubt about a limit outlasts params that change again before the backend is asked.
func TestForecastAfterSeveralSetParams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{Params: every(time.Hour)}, nil)
		s.submit("chat", "m0")
		s.submit("chat", "m1")
		synctest.Wait()
		if err := s.Hold(t.Context(), "chat", 10*time.Second); err != nil {
			t.Fatal(err)
		}
		for _, p := range []gcra.FreqLimitParams{every(2 * time.Hour), every(time.Second)} {
			time.Sleep(time.Second)
			if err := s.SetParams("chat", p); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		f, err := s.Forecast(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		asked := time.Since(s.begin)
		s.drainLoosely()
		if got, want := asked+f.Last, s.last(); (got - want).Abs() > time.Second {
			t.Errorf("the last start is forecast for %v, and comes at %v", got, want)
		}
	})
}

// As many workers as there are numbers are no reason to allocate for them.
func TestForecastOfManyWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config{Workers: math.MaxInt}
		if f, err := dispatcher.Plan(cfg, slices.Values([]job{{Key: "a"}, {Key: "b"}}), time.Second); err != nil || f.Jobs != 2 || f.Last != 0 {
			t.Errorf("Plan() = %+v, %v, want 2 jobs at once", f, err)
		}
		s := open(t, inMemory(), cfg, nil)
		if f, err := s.Forecast(t.Context(), math.MaxInt64); err != nil || f.Jobs != 0 {
			t.Errorf("Forecast() = %+v, %v, want no jobs", f, err)
		}
		s.drain()
	})
}

// What would start later than 100 years from now does not finish, as far as a forecast
// goes: time in nanoseconds ends after 292.
func TestForecastEndsAfter100Years(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for _, c := range []struct {
		name        string
		params      gcra.FreqLimitParams
		takes       time.Duration
		jobs, stuck int
		last        time.Duration
	}{
		{"limited", every(year), 0, 101, 899, 100 * year},
		{"as slow as a limit can be", every(100 * year), 0, 2, 998, 100 * year},
		{"long bursts", gcra.FreqLimitParams{Limit: 10, Period: 100 * year, Burst: 10}, 0, 20, 980, 100 * year},
		{"slow jobs", gcra.FreqLimitParams{}, 30 * year, 4, 996, 90 * year},
		{"jobs that never end", gcra.FreqLimitParams{}, math.MaxInt64, 2, 998, 100 * year},
	} {
		cfg := config{Workers: 1, Params: c.params}
		f, err := dispatcher.Plan(cfg, func(yield func(job) bool) {
			for range 1000 {
				if !yield(job{Key: "a"}) {
					return
				}
			}
		}, c.takes)
		if err != nil || f.Jobs != c.jobs || f.Stuck != c.stuck || f.Last != c.last {
			t.Errorf("%s: Plan() = %d jobs, %d stuck, the last after %v, %v, want %d, %d, %v",
				c.name, f.Jobs, f.Stuck, f.Last, err, c.jobs, c.stuck, c.last)
		}
		for i, p := range f.Curve {
			if p.After < 0 || p.After > 100*year || i > 0 && p.After < f.Curve[i-1].After {
				t.Errorf("%s: the curve goes through %v", c.name, p)
			}
		}
	}
}

// The date of a job counts as well: an estimate of it has no start to name.
func TestForecastOfDatesFarAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{}, nil)
		h := s.track(job{Key: "a", NotBefore: s.begin.AddDate(150, 0, 0)})
		if f, err := s.Forecast(t.Context(), 0); err != nil || f.Jobs != 0 || f.Stuck != 1 {
			t.Errorf("Forecast() = %+v, %v, want the one job stuck", f, err)
		}
		if e, err := h.Estimate(t.Context()); !errors.Is(err, dispatcher.ErrNoStart) {
			t.Errorf("Estimate() = %v, %v, want ErrNoStart", e, err)
		}
		h.Cancel()
		s.drain()
	})
}
