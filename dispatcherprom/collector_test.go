package dispatcherprom_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/memory"
	"github.com/freqlimit/dispatcher/dispatcherprom"
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
)

// A dispatcher whose jobs end in all ways, as Prometheus sees it while the first of
// them runs and after the last.
func TestScrape(t *testing.T) {
	began, goOn := make(chan struct{}), make(chan struct{})
	letGo := sync.OnceFunc(func() { close(goOn) })
	defer letGo() // if it fails before
	cfg := dispatcher.Config[string]{
		Workers: 1,
		Params:  gcra.FreqLimitParams{Limit: 1000, Period: time.Second, Burst: 1000},
		Retry:   dispatcher.Retry{MaxAttempts: 2, Initial: time.Millisecond},
	}
	d := run(t, memory.New(memory.Config{}), cfg, func(_ context.Context, job dispatcher.Job[string]) error {
		switch job.Payload {
		case "first":
			close(began)
			<-goOn
		case "fails":
			return dispatcher.Permanent(errors.New("no such chat"))
		case "fails once":
			if job.Attempt() == 1 {
				return errors.New("try again")
			}
		case "panics":
			panic("bug")
		}
		return nil
	})
	scrape := scraper(t, mail(d))
	ctx := t.Context()
	submitJob := func(job dispatcher.Job[string]) {
		t.Helper()
		if err := d.SubmitJob(ctx, job); err != nil {
			t.Fatal(err)
		}
	}
	submit := func(key, payload string) {
		t.Helper()
		submitJob(dispatcher.Job[string]{Key: key, Payload: payload})
	}

	submit("chat", "first")
	<-began
	for _, payload := range []string{"", "", "fails", "fails once", "panics"} {
		submit("chat", payload)
	}
	submitJob(dispatcher.Job[string]{Key: "chat", Payload: "old text", ID: "edit"})
	submitJob(dispatcher.Job[string]{Key: "chat", Payload: "new text", ID: "edit", OnDuplicate: dispatcher.ReplacePayload})
	want(t, scrape(), map[string]float64{
		"dispatcher_jobs_waiting":           6,
		"dispatcher_jobs_running":           1,
		"dispatcher_workers":                1,
		"dispatcher_backend_up":             1,
		"dispatcher_jobs_submitted_total":   7,
		"dispatcher_jobs_retried_total":     0,
		"dispatcher_jobs_replaced_total":    1,
		"dispatcher_start_lateness_seconds": 0,
	})

	submitJob(dispatcher.Job[string]{Key: "too late", Deadline: time.Now().Add(-time.Hour)})
	for range 3 {
		submit("dropped", "")
	}
	if _, err := d.Drop(ctx, "dropped"); err != nil {
		t.Fatal(err)
	}
	h, err := d.Track(ctx, dispatcher.Job[string]{Key: "canceled"})
	if err != nil {
		t.Fatal(err)
	}
	h.Cancel()
	letGo()
	if err := d.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}

	families := scrape()
	want(t, families, map[string]float64{
		"dispatcher_jobs_waiting":           0,
		"dispatcher_jobs_running":           0,
		"dispatcher_workers":                0,
		"dispatcher_backend_up":             1,
		"dispatcher_jobs_submitted_total":   12,
		"dispatcher_jobs_retried_total":     1,
		"dispatcher_jobs_replaced_total":    1,
		"dispatcher_start_lateness_seconds": 8,
	})
	ended := map[string]float64{
		"succeeded": 5, "failed": 1, "panicked": 1, "dropped": 3, "expired": 1, "canceled": 1, "uncertain": 0,
	}
	if got := series(t, families["dispatcher_jobs_ended_total"]); !maps.Equal(got, ended) {
		t.Errorf("dispatcher_jobs_ended_total = %v, want %v", got, ended)
	}
	if got, want := families["dispatcher_start_lateness_seconds"].GetMetric()[0].GetHistogram().GetSampleSum(), d.Stats().Lateness.Sum.Seconds(); got != want {
		t.Errorf("the lateness adds up to %v s, want %v", got, want)
	}
}

// Each metric has its type and says what it is.
func TestTypesAndHelp(t *testing.T) {
	families := scraper(t, mail(fixed{}))()
	types := map[string]dto.MetricType{
		"dispatcher_jobs_waiting":           dto.MetricType_GAUGE,
		"dispatcher_jobs_running":           dto.MetricType_GAUGE,
		"dispatcher_workers":                dto.MetricType_GAUGE,
		"dispatcher_backend_up":             dto.MetricType_GAUGE,
		"dispatcher_jobs_submitted_total":   dto.MetricType_COUNTER,
		"dispatcher_jobs_retried_total":     dto.MetricType_COUNTER,
		"dispatcher_jobs_replaced_total":    dto.MetricType_COUNTER,
		"dispatcher_jobs_ended_total":       dto.MetricType_COUNTER,
		"dispatcher_start_lateness_seconds": dto.MetricType_HISTOGRAM,
	}
	for name, f := range families {
		if kind, ok := types[name]; !ok || kind != f.GetType() {
			t.Errorf("%s is a %v, want it among %v", name, f.GetType(), types)
		}
		if help := f.GetHelp(); !strings.HasSuffix(help, ".") {
			t.Errorf("the help of %s is %q, want a sentence", name, help)
		}
		delete(types, name)
	}
	if len(types) != 0 {
		t.Errorf("there are no %v", types)
	}
}

