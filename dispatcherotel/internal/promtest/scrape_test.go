package promtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/dispatcherotel"
	"github.com/freqlimit/dispatcher/dispatcherprom"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// all is the outcomes of jobs that have not ended in any way.
func all(values map[string]float64) map[string]float64 {
	got := map[string]float64{"succeeded": 0, "failed": 0, "panicked": 0, "dropped": 0, "expired": 0, "canceled": 0, "uncertain": 0}
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
	d, drain := run(t, cfg, func(_ context.Context, j job) error {
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
	submit(ctx, t, d, job{Payload: "old text", ID: "edit"})
	submit(ctx, t, d, job{Payload: "new text", ID: "edit", OnDuplicate: dispatcher.ReplacePayload})
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

	submit(ctx, t, d, job{Key: "too late", Deadline: time.Now().Add(-time.Hour)})
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
			"succeeded": 5, "failed": 1, "panicked": 1, "dropped": 1, "expired": 1, "canceled": 1, "uncertain": 0,
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

// Many jobs run and are watched at once.
func TestConcurrent(t *testing.T) {
	recorded := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorded))
	meters, scrape := serving(t)
	events, err := dispatcherotel.NewEvents[string](meters, "mail")
	if err != nil {
		t.Fatal(err)
	}
	cfg := config{Events: events, Middleware: []dispatcher.Middleware{dispatcherotel.Trace(provider)}}
	d, drain := run(t, cfg, func(context.Context, job) error { return nil })
	if _, err := dispatcherotel.Observe(meters, "mail", d); err != nil {
		t.Fatal(err)
	}
	const jobs = 500
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for series(t, scrape()["dispatcher_job_duration_seconds"])["succeeded"] < jobs && !t.Failed() {
			}
		})
	}
	for i := range jobs {
		submit(t.Context(), t, d, job{Key: fmt.Sprint(i % 10)})
	}
	drain()
	wg.Wait()
	if n := len(recorded.Ended()); n != jobs {
		t.Errorf("there are %d spans, want %d", n, jobs)
	}
}
