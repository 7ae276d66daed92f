package goredis_test

import (
	"context"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/goredis"
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/redistest"
)

// soon is how long what happens at once may take on a busy machine.
const soon = 10 * time.Second

var hourly = gcra.FreqLimitParams{Limit: 1, Period: time.Hour}

// processes returns backends with one prefix, each on a client of its own, as of as many
// processes.
func processes(t *testing.T, n int) (backends []*goredis.Backend) {
	t.Helper()
	prefix := redistest.Prefix(t)
	for range n {
		b, err := goredis.New(redistest.Client(t), goredis.Config{Prefix: prefix})
		if err != nil {
			t.Fatalf("New() = %v, want nil", err)
		}
		backends = append(backends, b)
	}
	return backends
}

// begun is a start of a job.
type begun struct {
	key string
	at  time.Time
}

// runs runs a dispatcher until the test ends, and returns where its starts go. A nil
// handler does nothing.
func runs(t *testing.T, b backend.Backend, handler dispatcher.Handler[string]) (*dispatcher.Dispatcher[string], chan begun) {
	t.Helper()
	starts := make(chan begun, 100)
	d, err := dispatcher.New(b, func(ctx context.Context, job dispatcher.Job[string]) error {
		starts <- begun{job.Key, time.Now()}
		if handler == nil {
			return nil
		}
		return handler(ctx, job)
	}, dispatcher.Config[string]{})
	if err != nil {
		t.Fatalf("New() = %v, want nil", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return d, starts
}

func submits(t *testing.T, d *dispatcher.Dispatcher[string], key string, limits ...dispatcher.Limit) {
	t.Helper()
	if err := d.SubmitJob(t.Context(), dispatcher.Job[string]{Key: key, Limits: limits}); err != nil {
		t.Fatalf("SubmitJob() = %v, want nil", err)
	}
}

// next returns the next start, which must come soon.
func next(t *testing.T, starts chan begun) begun {
	t.Helper()
	select {
	case s := <-starts:
		return s
	case <-time.After(soon):
		t.Fatalf("no job has started after %v", soon)
		panic("unreachable")
	}
}

// Trap 12: a 429 that one process gets holds the key in the others, also for jobs without
// limits, and in those that start later.
func TestHoldReachesOtherProcesses(t *testing.T) {
	const d = 2 * time.Second
	backends, told := processes(t, 3), make(chan time.Time, 1)
	first, _ := runs(t, backends[0], func(_ context.Context, job dispatcher.Job[string]) error {
		if job.Attempt() > 1 {
			return nil
		}
		told <- time.Now()
		return dispatcher.RetryAfter(d, nil)
	})
	second, starts := runs(t, backends[1], nil)
	// Who watches after the dispatcher does hears of it later.
	hears := func(b *goredis.Backend, d *dispatcher.Dispatcher[string], starts chan begun, then func()) {
		t.Helper()
		submits(t, d, "any")
		next(t, starts)
		news := make(chan backend.Change, 100)
		defer b.Watch(func(c backend.Change) { news <- c })()
		then()
		for {
			select {
			case c := <-news:
				if c.Key == "42" {
					return
				}
			case <-time.After(soon):
				t.Fatalf("the hold was not told after %v", soon)
			}
		}
	}
	hears(backends[1], second, starts, func() { submits(t, first, "42") })
	third, late := runs(t, backends[2], nil)
	hears(backends[2], third, late, func() {})
	over := (<-told).Add(d)
	for _, key := range []string{"42", "7"} {
		submits(t, second, key)
		submits(t, third, key)
	}
	for _, want := range []string{"7", "42"} {
		for _, starts := range []chan begun{starts, late} {
			if s := next(t, starts); s.key != want {
				t.Errorf("a job of key %q starts, want one of %q: key 42 is held", s.key, want)
			} else if want == "42" && s.at.Before(over) {
				t.Errorf("a job of the held key starts %v before the hold is over", over.Sub(s.at))
			}
		}
	}
}

// Slots that other processes give back, and limits that they clear, are used at once, by jobs and
// by Wait.
func TestOtherProcessesGiveBack(t *testing.T) {
	for name, give := range map[string]func(ctx context.Context, b *goredis.Backend, l dispatcher.Limit, tokens []int64) error{
		"release": func(ctx context.Context, b *goredis.Backend, l dispatcher.Limit, tokens []int64) error {
			for i := len(tokens) - 1; i >= 0; i-- {
				if err := b.Release(ctx, []dispatcher.Limit{l}, tokens[i]); err != nil {
					return err
				}
			}
			return nil
		},
		"clear": func(ctx context.Context, b *goredis.Backend, _ dispatcher.Limit, _ []int64) error {
			return b.Clear(ctx)
		},
	} {
		t.Run(name, func(t *testing.T) {
			backends := processes(t, 2)
			d, starts := runs(t, backends[0], nil)
			f, err := dispatcher.NewFreqLimit(backends[0], hourly)
			if err != nil {
				t.Fatal(err)
			}
			waited := make(chan error, 1)
			tokens := map[string][]int64{}
			for _, key := range []string{"job", "wait"} {
				for range 2 {
					var ds [1]backend.Decision
					reqs := []backend.Request{{Limits: []dispatcher.Limit{{Key: key, Params: hourly}}, Horizon: backend.Unlimited}}
					if err := backends[1].Reserve(t.Context(), reqs, ds[:]); err != nil || !ds[0].Granted {
						t.Fatalf("Reserve() = %+v, %v, want it granted", ds[0], err)
					}
					tokens[key] = append(tokens[key], ds[0].Token)
				}
			}
			submits(t, d, "job", dispatcher.Limit{Key: "job", Params: hourly})
			go func() { waited <- f.Wait(t.Context(), "wait") }()
			for limited := 0; limited == 0; { // until it was refused
				load, err := d.Load(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				limited = load.Limited
			}
			for key, tokens := range tokens {
				if err := give(t.Context(), backends[1], dispatcher.Limit{Key: key, Params: hourly}, tokens); err != nil {
					t.Fatalf("%s = %v, want nil", name, err)
				}
			}
			next(t, starts)
			select {
			case err := <-waited:
				if err != nil {
					t.Errorf("Wait() = %v, want nil", err)
				}
			case <-time.After(soon):
				t.Errorf("Wait has not returned after %v", soon)
			}
		})
	}
}
