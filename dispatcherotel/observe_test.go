package dispatcherotel_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/dispatcherotel"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
)

// fixed is a source whose figures do not change.
type fixed dispatcher.Stats

func (f fixed) Stats() dispatcher.Stats { return dispatcher.Stats(f) }

// The SDK gets each figure with its unit. All values differ, so none can be mixed up.
func TestObserve(t *testing.T) {
	provider, collect := reading(t)
	if _, err := dispatcherotel.Observe(provider, "mail", fixed{
		Waiting: 1, Running: 2, Workers: 3, Submitted: 4, Retried: 5, Replaced: 6,
		Succeeded: 7, Failed: 8, Panicked: 9, Dropped: 10, Expired: 11, Canceled: 12, Uncertain: 13,
		Outage: &dispatcher.Outage{Since: time.Now(), Err: errors.New("down")},
	}); err != nil {
		t.Fatal(err)
	}
	name := attribute.String("dispatcher.name", "mail")
	points := func(n int64) []metricdata.DataPoint[int64] {
		return []metricdata.DataPoint[int64]{{Attributes: attribute.NewSet(name), Value: n}}
	}
	sum := func(n int64, monotonic bool) metricdata.Sum[int64] {
		return metricdata.Sum[int64]{DataPoints: points(n), Temporality: metricdata.CumulativeTemporality, IsMonotonic: monotonic}
	}
	ended := metricdata.Sum[int64]{Temporality: metricdata.CumulativeTemporality, IsMonotonic: true}
	for o := dispatcher.Outcome(1); !strings.HasPrefix(o.String(), "Outcome("); o++ {
		if o == dispatcher.Kept {
			continue // the job has not ended
		}
		ended.DataPoints = append(ended.DataPoints, metricdata.DataPoint[int64]{
			Attributes: attribute.NewSet(name, attribute.String("dispatcher.outcome", o.String())),
			Value:      int64(o) + 6,
		})
	}
	want := map[string]metricdata.Metrics{
		"dispatcher.jobs.waiting":   {Unit: "{job}", Data: sum(1, false)},
		"dispatcher.jobs.running":   {Unit: "{job}", Data: sum(2, false)},
		"dispatcher.workers":        {Unit: "{worker}", Data: sum(3, false)},
		"dispatcher.jobs.submitted": {Unit: "{job}", Data: sum(4, true)},
		"dispatcher.jobs.retried":   {Unit: "{retry}", Data: sum(5, true)},
		"dispatcher.jobs.replaced":  {Unit: "{payload}", Data: sum(6, true)},
		"dispatcher.jobs.ended":     {Unit: "{job}", Data: ended},
		"dispatcher.backend.up":     {Data: metricdata.Gauge[int64]{DataPoints: points(0)}},
	}
	got := collect()
	for name, m := range got {
		w := want[name]
		w.Name, w.Description = name, m.Description
		metricdatatest.AssertEqual(t, w, m, metricdatatest.IgnoreTimestamp())
	}
	if len(got) != len(want) {
		t.Errorf("there are %d metrics, want %d", len(got), len(want))
	}
}

// broken is a provider that makes no instruments.
type broken struct{ noop.MeterProvider }

type brokenMeter struct{ noop.Meter }

var errBroken = errors.New("no instruments")

func (broken) Meter(string, ...metric.MeterOption) metric.Meter { return brokenMeter{} }

func (brokenMeter) Int64ObservableGauge(string, ...metric.Int64ObservableGaugeOption) (metric.Int64ObservableGauge, error) {
	return nil, errBroken
}

func (brokenMeter) Float64Histogram(string, ...metric.Float64HistogramOption) (metric.Float64Histogram, error) {
	return nil, errBroken
}

// deaf is a provider that takes no callbacks.
type deaf struct{ noop.MeterProvider }

type deafMeter struct{ noop.Meter }

func (deaf) Meter(string, ...metric.MeterOption) metric.Meter { return deafMeter{} }

func (deafMeter) RegisterCallback(metric.Callback, ...metric.Observable) (metric.Registration, error) {
	return nil, errBroken
}

func TestErrors(t *testing.T) {
	for _, source := range []dispatcherotel.Source{nil, (*dispatcher.Dispatcher[int])(nil)} {
		if _, err := dispatcherotel.Observe(noop.MeterProvider{}, "mail", source); !errors.Is(err, dispatcher.ErrConfig) {
			t.Errorf("Observe(%#v) = %v, want a ConfigError", source, err)
		}
	}
	for _, p := range []metric.MeterProvider{broken{}, deaf{}} {
		if _, err := dispatcherotel.Observe(p, "mail", fixed{}); !errors.Is(err, errBroken) {
			t.Errorf("Observe(%T) = %v, want %v", p, err, errBroken)
		}
	}
	if _, err := dispatcherotel.NewEvents[int](broken{}, "mail"); !errors.Is(err, errBroken) {
		t.Errorf("NewEvents = %v, want %v", err, errBroken)
	}
}

// Several dispatchers share the global provider, which nil stands for.
func TestGlobalMeterProvider(t *testing.T) {
	provider, collect := reading(t)
	defer otel.SetMeterProvider(otel.GetMeterProvider())
	otel.SetMeterProvider(provider)
	for _, name := range []string{"mail", "chat"} {
		if _, err := dispatcherotel.Observe(nil, name, fixed{}); err != nil {
			t.Fatal(err)
		}
		watch, err := dispatcherotel.NewEvents[int](nil, name)
		if err != nil {
			t.Fatal(err)
		}
		watch.Started(t.Context(), dispatcher.Job[int]{})
	}
	got := collect()
	if n := len(got["dispatcher.backend.up"].Data.(metricdata.Gauge[int64]).DataPoints); n != 2 {
		t.Errorf("%d backends are observed, want 2", n)
	}
	if n := len(got["dispatcher.start.lateness"].Data.(metricdata.Histogram[float64]).DataPoints); n != 2 {
		t.Errorf("%d dispatchers are measured, want 2", n)
	}
}