// The whole exposition. All values differ, so none can be mixed up.
func TestExposition(t *testing.T) {
	c := mail(fixed{
		Waiting: 1, Running: 2, Workers: 3, Submitted: 4, Retried: 5, Replaced: 6,
		Succeeded: 7, Failed: 8, Panicked: 9, Dropped: 10, Expired: 11, Canceled: 12, Uncertain: 13,
		Lateness: dispatcher.Histogram{
			Bounds: []time.Duration{20 * time.Microsecond, 5 * time.Millisecond, 2 * time.Second},
			Counts: []uint64{3, 0, 2, 1},
			Sum:    12500 * time.Millisecond,
		},
		Outage: &dispatcher.Outage{Since: time.Now(), Err: errors.New("down")},
	})
	const want = `
# HELP dispatcher_backend_up Whether the backend answers: 1 or 0.
# TYPE dispatcher_backend_up gauge
dispatcher_backend_up{dispatcher="mail"} 0
# HELP dispatcher_jobs_ended_total Jobs that have ended, by outcome.
# TYPE dispatcher_jobs_ended_total counter
dispatcher_jobs_ended_total{dispatcher="mail",outcome="canceled"} 12
dispatcher_jobs_ended_total{dispatcher="mail",outcome="dropped"} 10
dispatcher_jobs_ended_total{dispatcher="mail",outcome="expired"} 11
dispatcher_jobs_ended_total{dispatcher="mail",outcome="failed"} 8
dispatcher_jobs_ended_total{dispatcher="mail",outcome="panicked"} 9
dispatcher_jobs_ended_total{dispatcher="mail",outcome="succeeded"} 7
dispatcher_jobs_ended_total{dispatcher="mail",outcome="uncertain"} 13
# HELP dispatcher_jobs_replaced_total Payloads that took the place of another's in a job that waited.
# TYPE dispatcher_jobs_replaced_total counter
dispatcher_jobs_replaced_total{dispatcher="mail"} 6
# HELP dispatcher_jobs_retried_total Times that a job went back to run again.
# TYPE dispatcher_jobs_retried_total counter
dispatcher_jobs_retried_total{dispatcher="mail"} 5
# HELP dispatcher_jobs_running Jobs whose handlers have not returned.
# TYPE dispatcher_jobs_running gauge
dispatcher_jobs_running{dispatcher="mail"} 2
# HELP dispatcher_jobs_submitted_total Jobs accepted.
# TYPE dispatcher_jobs_submitted_total counter
dispatcher_jobs_submitted_total{dispatcher="mail"} 4
# HELP dispatcher_jobs_waiting Accepted jobs that no worker has begun.
# TYPE dispatcher_jobs_waiting gauge
dispatcher_jobs_waiting{dispatcher="mail"} 1
# HELP dispatcher_start_lateness_seconds How long after their slots jobs were started.
# TYPE dispatcher_start_lateness_seconds histogram
dispatcher_start_lateness_seconds_bucket{dispatcher="mail",le="2e-05"} 3
dispatcher_start_lateness_seconds_bucket{dispatcher="mail",le="0.005"} 3
dispatcher_start_lateness_seconds_bucket{dispatcher="mail",le="2"} 5
dispatcher_start_lateness_seconds_bucket{dispatcher="mail",le="+Inf"} 6
dispatcher_start_lateness_seconds_sum{dispatcher="mail"} 12.5
dispatcher_start_lateness_seconds_count{dispatcher="mail"} 6
# HELP dispatcher_workers Goroutines that have been started for handlers.
# TYPE dispatcher_workers gauge
dispatcher_workers{dispatcher="mail"} 3
`
	if err := testutil.CollectAndCompare(c, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}

// Names, units and help are as Prometheus wants them.
func TestLint(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(mail(fixed{}))
	problems, err := testutil.GatherAndLint(reg)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// Every outcome has its series before any job has ended.
func TestAllOutcomes(t *testing.T) {
	got := series(t, scraper(t, mail(fixed{}))()["dispatcher_jobs_ended_total"])
	n := 0
	for o := dispatcher.Outcome(1); !strings.HasPrefix(o.String(), "Outcome("); o++ {
		if o == dispatcher.Kept {
			continue // the job has not ended
		}
		n++
		if v, ok := got[o.String()]; !ok || v != 0 {
			t.Errorf("outcome %v is %v, %v, want 0, true", o, v, ok)
		}
	}
	if n < 6 || len(got) != n {
		t.Errorf("outcomes: %v, want %d of them", got, n)
	}
}

// failing is a backend with outages.
type failing struct {
	backend.Backend
	away atomic.Bool
}

func (f *failing) Reserve(ctx context.Context, reqs []backend.Request, decisions []backend.Decision) error {
	if f.away.Load() {
		return errors.New("connection refused")
	}
	return f.Backend.Reserve(ctx, reqs, decisions)
}

// The backend is down during an outage, and up before and after.
func TestBackendUp(t *testing.T) {
	told := make(chan error, 10)
	b := &failing{Backend: memory.New(memory.Config{})}
	d := run(t, b, dispatcher.Config[string]{
		Params: gcra.FreqLimitParams{Limit: 1000, Period: time.Second},
		Events: dispatcher.Events[string]{
			BackendDown: func(_ context.Context, err error) { told <- err },
			BackendUp:   func(context.Context) { told <- nil },
		},
	}, func(context.Context, dispatcher.Job[string]) error { return nil })
	scrape := scraper(t, mail(d))
	want(t, scrape(), map[string]float64{"dispatcher_backend_up": 1})
	b.away.Store(true)
	if err := d.Submit(t.Context(), "chat", ""); err != nil {
		t.Fatal(err)
	}
	if err := <-told; err == nil {
		t.Fatal("BackendUp is called first, want BackendDown")
	}
	want(t, scrape(), map[string]float64{"dispatcher_backend_up": 0, "dispatcher_jobs_waiting": 1})
	b.away.Store(false)
	if err := <-told; err != nil {
		t.Fatal(err)
	}
	want(t, scrape(), map[string]float64{"dispatcher_backend_up": 1})
}

// One registry holds several dispatchers with different names and payload types.
func TestSeveralDispatchers(t *testing.T) {
	ints, err := dispatcher.New(memory.New(memory.Config{}),
		func(context.Context, dispatcher.Job[int]) error { return nil }, dispatcher.Config[int]{})
	if err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewPedanticRegistry()
	c := mail(fixed{})
	if err := errors.Join(reg.Register(c), reg.Register(dispatcherprom.NewCollector("other", ints))); err != nil {
		t.Fatal(err)
	}
	if n, err := testutil.GatherAndCount(reg, "dispatcher_jobs_waiting"); n != 2 || err != nil {
		t.Errorf("there are %d series, %v, want 2", n, err)
	}
	if err := reg.Register(mail(fixed{})); !errors.As(err, new(prometheus.AlreadyRegisteredError)) {
		t.Errorf("a second collector of one name: %v, want AlreadyRegisteredError", err)
	}
	if !reg.Unregister(c) {
		t.Error("the collector is not unregistered")
	}
	if err := reg.Register(mail(fixed{})); err != nil {
		t.Errorf("a collector in the place of another: %v, want nil", err)
	}
}

func TestWrongArguments(t *testing.T) {
	if err := prometheus.NewRegistry().Register(dispatcherprom.NewCollector("\xff", fixed{})); err == nil {
		t.Error("a name that is not UTF-8 can be registered, want an error")
	}
	for _, source := range []dispatcherprom.Source{nil, (*dispatcher.Dispatcher[string])(nil)} {
		func() {
			defer func() {
				if got := fmt.Sprint(recover()); !strings.Contains(got, "source is nil") {
					t.Errorf("NewCollector with the source %#v panics with %q, want the source named", source, got)
				}
			}()
			mail(source)
		}()
	}
}

// The zero Collector can't be registered. If a registry doesn't check that, collecting reports an
// error.
func TestZeroCollector(t *testing.T) {
	var c dispatcherprom.Collector
	if err := prometheus.NewRegistry().Register(&c); err == nil || !strings.Contains(err.Error(), "NewCollector") {
		t.Errorf("Register() of the zero Collector = %v, want an error that names NewCollector", err)
	}
	metrics := make(chan prometheus.Metric, 1)
	c.Collect(metrics)
	if err := (<-metrics).Write(nil); err == nil || !strings.Contains(err.Error(), "NewCollector") {
		t.Errorf("what the zero Collector collects says %v, want an error that names NewCollector", err)
	}
}

// Scrapes go on while jobs run, and what they read never goes back.
func TestConcurrentScrapes(t *testing.T) {
	d := run(t, memory.New(memory.Config{}), dispatcher.Config[string]{
		Events: dispatcher.Events[string]{Done: func(context.Context, dispatcher.Result[string]) {}},
	}, func(context.Context, dispatcher.Job[string]) error { return nil })
	scrape := scraper(t, mail(d))
	const jobs, scrapers = 2000, 4
	var wg sync.WaitGroup
	for range scrapers {
		wg.Go(func() {
			last := 0.0
			for last < jobs && !t.Failed() {
				n := series(t, scrape()["dispatcher_jobs_ended_total"])["succeeded"]
				if n < last {
					t.Errorf("%v jobs have succeeded after %v", n, last)
					return
				}
				last = n
			}
		})
	}
	for range jobs {
		if err := d.Submit(t.Context(), "chat", ""); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
}
