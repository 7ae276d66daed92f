package dispatcher_test

import (
	"context"
	"errors"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend/memory"
	"github.com/freqlimit/dispatcher/gcra"
)

// secretive is a server with a limit that it does not publish, and which moves.
type secretive struct {
	mu    sync.Mutex
	limit gcra.FreqLimitParams
	state gcra.State
	phase
}

func (s *secretive) answers() phase {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.phase
}

func (s *secretive) move(perSecond int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = gcra.FreqLimitParams{Limit: perSecond, Period: time.Second, Burst: 3}
	s.state = gcra.State{}
}

func (s *secretive) handle(context.Context, dispatcher.Job[int]) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now().UnixNano()
	if s.state.Slot(now, s.limit, 1) > now {
		s.refused++
		return dispatcher.RetryAfter(time.Second, nil)
	}
	s.state = s.state.Charge(now, s.limit, 1)
	s.served++
	return nil
}

// phase counts the requests of some minutes in which the server's limit stayed the same, after
// as many in which the dispatcher looked for it.
type phase struct{ served, refused int }

// meet has a dispatcher that is allowed 30 jobs a second meet a server that takes 10, then
// 4, then 100, for 10 minutes each.
func meet(t *testing.T, adapt *dispatcher.Adapt) (phases []phase) {
	synctest.Test(t, func(t *testing.T) {
		server := &secretive{}
		d, err := dispatcher.New(memory.New(memory.Config{}), server.handle, dispatcher.Config[int]{
			Params: gcra.FreqLimitParams{Limit: 30, Period: time.Second},
			Adapt:  adapt,
		})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 60_000 {
			if err := d.Submit(context.Background(), "api", i); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error)
		server.move(10)
		go func() { ended <- d.Run(ctx) }()
		for i, perSecond := range []int{10, 4, 100} {
			if i > 0 {
				server.move(perSecond)
			}
			time.Sleep(5 * time.Minute)
			synctest.Wait()
			before := server.answers()
			time.Sleep(5 * time.Minute)
			synctest.Wait()
			after := server.answers()
			phases = append(phases, phase{after.served - before.served, after.refused - before.refused})
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run() = %v", err)
		}
	})
	return phases
}

// A limit finds the rate of a server that does not publish it: with a tenth of the
// refusals it gets as much done, and never more than its params.
func TestAdaptFindsThePace(t *testing.T) {
	stubborn := meet(t, nil)
	adapted := meet(t, &dispatcher.Adapt{})
	t.Logf("in 5 minutes, of a server that takes 10, 4, 100 a second: %+v with Adapt, %+v without", adapted, stubborn)
	for i, perSecond := range []int{10, 4} {
		is, was := adapted[i], stubborn[i]
		if most := perSecond * 300; is.served < most*6/10 {
			t.Errorf("of a server that takes %d/s, %d requests are served, want at least 0.6 of %d", perSecond, is.served, most)
		}
		if is.refused > was.refused/10 || is.refused == 0 {
			t.Errorf("of a server that takes %d/s, %d requests are refused, want some, and at most a tenth of %d", perSecond, is.refused, was.refused)
		}
	}
	if is := adapted[2]; is.refused != 0 || is.served < 29*300 || is.served > 30*300+1 {
		t.Errorf("when the server takes what the params allow: %+v, want 30/s and nothing refused", is)
	}
}

// Limits that are not to adapt don't, and refusals that are of one moment are one.
func TestAdaptCountsRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		adapt dispatcher.Adapt
		want  time.Duration // when the last job starts
	}{
		"too few":       {dispatcher.Adapt{Refusals: 2}, 14 * time.Second},
		"enough":        {dispatcher.Adapt{Refusals: 1, Cut: 0.25, Recovery: math.MaxInt64}, 14*time.Second + 8*3*time.Second},
		"least":         {dispatcher.Adapt{Refusals: 1, Cut: 0.25, Least: 0.5, Recovery: math.MaxInt64}, 14*time.Second + 8*time.Second},
		"not this one":  {dispatcher.Adapt{Refusals: 1, Limits: func(string) bool { return false }}, 14 * time.Second},
		"Limits panics": {dispatcher.Adapt{Refusals: 1, Limits: func(string) bool { panic("oh") }}, 14 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin, last := time.Now(), time.Duration(0)
				d, err := dispatcher.New(memory.New(memory.Config{}), func(_ context.Context, job dispatcher.Job[int]) error {
					if job.Payload < 2 && job.Attempt() == 1 { // two that started before the first is over
						time.Sleep(2 * time.Second)
						return dispatcher.RetryAfter(3*time.Second, nil)
					}
					if job.Payload == 9 {
						last = time.Since(begin)
					}
					return nil
				}, dispatcher.Config[int]{Workers: 9, Params: gcra.FreqLimitParams{Limit: 1, Period: time.Second}, Adapt: &c.adapt})
				if err != nil {
					t.Fatal(err)
				}
				for i := range 10 {
					if err := d.Submit(context.Background(), "api", i); err != nil {
						t.Fatal(err)
					}
				}
				go d.Run(context.Background())
				if err := d.Shutdown(context.Background()); err != nil {
					t.Fatal(err)
				}
				if last != c.want {
					t.Errorf("the last job starts after %v, want %v", last, c.want)
				}
			})
		})
	}
}

