package dispatcherotel_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/memory"
	"github.com/freqlimit/dispatcher/gcra"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

type (
	job    = dispatcher.Job[string]
	config = dispatcher.Config[string]
	events = dispatcher.Events[string]
)

// run returns a dispatcher that runs, and a function that waits for its jobs and
// stops it.
func run(t *testing.T, b backend.Backend, cfg config, h dispatcher.Handler[string]) (d *dispatcher.Dispatcher[string], drain func()) {
	t.Helper()
	return runWith(t.Context(), t, b, cfg, h)
}

func runWith(ctx context.Context, t *testing.T, b backend.Backend, cfg config, h dispatcher.Handler[string]) (d *dispatcher.Dispatcher[string], drain func()) {
	t.Helper()
	cfg.Logger = slog.New(slog.DiscardHandler)
	d, err := dispatcher.New(b, h, cfg)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	return d, func() {
		t.Helper()
		if err := d.Shutdown(ctx); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
}

// whenDone calls f with each result.
func whenDone(f func(dispatcher.Result[string])) events {
	return events{Done: func(_ context.Context, r dispatcher.Result[string]) { f(r) }}
}

func perSecond(n int) gcra.FreqLimitParams {
	return gcra.FreqLimitParams{Limit: n, Period: time.Second}
}

func inMemory() backend.Backend { return memory.New(memory.Config{}) }

func submit(ctx context.Context, t *testing.T, d *dispatcher.Dispatcher[string], j job) {
	t.Helper()
	if err := d.SubmitJob(ctx, j); err != nil {
		t.Fatal(err)
	}
}

// reading returns a provider and a function that collects the metrics of this module
// from it, by name.
func reading(t *testing.T) (metric.MeterProvider, func() map[string]metricdata.Metrics) {
	t.Helper()
	reader := sdkmetric.NewManualReader()
	return sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)), func() map[string]metricdata.Metrics {
		t.Helper()
		var all metricdata.ResourceMetrics
		if err := reader.Collect(t.Context(), &all); err != nil {
			t.Fatal(err)
		}
		metrics := map[string]metricdata.Metrics{}
		for _, s := range all.ScopeMetrics {
			if want := "github.com/freqlimit/dispatcher/dispatcherotel"; s.Scope.Name != want {
				t.Errorf("scope %q, want %q", s.Scope.Name, want)
			}
			for _, m := range s.Metrics {
				metrics[m.Name] = m
			}
		}
		return metrics
	}
}
