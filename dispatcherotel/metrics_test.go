package dispatcherotel_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/dispatcherotel"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	"go.opentelemetry.io/otel/trace"
)

// fixed is a source whose figures do not change.
type fixed dispatcher.Stats

func (f fixed) Stats() dispatcher.Stats { return dispatcher.Stats(f) }

// Each figure with a value of its own, and its unit, as the SDK gets them.
func TestObserve(t *testing.T) {
	provider, collect := reading(t)
	if _, err := dispatcherotel.Observe(provider, "mail", fixed{
		Waiting: 1, Running: 2, Workers: 3, Submitted: 4, Retried: 5, Replaced: 6,
		Succeeded: 7, Failed: 8, Panicked: 9, Dropped: 10, Expired: 11, Canceled: 12,
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

// The exact times, in seconds; the duration is the last run's.
func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		provider, collect := reading(t)
		watch, err := dispatcherotel.NewEvents[string](provider, "mail")
		if err != nil {
			t.Fatal(err)
		}
		delay := events{Started: func(context.Context, job) { time.Sleep(30 * time.Millisecond) }}
		cfg := config{Workers: 1, Events: dispatcher.JoinEvents(delay, watch)}
		d, drain := run(t, inMemory(), cfg, func(_ context.Context, j job) error {
			if j.Payload == "again" && j.Attempt() == 1 {
				time.Sleep(time.Hour)
				return dispatcher.Snooze(0)
			}
			time.Sleep(220 * time.Millisecond)
			if j.Payload == "fails" {
				return errors.New("no such chat")
			}
			return nil
		})
		span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
		submit(trace.ContextWithSpanContext(t.Context(), span), t, d, job{Payload: "again"})
		submit(t.Context(), t, d, job{Payload: "fails"})
		submit(t.Context(), t, d, job{Deadline: time.Now().Add(-1)})
		drain()

		got := collect()
		late := got["dispatcher.start.lateness"]
		points := late.Data.(metricdata.Histogram[float64]).DataPoints
		if len(points) != 1 || late.Unit != "s" {
			t.Fatalf("the lateness is %+v, want one histogram in seconds", late)
		}
		if p := points[0]; p.Count != 3 || !near(p.Sum, 0.09) || len(p.Bounds) != 19 || p.Bounds[0] != 1e-05 {
			t.Errorf("the lateness is %+v, want 3 times 0.03 s", p)
		}
		if e := points[0].Exemplars; len(e) == 0 || trace.SpanID(e[0].SpanID) != span.SpanID() {
			t.Errorf("exemplars of the lateness: %+v, want the submitter's span", e)
		}
		took := got["dispatcher.job.duration"]
		if took.Unit != "s" {
			t.Errorf("the unit of the duration is %q, want s", took.Unit)
		}
		outcomes := map[string]bool{}
		for _, p := range took.Data.(metricdata.Histogram[float64]).DataPoints {
			o, _ := p.Attributes.Value("dispatcher.outcome")
			name, _ := p.Attributes.Value("dispatcher.name")
			outcomes[o.AsString()] = true
			// The event before takes 30 ms of it.
			if p.Count != 1 || !near(p.Sum, 0.25) || name.AsString() != "mail" {
				t.Errorf("the duration is %+v, want 0.25 s of mail", p)
			}
			wantSpan := o.AsString() == "succeeded"
			if found := len(p.Exemplars) > 0 && trace.SpanID(p.Exemplars[0].SpanID) == span.SpanID(); found != wantSpan {
				t.Errorf("exemplars of the duration, %s: %+v", o.AsString(), p.Exemplars)
			}
		}
		if want := map[string]bool{"succeeded": true, "failed": true}; !maps.Equal(outcomes, want) {
			t.Errorf("durations of %v, want %v", outcomes, want)
		}
	})
}

func near(a, b float64) bool { return a > b-1e-9 && a < b+1e-9 }

// What no dispatcher would pass on does no harm.
func TestEventsOfOddities(t *testing.T) {
	provider, collect := reading(t)
	watch, err := dispatcherotel.NewEvents[string](provider, "mail")
	if err != nil {
		t.Fatal(err)
	}
	watch.Started(t.Context(), job{})
	for _, o := range []dispatcher.Outcome{-1, 0, 100} {
		watch.Done(t.Context(), dispatcher.Result[string]{Outcome: o, Started: time.Unix(1, 0), Ended: time.Unix(2, 0)})
	}
	if got := collect()["dispatcher.start.lateness"].Data.(metricdata.Histogram[float64]).DataPoints[0]; got.Count != 1 || got.Sum != 0 {
		t.Errorf("the lateness of a job without a slot is %+v, want 0", got)
	}
	if got := collect()["dispatcher.job.duration"].Data.(metricdata.Histogram[float64]).DataPoints; len(got) != 3 {
		t.Errorf("the durations are %+v, want three outcomes", got)
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

// Several dispatchers have one provider, and a nil one is the global one.
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
