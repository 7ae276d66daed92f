package dispatcher_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
)

// Trap 33: every wrong argument of New is an error that names it and its value.
func TestTrap33New(t *testing.T) {
	fine := func(context.Context, job) error { return nil }
	noLimits := func(string, string) []dispatcher.Limit { return nil }
	for _, c := range []struct {
		name    string
		backend backend.Backend
		handler dispatcher.Handler[string]
		cfg     config
		field   string
		value   string
	}{
		{"nil backend", nil, fine, config{}, "backend", "nil"},
		{"nil handler", inMemory(), nil, config{}, "handler", "nil"},
		{"Workers", inMemory(), fine, config{Workers: -1}, "Workers", "-1"},
		{"Capacity", inMemory(), fine, config{Capacity: -7}, "Capacity", "-7"},
		{"Horizon below 0", inMemory(), fine, config{Horizon: -time.Second}, "Horizon", "-1s"},
		{"Horizon above 1s", inMemory(), fine, config{Horizon: 2 * time.Second}, "Horizon", "2s"},
		{"Order below", inMemory(), fine, config{Order: -1}, "Order", "-1"},
		{"Order above", inMemory(), fine, config{Order: 3}, "Order", "3"},
		{"Params", inMemory(), fine, config{Params: gcra.FreqLimitParams{Limit: -2, Period: time.Second}}, "Params", "-2/1s burst 1"},
		{"Params beside Limits", inMemory(), fine, config{Params: perSecond(1), Limits: noLimits}, "Params", "1/1s burst 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := dispatcher.New(c.backend, c.handler, c.cfg)
			wantConfigError(t, err, c.field, c.value)
			if d != nil {
				t.Errorf("New() = %v, want nil beside an error", d)
			}
		})
	}
}

func wantConfigError(t *testing.T, err error, field, value string) {
	t.Helper()
	var wrong *dispatcher.ConfigError
	if !errors.As(err, &wrong) || !errors.Is(err, dispatcher.ErrConfig) || wrong.Field != field {
		t.Fatalf("error = %v, want a ConfigError for %s", err, field)
	}
	if want := fmt.Sprintf("dispatcher: %s is ", field); !strings.HasPrefix(err.Error(), want) ||
		!strings.Contains(err.Error(), value) {
		t.Errorf("error = %q, want it to begin with %q and to name the value %s", err, want, value)
	}
}

// Trap 33: params of the Config that are wrong say which of their fields is.
func TestTrap33ParamsNameTheirField(t *testing.T) {
	_, err := dispatcher.New(inMemory(), func(context.Context, job) error { return nil },
		config{Params: gcra.FreqLimitParams{Limit: 1, Period: -time.Second}})
	var wrong *gcra.ParamError
	if !errors.Is(err, gcra.ErrParams) || !errors.As(err, &wrong) || wrong.Field != "Period" {
		t.Errorf("New() = %v, want a ParamError for Period", err)
	}
}

// Trap 33: zero is a default for Workers, Capacity and Horizon.
func TestTrap33Zeroes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &watched{Backend: inMemory()}
		s := open(t, b, config{}, func(ctx context.Context, j job) error {
			if j.Payload == "job" {
				<-ctx.Done()
			}
			return nil
		})
		s.submit("limited", "limited", limit("limited", every(4*time.Millisecond)))
		s.submit("limited", "limited", limit("limited", every(4*time.Millisecond)))
		s.submit("limited", "limited", limit("limited", every(4*time.Millisecond)))
		synctest.Wait()
		if got := b.furthest.Load(); got != int64(4*time.Millisecond) {
			t.Errorf("with the default horizon the furthest slot is %v ahead, want 4ms", time.Duration(got))
		}
		time.Sleep(time.Second)
		for range 2 * dispatcher.DefaultWorkers {
			s.submit("key", "job")
		}
		synctest.Wait()
		if got := s.Stats(); got.Running != dispatcher.DefaultWorkers || got.Waiting != dispatcher.DefaultWorkers {
			t.Errorf("Stats() = %+v, want %d running and as many waiting", got, dispatcher.DefaultWorkers)
		}
		s.cut()
	})
}