// The factor applies to the params that are set for a limit, and to those that new jobs bring.
func TestAdaptUnderOtherParams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		starts := map[int]time.Duration{}
		var d *dispatcher.Dispatcher[int]
		d, err := dispatcher.New(memory.New(memory.Config{}), func(_ context.Context, job dispatcher.Job[int]) error {
			if job.Payload == 0 && job.Attempt() == 1 {
				return dispatcher.RetryAfter(10*time.Second, nil)
			}
			starts[job.Payload] = time.Since(begin)
			if job.Payload == 1 {
				return d.SetParams("api", gcra.FreqLimitParams{Limit: 2, Period: time.Second})
			}
			return nil
		}, dispatcher.Config[int]{
			Workers: 1,
			Params:  gcra.FreqLimitParams{Limit: 1, Period: time.Second},
			Adapt:   &dispatcher.Adapt{Refusals: 1, Recovery: math.MaxInt64},
		})
		if err != nil {
			t.Fatal(err)
		}
		submit := func(i int) {
			t.Helper()
			if err := d.Submit(context.Background(), "api", i); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 4 {
			submit(i)
		}
		go d.Run(context.Background())
		time.Sleep(12500 * time.Millisecond)
		submit(4)
		if err := d.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
		for i, want := range []time.Duration{10, 12, 13, 14, 15} {
			if starts[i] != want*time.Second {
				t.Errorf("job %d starts after %v, want %vs", i, starts[i], int(want))
			}
		}
	})
}

// A limit recovers while nothing else happens: a job that waits behind a limit of one job in 100
// minutes does not wait that long.
func TestAdaptRecoversWhileNothingHappens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin, last := time.Now(), time.Duration(0)
		d, err := dispatcher.New(memory.New(memory.Config{}), func(_ context.Context, job dispatcher.Job[int]) error {
			if job.Payload == 0 && job.Attempt() == 1 {
				return dispatcher.RetryAfter(time.Second, nil)
			}
			last = time.Since(begin)
			return nil
		}, dispatcher.Config[int]{
			Params: gcra.FreqLimitParams{Limit: 1, Period: time.Minute},
			Adapt:  &dispatcher.Adapt{Refusals: 1, Cut: 0.01, Recovery: 100 * time.Second},
		})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 2 {
			if err := d.Submit(context.Background(), "api", i); err != nil {
				t.Fatal(err)
			}
		}
		go d.Run(context.Background())
		if err := d.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
		if last < 61*time.Second || last > 3*time.Minute {
			t.Errorf("the second job starts after %v, want after 61s, and not long after", last)
		}
	})
}

func TestAdaptIsChecked(t *testing.T) {
	for field, adapt := range map[string]dispatcher.Adapt{
		"Adapt.Refusals": {Refusals: -1},
		"Adapt.Cut":      {Cut: 1},
		"Adapt.Least":    {Least: math.NaN()},
		"Adapt.Recovery": {Recovery: 1},
	} {
		_, err := dispatcher.New(memory.New(memory.Config{}), succeed, dispatcher.Config[int]{Adapt: &adapt})
		if wrong, ok := errors.AsType[*dispatcher.ConfigError](err); !ok || wrong.Field != field {
			t.Errorf("with %+v New says %v, want that %s is wrong", adapt, err, field)
		}
	}
}

func succeed(context.Context, dispatcher.Job[int]) error { return nil }
