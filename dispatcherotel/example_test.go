package dispatcherotel_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend/memory"
	"github.com/freqlimit/dispatcher/dispatcherotel"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

func send(_ context.Context, job dispatcher.Job[string]) error {
	fmt.Println(job.Key, job.Payload)
	return nil
}

// collect reads the metric with a name. A program would export them all.
func collect(ctx context.Context, reader sdkmetric.Reader, name string) metricdata.Metrics {
	var all metricdata.ResourceMetrics
	if err := reader.Collect(ctx, &all); err != nil {
		log.Fatal(err)
	}
	for _, m := range all.ScopeMetrics[0].Metrics {
		if m.Name == name {
			return m
		}
	}
	return metricdata.Metrics{}
}

func ExampleObserve() {
	ctx := context.Background()
	reader := sdkmetric.NewManualReader()
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))

	d, err := dispatcher.New(memory.New(memory.Config{}), send, dispatcher.Config[string]{})
	if err != nil {
		log.Fatal(err)
	}
	reg, err := dispatcherotel.Observe(meters, "mail", d)
	if err != nil {
		log.Fatal(err)
	}
	defer reg.Unregister()

	if err := d.Submit(ctx, "alice", "hello"); err != nil {
		log.Fatal(err)
	}
	m := collect(ctx, reader, "dispatcher.jobs.waiting")
	fmt.Println(m.Name, m.Unit, m.Data.(metricdata.Sum[int64]).DataPoints[0].Value)

	go d.Run(ctx)
	if err := d.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	m = collect(ctx, reader, "dispatcher.jobs.waiting")
	fmt.Println(m.Name, m.Unit, m.Data.(metricdata.Sum[int64]).DataPoints[0].Value)

	// Output:
	// dispatcher.jobs.waiting {job} 1
	// alice hello
	// dispatcher.jobs.waiting {job} 0
}

func ExampleNewEvents() {
	ctx := context.Background()
	reader := sdkmetric.NewManualReader()
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))

	events, err := dispatcherotel.NewEvents[string](meters, "mail")
	if err != nil {
		log.Fatal(err)
	}
	d, err := dispatcher.New(memory.New(memory.Config{}), send, dispatcher.Config[string]{
		Events: events,
	})
	if err != nil {
		log.Fatal(err)
	}
	go d.Run(ctx)
	if err := d.Submit(ctx, "alice", "hello"); err != nil {
		log.Fatal(err)
	}
	if err := d.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}

	m := collect(ctx, reader, "dispatcher.job.duration")
	p := m.Data.(metricdata.Histogram[float64]).DataPoints[0]
	outcome, _ := p.Attributes.Value("dispatcher.outcome")
	fmt.Println(m.Name, m.Unit, outcome.AsString(), p.Count)

	// Output:
	// alice hello
	// dispatcher.job.duration s succeeded 1
}

func ExampleTrace() {
	ctx := context.Background()
	exporter := tracetest.NewInMemoryExporter()
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))

	send := func(_ context.Context, job dispatcher.Job[string]) error {
		if job.Attempt() == 1 {
			return errors.New("connection reset")
		}
		return nil
	}
	d, err := dispatcher.New(memory.New(memory.Config{}), send, dispatcher.Config[string]{
		Middleware: []dispatcher.Middleware{dispatcherotel.Trace(tracers)},
		Retry:      dispatcher.Retry{MaxAttempts: 2, Initial: 1},
	})
	if err != nil {
		log.Fatal(err)
	}
	go d.Run(ctx)

	submitting, span := tracers.Tracer("shop").Start(ctx, "take order")
	if err := d.Submit(submitting, "alice", "hello"); err != nil {
		log.Fatal(err)
	}
	span.End()
	if err := d.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}

	for _, s := range exporter.GetSpans() {
		if s.Name == "run job" {
			linked := s.Links[0].SpanContext.Equal(span.SpanContext())
			fmt.Println(s.Name, s.Status.Code, s.Status.Description, "linked:", linked)
		}
	}

	// Output:
	// run job Error connection reset linked: true
	// run job Unset  linked: true
}