// Trap 33: Submit with a context that has ended, or none, accepts nothing.
func TestTrap33SubmitContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{}, nil)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Submit(ctx, "key", "job"); !errors.Is(err, context.Canceled) {
			t.Errorf("Submit() with a cancelled context = %v, want context.Canceled", err)
		}
		late, stop := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
		defer stop()
		if err := s.SubmitJob(late, job{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("SubmitJob() with a late context = %v, want context.DeadlineExceeded", err)
		}
		var none context.Context
		wantConfigError(t, s.Submit(none, "key", "job"), "ctx", "nil")
		s.drain()
		if got := s.Stats().Submitted; got != 0 {
			t.Errorf("Stats().Submitted = %d, want 0", got)
		}
	})
}

// Trap 33: a nil payload is a payload.
func TestTrap33NilPayload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := make(chan error, 3)
		d, err := dispatcher.New(inMemory(), func(_ context.Context, j dispatcher.Job[error]) error {
			got <- j.Payload
			return nil
		}, dispatcher.Config[error]{Limits: func(string, error) []dispatcher.Limit { return nil }})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Submit(t.Context(), "", nil); err != nil {
			t.Fatalf("Submit() of a nil payload = %v, want nil", err)
		}
		ended := make(chan error, 1)
		go func() { ended <- d.Run(context.Background()) }()
		if p := <-got; p != nil {
			t.Errorf("the payload is %v, want nil", p)
		}
		if err := d.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		<-ended
	})
}

// Which limits a job is under: its own, or none if they are NoLimits; else those that
// Config gives.
func TestLimitsOfAJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{Params: every(time.Minute)}, nil)
		nextTwo := func(payload string, limits []dispatcher.Limit) {
			s.submitJob(job{Key: payload, Payload: payload, Limits: limits})
			s.submitJob(job{Key: payload, Payload: payload, Limits: limits})
		}
		nextTwo("those of Params", nil)
		nextTwo("none", dispatcher.NoLimits)
		nextTwo("empty", []dispatcher.Limit{})
		nextTwo("its own", []dispatcher.Limit{limit("its own", every(time.Hour))})
		nextTwo("", nil) // the empty key is a key
		s.drain()
		s.wantStarts("those of Params", 0, time.Minute)
		s.wantStarts("none", 0, 0)
		s.wantStarts("empty", 0, time.Minute)
		s.wantStarts("its own", 0, time.Hour)
		s.wantStarts("", 0, time.Minute)
	})
}

// The names of outcomes and orders, also of those that there aren't.
func TestNames(t *testing.T) {
	for want, got := range map[string]fmt.Stringer{
		"succeeded": dispatcher.Succeeded, "failed": dispatcher.Failed, "panicked": dispatcher.Panicked,
		"dropped": dispatcher.Dropped, "Outcome(0)": dispatcher.Outcome(0),
		"fair": dispatcher.Fair, "fifo": dispatcher.FIFO, "backlog": dispatcher.Backlog,
	} {
		if got.String() != want {
			t.Errorf("String() = %q, want %q", got, want)
		}
	}
}

// picky can't keep a limit of more than 10 in a second.
type picky struct{ remote }

var errPicky = errors.New("picky")

func (p *picky) Check(limits []dispatcher.Limit) error {
	for _, l := range limits {
		if l.Params.Limit > 10 {
			return fmt.Errorf("%w: %w: %v", backend.ErrLimit, errPicky, l.Params)
		}
	}
	return nil
}

