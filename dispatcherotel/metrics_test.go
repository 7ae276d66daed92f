package dispatcherotel_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/dispatcherotel"
	"github.com/freqlimit/dispatcher/dispatcherprom"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	"go.opentelemetry.io/otel/trace"
)

// fixed is a source whose figures do not change.
type fixed dispatcher.Stats

func (f fixed) Stats() dispatcher.Stats { return dispatcher.Stats(f) }

// all is the outcomes of jobs that have not ended in any way.
func all(values map[string]float64) map[string]float64 {
	got := map[string]float64{"succeeded": 0, "failed": 0, "panicked": 0, "dropped": 0, "expired": 0, "canceled": 0}
	maps.Copy(got, values)
	return got
}

// A dispatcher whose jobs end in all ways, as Prometheus sees it while the first of
// them runs and after the last.
func TestScrape(t *testing.T) {
	provider, scrape := serving(t)
	watch, err := dispatcherotel.NewEvents[string](provider, "mail")
	if err != nil {
		t.Fatal(err)
	}
	began, goOn := make(chan struct{}), make(chan struct{})
	letGo := sync.OnceFunc(func() { close(goOn) })
	defer letGo() // if it fails before
	cfg := config{
		Workers: 1,
		Events:  watch,
		Retry:   dispatcher.Retry{MaxAttempts: 2, Initial: time.Millisecond},
	}
	d, drain := run(t, inMemory(), cfg, func(_ context.Context, j job) error {
		switch j.Payload {
		case "first":
			close(began)
			<-goOn
		case "fails":
			return dispatcher.Permanent(errors.New("no such chat"))
		case "fails once":
			if j.Attempt() == 1 {
				return errors.New("try again")
			}
		case "panics":
			panic("bug")
		}
		return nil
	})
	reg, err := dispatcherotel.Observe(provider, "mail", d)
	if err != nil {
		t.Fatal(err)
	}
	single := func(n float64) map[string]float64 { return map[string]float64{"": n} }
	want := func(when string, values map[string]map[string]float64) {
		t.Helper()
		families := scrape()
		for name, f := range families {
			if got := series(t, f); !maps.Equal(got, values[name]) {
				t.Errorf("%s: %s = %v, want %v", when, name, got, values[name])
			}
		}
		for name := range values {
			if families[name] == nil {
				t.Errorf("%s: there is no %s", when, name)
			}
		}
	}
	ctx := t.Context()
	submit(ctx, t, d, job{Payload: "first"})
	<-began
	for _, payload := range []string{"", "", "fails", "fails once", "panics"} {
		submit(ctx, t, d, job{Payload: payload})
	}
	submit(ctx, t, d, job{Payload: "old text", Options: &dispatcher.Options{ID: "edit"}})
	submit(ctx, t, d, job{Payload: "new text", Options: &dispatcher.Options{ID: "edit", Replace: true}})
	want("the first runs", map[string]map[string]float64{
		"dispatcher_jobs_waiting":           single(6),
		"dispatcher_jobs_running":           single(1),
		"dispatcher_workers":                single(1),
		"dispatcher_backend_up":             single(1),
		"dispatcher_jobs_submitted_total":   single(7),
		"dispatcher_jobs_retried_total":     single(0),
		"dispatcher_jobs_replaced_total":    single(1),
		"dispatcher_jobs_ended_total":       all(nil),
		"dispatcher_start_lateness_seconds": single(1),
	})

	submit(ctx, t, d, job{Key: "too late", Options: &dispatcher.Options{Deadline: time.Now().Add(-time.Hour)}})
	submit(ctx, t, d, job{Key: "dropped"})
	if _, err := d.Drop(ctx, "dropped"); err != nil {
		t.Fatal(err)
	}
	h, err := d.Track(ctx, job{Key: "canceled"})
	if err != nil {
		t.Fatal(err)
	}
	h.Cancel()
	letGo()
	drain()
	measured := map[string]map[string]float64{
		"dispatcher_start_lateness_seconds": single(8),
		"dispatcher_job_duration_seconds":   {"succeeded": 5, "failed": 1, "panicked": 1},
	}
	observed := map[string]map[string]float64{
		"dispatcher_jobs_waiting":         single(0),
		"dispatcher_jobs_running":         single(0),
		"dispatcher_workers":              single(0),
		"dispatcher_backend_up":           single(1),
		"dispatcher_jobs_submitted_total": single(10),
		"dispatcher_jobs_retried_total":   single(1),
		"dispatcher_jobs_replaced_total":  single(1),
		"dispatcher_jobs_ended_total": all(map[string]float64{
			"succeeded": 5, "failed": 1, "panicked": 1, "dropped": 1, "expired": 1, "canceled": 1,
		}),
	}
	maps.Copy(observed, measured)
	want("after the last", observed)

	if err := reg.Unregister(); err != nil {
		t.Fatal(err)
	}
	want("unregistered", measured)
}

