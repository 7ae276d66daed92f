package promtest

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"testing"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend/memory"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
)

type (
	job    = dispatcher.Job[string]
	config = dispatcher.Config[string]
)

// fixed is a source whose figures do not change.
type fixed dispatcher.Stats

func (f fixed) Stats() dispatcher.Stats { return dispatcher.Stats(f) }

// run returns a dispatcher that runs, and a function that waits for its jobs and
// stops it.
func run(t *testing.T, cfg config, h dispatcher.Handler[string]) (d *dispatcher.Dispatcher[string], drain func()) {
	t.Helper()
	cfg.Logger = slog.New(slog.DiscardHandler)
	d, err := dispatcher.New(memory.New(memory.Config{}), h, cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
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

func submit(ctx context.Context, t *testing.T, d *dispatcher.Dispatcher[string], j job) {
	t.Helper()
	if err := d.SubmitJob(ctx, j); err != nil {
		t.Fatal(err)
	}
}

// serving returns a provider whose metrics are served over HTTP, and a function that
// asks for them as Prometheus does.
func serving(t *testing.T) (metric.MeterProvider, func() map[string]*dto.MetricFamily) {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	e, err := exporter.New(exporter.WithRegisterer(reg), exporter.WithoutTargetInfo())
	if err != nil {
		t.Fatal(err)
	}
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(e))
	t.Cleanup(func() {
		if err := provider.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return provider, serve(t, reg)
}

// serve serves metrics over HTTP until the test ends, and returns a function that asks
// for them, by name. Any goroutine may call it.
func serve(t *testing.T, metrics prometheus.Gatherer) func() map[string]*dto.MetricFamily {
	t.Helper()
	server := httptest.NewServer(promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	t.Cleanup(server.Close)
	return func() map[string]*dto.MetricFamily {
		t.Helper()
		res, err := server.Client().Get(server.URL)
		if err != nil {
			t.Error(err)
			return nil
		}
		defer res.Body.Close()
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(res.Body)
		if err != nil {
			t.Error(err)
		}
		return families
	}
}

// series returns the values of a metric by its outcome, "" if it has none, and the
// count if it is a histogram.
func series(t *testing.T, f *dto.MetricFamily) map[string]float64 {
	t.Helper()
	values := map[string]float64{}
	for _, m := range f.GetMetric() {
		labels := map[string]string{}
		for _, l := range m.GetLabel() {
			labels[l.GetName()] = l.GetValue()
		}
		if labels["dispatcher_name"] != "mail" {
			t.Errorf("%s has the labels %v, want dispatcher_name to be mail", f.GetName(), labels)
		}
		values[labels["dispatcher_outcome"]] = m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
	}
	return values
}