// Trap 33: what a backend can't keep is an error of the first call that names it, and
// is not submitted.
func TestTrap33Checker(t *testing.T) {
	b := &picky{remote{inner: inMemory()}}
	fine := func(context.Context, job) error { return nil }
	_, err := dispatcher.New(b, fine, config{Params: perSecond(11)})
	wantConfigError(t, err, "Params", "11/1s burst 1")
	if !errors.Is(err, errPicky) {
		t.Errorf("New() = %v, want what the backend says", err)
	}
	_, err = dispatcher.NewFreqLimit(b, perSecond(11))
	wantConfigError(t, err, "params", "11/1s burst 1")
	if !errors.Is(err, errPicky) {
		t.Errorf("NewFreqLimit() = %v, want what the backend says", err)
	}
	if _, err := dispatcher.NewFreqLimit(b, perSecond(10)); err != nil {
		t.Errorf("NewFreqLimit() = %v, want nil", err)
	}
	d, err := dispatcher.New(b, fine, config{Limits: func(key, _ string) []dispatcher.Limit {
		return []dispatcher.Limit{limit(key, perSecond(11))}
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, limits := range [][]dispatcher.Limit{nil, {limit("key", perSecond(10)), limit("other", perSecond(11))}} {
		err := d.SubmitJob(t.Context(), job{Key: "key", Limits: limits})
		if !errors.Is(err, errPicky) || !errors.Is(err, backend.ErrLimit) {
			t.Errorf("SubmitJob() with limits %v = %v, want what the backend says", limits, err)
		}
	}
	if got := d.Stats(); got.Submitted != 0 || got.Waiting != 0 {
		t.Errorf("Stats() = %+v, want nothing submitted", got)
	}
}

// Whatever a delay is, nothing overflows: a job comes again when it is over, at once if it is
// none, and others do not wait for it.
func TestDelaysOfAnySize(t *testing.T) {
	for name, wait := range map[string]func(*stage, time.Duration) error{
		"RetryAfter": func(_ *stage, d time.Duration) error { return dispatcher.RetryAfter(d, nil) },
		"Holding":    func(_ *stage, d time.Duration) error { return dispatcher.RetryAfter(d, nil).Holding("x", "y") },
		"Snooze":     func(_ *stage, d time.Duration) error { return dispatcher.Snooze(d) },
		"Hold": func(s *stage, d time.Duration) error {
			if err := s.Hold(s.t.Context(), "key", d); err != nil {
				s.t.Errorf("Hold(%v) = %v, want nil", d, err)
			}
			return dispatcher.Snooze(0)
		},
	} {
		for _, d := range []time.Duration{math.MinInt64, -1, 0, 1, math.MaxInt64 - 1, math.MaxInt64} {
			synctest.Test(t, func(t *testing.T) {
				var s *stage
				s = open(t, inMemory(), config{Workers: math.MaxInt, Capacity: math.MaxInt}, func(_ context.Context, j job) error {
					if j.Payload == "waits" && j.Attempt() == 1 {
						return wait(s, d)
					}
					return nil
				})
				s.submit("key", "waits", limit("key", every(time.Nanosecond)))
				s.submit("other", "does not", limit("other", every(time.Nanosecond)))
				time.Sleep(time.Hour)
				want := uint64(2)
				if d > time.Hour {
					want = 1
				}
				if got := s.Stats(); got.Succeeded != want {
					t.Errorf("%s(%v): %d have succeeded after an hour, want %d", name, d, got.Succeeded, want)
				}
				if f, err := s.Forecast(t.Context(), d); err != nil || f.Last < 0 {
					t.Errorf("Forecast(%v) = %+v, %v, want a time from now on", d, f, err)
				}
				time.Sleep(101 * 365 * 24 * time.Hour)
				s.drain()
				s.wantStarts("does not", 0)
				if got := s.Stats(); got.Succeeded != 2 {
					t.Errorf("%s(%v): %d have succeeded after 101 years, want 2", name, d, got.Succeeded)
				}
			})
		}
	}
}
