package dispatcherprom_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/dispatcherprom"
	"github.com/freqlimit/dispatcher/internal/scrapetest"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// fixed is a source whose figures do not change.
type fixed dispatcher.Stats

func (f fixed) Stats() dispatcher.Stats { return dispatcher.Stats(f) }

// run returns a dispatcher that runs, and is stopped at the end of the test.
func run(t *testing.T, b backend.Backend, cfg dispatcher.Config[string], h dispatcher.Handler[string]) *dispatcher.Dispatcher[string] {
	t.Helper()
	cfg.Logger = slog.New(slog.DiscardHandler)
	d, err := dispatcher.New(b, h, cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	t.Cleanup(func() { stop(); <-ended })
	return d
}

// scraper registers a collector and returns a function that asks for the metrics as
// Prometheus does.
func scraper(t *testing.T, c prometheus.Collector) func() map[string]*dto.MetricFamily {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	if err := reg.Register(c); err != nil {
		t.Fatal(err)
	}
	return scrapetest.Serve(t, reg)
}

func series(t *testing.T, f *dto.MetricFamily) map[string]float64 {
	t.Helper()
	return scrapetest.Series(t, f, scrapetest.Labels{Name: "dispatcher", Outcome: "outcome"})
}

// want checks the values of metrics that have no outcome.
func want(t *testing.T, families map[string]*dto.MetricFamily, values map[string]float64) {
	t.Helper()
	for name, value := range values {
		if got := series(t, families[name]); len(got) != 1 || got[""] != value {
			t.Errorf("%s = %v, want %v", name, got, value)
		}
	}
}

func mail(s dispatcherprom.Source) *dispatcherprom.Collector {
	return dispatcherprom.NewCollector("mail", s)
}