// What is scraped has its type and says what it is.
func TestTypesAndHelp(t *testing.T) {
	provider, scrape := serving(t)
	if _, err := dispatcherotel.Observe(provider, "mail", fixed{}); err != nil {
		t.Fatal(err)
	}
	types := map[string]dto.MetricType{
		"dispatcher_jobs_waiting":         dto.MetricType_GAUGE,
		"dispatcher_jobs_running":         dto.MetricType_GAUGE,
		"dispatcher_workers":              dto.MetricType_GAUGE,
		"dispatcher_backend_up":           dto.MetricType_GAUGE,
		"dispatcher_jobs_submitted_total": dto.MetricType_COUNTER,
		"dispatcher_jobs_retried_total":   dto.MetricType_COUNTER,
		"dispatcher_jobs_replaced_total":  dto.MetricType_COUNTER,
		"dispatcher_jobs_ended_total":     dto.MetricType_COUNTER,
	}
	for name, f := range scrape() {
		if kind, ok := types[name]; !ok || kind != f.GetType() || !strings.HasSuffix(f.GetHelp(), ".") {
			t.Errorf("%s is a %v with the help %q, want it among %v, and a sentence", name, f.GetType(), f.GetHelp(), types)
		}
		delete(types, name)
	}
	if len(types) != 0 {
		t.Errorf("there are no %v", types)
	}
}

// Each figure with a value of its own, and its unit, as the SDK gets them.
func TestObserve(t *testing.T) {
	provider, collect := reading(t)
	if _, err := dispatcherotel.Observe(provider, "mail", fixed{
		Waiting: 1, Running: 2, Workers: 3, Submitted: 4, Retried: 5, Replaced: 6,
		Succeeded: 7, Failed: 8, Panicked: 9, Dropped: 10, Expired: 11, Canceled: 12,
		Away: &dispatcher.Away{Since: time.Now(), Err: errors.New("down")},
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

// The exact times, in seconds; the duration is that of the last run.
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
		submit(t.Context(), t, d, job{Options: &dispatcher.Options{Deadline: time.Now().Add(-1)}})
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
	if dispatcherotel.Trace[int](nil)(nil) != nil {
		t.Error("Trace makes a handler of nil")
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

// A registry may have the metrics of package dispatcherprom too, which have the same
// names.
func TestBesidePrometheus(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	e, err := exporter.New(exporter.WithRegisterer(reg))
	if err != nil {
		t.Fatal(err)
	}
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(e))
	watch, err1 := dispatcherotel.NewEvents[string](provider, "mail")
	_, err2 := dispatcherotel.Observe(provider, "mail", fixed{})
	if err := errors.Join(err1, err2, reg.Register(dispatcherprom.NewCollector("mail", fixed{}))); err != nil {
		t.Fatal(err)
	}
	watch.Started(t.Context(), job{})
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	twice := map[string]int{}
	for _, f := range families {
		twice[f.GetName()] = len(f.GetMetric())
	}
	for _, name := range []string{"dispatcher_start_lateness_seconds", "dispatcher_jobs_waiting", "dispatcher_backend_up"} {
		if twice[name] != 2 {
			t.Errorf("there are %d series of %s, want one of each package", twice[name], name)
		}
	}
}
