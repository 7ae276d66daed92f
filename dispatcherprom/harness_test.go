package dispatcherprom_test

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"testing"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/dispatcherprom"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
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
// Prometheus does. Any goroutine may call that function.
func scraper(t *testing.T, c prometheus.Collector) func() map[string]*dto.MetricFamily {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	if err := reg.Register(c); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
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
		if labels["dispatcher"] != "mail" {
			t.Errorf("%s has the labels %v, want dispatcher to be mail", f.GetName(), labels)
		}
		values[labels["outcome"]] = m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
	}
	return values
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
