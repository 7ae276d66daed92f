// Package scrapetest reads metrics as Prometheus does, for the tests of the adapters.
package scrapetest

import (
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Serve serves metrics over HTTP until the end of the test, and returns a function that
// asks for them, by name. It may be called from any goroutine.
func Serve(t *testing.T, metrics prometheus.Gatherer) func() map[string]*dto.MetricFamily {
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

// Labels are the names of the labels of a metric.
type Labels struct {
	Name    string // of the dispatcher, which is "mail"
	Outcome string // of jobs
}

// Series returns the values of a metric by its outcome, "" if it has none, and the
// count if it is a histogram.
func Series(t *testing.T, f *dto.MetricFamily, names Labels) map[string]float64 {
	t.Helper()
	values := map[string]float64{}
	for _, m := range f.GetMetric() {
		labels := map[string]string{}
		for _, l := range m.GetLabel() {
			labels[l.GetName()] = l.GetValue()
		}
		if labels[names.Name] != "mail" {
			t.Errorf("%s has the labels %v, want %s to be mail", f.GetName(), labels, names.Name)
		}
		values[labels[names.Outcome]] = m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
	}
	return values
}
