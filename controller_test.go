package dispatcher_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
)

// operated is a dispatcher of any type, with what a test needs to fill and drain it.
type operated struct {
	dispatcher.Controller
	submit func(key string) error
	drain  func()
}

// operate returns a running dispatcher whose jobs have the zero payload.
func operate[T any](t *testing.T, cfg dispatcher.Config[T]) operated {
	t.Helper()
	cfg.Logger = slog.New(slog.DiscardHandler)
	d, err := dispatcher.New(inMemory(), func(context.Context, dispatcher.Job[T]) error { return nil }, cfg)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- d.Run(context.Background()) }()
	var none T
	return operated{d, func(key string) error { return d.Submit(t.Context(), key, none) }, func() {
		t.Helper()
		if err := d.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}}
}

// Two dispatchers of different types are inspected and controlled by the same code.
func TestController(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		for name, d := range map[string]operated{
			"strings": operate(t, dispatcher.Config[string]{Params: every(time.Minute)}),
			"structs": operate(t, dispatcher.Config[struct{ n int }]{Params: every(time.Minute)}),
		} {
			begin := time.Now()
			d.Pause()
			for range 3 {
				for _, key := range []string{"dropped", "held", "slow"} {
					if err := d.submit(key); err != nil {
						t.Fatal(err)
					}
				}
			}
			load, err := d.Load(ctx)
			if err != nil || load != (dispatcher.Load{Paused: 9}) {
				t.Errorf("%s: Load() = %+v, %v, want 9 paused jobs", name, load, err)
			}
			if n, err := d.DropKey(ctx, "dropped"); n != 3 || err != nil {
				t.Errorf("%s: DropKey() = %d, %v, want 3 jobs", name, n, err)
			}
			if err := d.Hold(ctx, "held", time.Hour); err != nil {
				t.Fatal(err)
			}
			if err := d.SetParams("slow", every(time.Second)); err != nil {
				t.Fatal(err)
			}
			if err := d.SetWorkers(1); err != nil {
				t.Fatal(err)
			}
			d.PauseKey("slow")
			d.Resume()
			d.ResumeKey("slow")
			synctest.Wait() // the first of slow has started
			f, err := d.Forecast(ctx, 0)
			if err != nil || f.Jobs != 5 || f.Last != time.Hour+2*time.Minute {
				t.Errorf("%s: Forecast() = %+v, %v, want 5 jobs, the last in 1h2m", name, f, err)
			}
			time.Sleep(3 * time.Second)
			busiest, err := d.Busiest(ctx, 9)
			if err != nil || len(busiest) != 1 || busiest[0] != (dispatcher.KeyLoad{Key: "held", Waiting: 3}) {
				t.Errorf("%s: Busiest() = %+v, %v, want the key that is held", name, busiest, err)
			}
			limits, err := d.Bottlenecks(ctx, 1)
			if err != nil || len(limits) != 1 || limits[0].Key != "slow" {
				t.Errorf("%s: Bottlenecks() = %v, %v, want the limit of the key slow", name, limits, err)
			}
			d.drain()
			if took := time.Since(begin); took != time.Hour+2*time.Minute {
				t.Errorf("%s: all is done after %v, want 1h2m", name, took)
			}
			if s := d.Stats(); s.Succeeded != 6 || s.Dropped != 3 {
				t.Errorf("%s: Stats() = %+v, want 6 succeeded and 3 dropped", name, s)
			}
		}
	})
}
