package dispatcherotel_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/dispatcherotel"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// recording returns a provider and a function that returns the spans of jobs that have
// ended, in that order.
func recording() (*sdktrace.TracerProvider, func() tracetest.SpanStubs) {
	exporter := tracetest.NewInMemoryExporter()
	return sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter)), func() tracetest.SpanStubs {
		return slices.DeleteFunc(exporter.GetSpans(), func(s tracetest.SpanStub) bool { return s.Name != "run job" })
	}
}

// tracing is the middleware of a dispatcher whose runs have spans.
func tracing(provider trace.TracerProvider) []dispatcher.Middleware {
	return []dispatcher.Middleware{dispatcherotel.Trace(provider)}
}

// attrs returns attributes by their names, as text.
func attrs(kvs []attribute.KeyValue) map[string]string {
	m := map[string]string{}
	for _, kv := range kvs {
		m[string(kv.Key)] = kv.Value.String()
	}
	return m
}

// wantAttrs wants these attributes, and others only if they are those of failures.
func wantAttrs(t *testing.T, what string, kvs []attribute.KeyValue, want map[string]string) {
	t.Helper()
	got := attrs(kvs)
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s: %s = %q, want %q", what, name, got[name], value)
		}
		delete(got, name)
	}
	delete(got, "error.type")
	if len(got) > 0 {
		t.Errorf("%s: unexpected attributes %v", what, got)
	}
}

// The span of a run is a root, linked to the submitter's, and is in the handler's
// context.
func TestTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		provider, spans := recording()
		type key struct{}
		var inside trace.SpanContext
		handler := func(ctx context.Context, _ job) error {
			inside = trace.SpanContextFromContext(ctx)
			if ctx.Value(key{}) != "value" {
				t.Error("the handler's context has lost its value")
			}
			time.Sleep(2 * time.Second)
			return nil
		}
		late := func(ctx context.Context, _ dispatcher.JobInfo, next func(context.Context) error) error {
			time.Sleep(30 * time.Millisecond)
			return next(ctx)
		}
		d, drain := run(t, inMemory(), config{Middleware: []dispatcher.Middleware{late, dispatcherotel.Trace(provider)}}, handler)
		ctx, submitter := provider.Tracer("test").Start(context.WithValue(t.Context(), key{}, "value"), "submit")
		submit(ctx, t, d, job{Key: "chat", ID: "message 1"})
		submitter.End()
		drain()

		got := spans()
		if len(got) != 1 {
			t.Fatalf("there are %d spans, want 1", len(got))
		}
		s := got[0]
		if s.Parent.IsValid() || s.SpanContext.TraceID() == submitter.SpanContext().TraceID() {
			t.Errorf("the span is %v below %v, want a root", s.SpanContext, s.Parent)
		}
		if len(s.Links) != 1 || !s.Links[0].SpanContext.Equal(submitter.SpanContext()) {
			t.Errorf("links: %+v, want one to %v", s.Links, submitter.SpanContext())
		}
		if !inside.Equal(s.SpanContext) {
			t.Errorf("the handler's context has the span %v, want %v", inside, s.SpanContext)
		}
		if s.SpanKind != trace.SpanKindConsumer || s.Status.Code != codes.Unset || len(s.Events) != 0 {
			t.Errorf("the span has the kind %v, the status %v and the events %v", s.SpanKind, s.Status, s.Events)
		}
		if want := "github.com/freqlimit/dispatcher/dispatcherotel"; s.InstrumentationScope.Name != want {
			t.Errorf("scope %q, want %q", s.InstrumentationScope.Name, want)
		}
		if took := s.EndTime.Sub(s.StartTime); took != 2*time.Second {
			t.Errorf("the span takes %v, want 2s", took)
		}
		wantAttrs(t, "span", s.Attributes, map[string]string{
			"dispatcher.job.key":      "chat",
			"dispatcher.job.id":       "message 1",
			"dispatcher.job.attempt":  "1",
			"dispatcher.job.lateness": "0.03",
		})
	})
}

// Each run has a span, and only failures are errors.
func TestTraceRetries(t *testing.T) {
	runs := []struct {
		err    error
		failed bool
		event  string
		attrs  map[string]string
	}{
		{
			fmt.Errorf("429: %w", dispatcher.RetryAfter(10*time.Second, nil)), false, "dispatcher.retry_after",
			map[string]string{"dispatcher.delay": "10", "dispatcher.keys": `["chat"]`, "dispatcher.reason": "429: dispatcher: retry after 10s"},
		},
		{
			dispatcher.RetryAfter(time.Second, nil).Holding("bot", "server"), false, "dispatcher.retry_after",
			map[string]string{"dispatcher.delay": "1", "dispatcher.keys": `["bot","server"]`, "dispatcher.reason": "dispatcher: retry after 1s"},
		},
		{
			errors.Join(dispatcher.Snooze(time.Hour), dispatcher.RetryAfter(1500*time.Millisecond, nil).HoldingLimits()), false, "dispatcher.retry_after",
			map[string]string{"dispatcher.delay": "1.5", "dispatcher.keys": `["bot"]`, "dispatcher.reason": "dispatcher: run again after 1h0m0s\ndispatcher: retry after 1.5s"},
		},
		{
			dispatcher.Snooze(time.Minute), false, "dispatcher.snooze",
			map[string]string{"dispatcher.delay": "60", "dispatcher.reason": "dispatcher: run again after 1m0s"},
		},
		{
			errors.New("reset"), true, "exception",
			map[string]string{"exception.type": "*errors.errorString", "exception.message": "reset"},
		},
		{
			dispatcher.Permanent(dispatcher.RetryAfter(time.Second, nil)), true, "exception",
			map[string]string{"exception.type": "*dispatcher.PermanentError", "exception.message": "dispatcher: retry after 1s"},
		},
	}
	synctest.Test(t, func(t *testing.T) {
		provider, spans := recording()
		handler := func(_ context.Context, j job) error { return runs[j.Attempt()-1].err }
		d, drain := run(t, inMemory(), config{Retry: dispatcher.Retry{MaxAttempts: 3}, Middleware: tracing(provider)}, handler)
		ctx, submitter := provider.Tracer("test").Start(t.Context(), "submit")
		submit(ctx, t, d, job{Key: "chat", Limits: []dispatcher.Limit{{Key: "bot", Params: perSecond(30)}}})
		submitter.End()
		drain()

		got := spans()
		if len(got) != len(runs) {
			t.Fatalf("there are %d spans, want %d", len(got), len(runs))
		}
		traces := map[trace.TraceID]bool{submitter.SpanContext().TraceID(): true}
		for i, s := range got {
			r := runs[i]
			if traces[s.SpanContext.TraceID()] || s.Parent.IsValid() {
				t.Errorf("run %d is in the trace of another", i+1)
			}
			traces[s.SpanContext.TraceID()] = true
			if len(s.Links) != 1 || !s.Links[0].SpanContext.Equal(submitter.SpanContext()) {
				t.Errorf("run %d links to %+v, want the submitter", i+1, s.Links)
			}
			wantAttrs(t, "span", s.Attributes, map[string]string{
				"dispatcher.job.key":      "chat",
				"dispatcher.job.attempt":  fmt.Sprint(i + 1),
				"dispatcher.job.lateness": "0",
			})
			if len(s.Events) != 1 || s.Events[0].Name != r.event {
				t.Fatalf("run %d has the events %+v, want %s", i+1, s.Events, r.event)
			}
			wantAttrs(t, r.event, s.Events[0].Attributes, r.attrs)
			want := sdktrace.Status{}
			if r.failed {
				want = sdktrace.Status{Code: codes.Error, Description: r.err.Error()}
			}
			if s.Status != want || attrs(s.Attributes)["error.type"] != r.attrs["exception.type"] {
				t.Errorf("run %d has the status %+v and the attributes %v, want %+v", i+1, s.Status, s.Attributes, want)
			}
		}
	})
}

// A handler that does not return ends its span, and the job has the outcome that it
// would have anyway. The stack is the handler's.
func TestTraceDoesNotReturn(t *testing.T) {
	for name, c := range map[string]struct {
		handler dispatcher.Handler[string]
		inner   dispatcher.Middleware
		text    string
		outcome dispatcher.Outcome
		stack   bool
	}{
		"panic":   {func(context.Context, job) error { return blunder() }, nil, "dispatcher: panic: bug", dispatcher.Panicked, true},
		"recover": {func(context.Context, job) error { return blunder() }, dispatcher.Recover, "dispatcher: panic: bug", dispatcher.Failed, true},
		"goexit":  {func(context.Context, job) error { runtime.Goexit(); return nil }, nil, dispatcher.ErrGoexit.Error(), dispatcher.Panicked, false},
		"unwrap":  {func(context.Context, job) error { return badUnwrap{} }, nil, "dispatcher: panic: bad Unwrap", dispatcher.Panicked, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				provider, spans := recording()
				results := make(chan dispatcher.Result[string], 1)
				cfg := config{
					Events:     whenDone(func(r dispatcher.Result[string]) { results <- r }),
					Middleware: append(tracing(provider), c.inner),
				}
				d, drain := run(t, inMemory(), cfg, c.handler)
				submit(t.Context(), t, d, job{Key: "chat"})
				drain()
				r := <-results
				if r.Outcome != c.outcome || r.Err.Error() != c.text {
					t.Errorf("the job is %v: %v, want %v: %s", r.Outcome, r.Err, c.outcome, c.text)
				}
				if p, ok := errors.AsType[*dispatcher.PanicError](r.Err); c.stack && (!ok || !strings.Contains(string(p.Stack), "blunder")) {
					t.Errorf("the stack has lost the handler: %v", r.Err)
				}
				got := spans()
				if len(got) != 1 || len(got[0].Events) != 1 {
					t.Fatalf("the spans are %+v, want one with one event", got)
				}
				event := attrs(got[0].Events[0].Attributes)
				if got[0].Status != (sdktrace.Status{Code: codes.Error, Description: c.text}) || event["exception.message"] != c.text {
					t.Errorf("status %+v, event %v, want %s", got[0].Status, event, c.text)
				}
				if c.stack && !strings.Contains(event["exception.stacktrace"], "blunder") {
					t.Errorf("the stack in the event is\n%s\nwant the handler in it", event["exception.stacktrace"])
				}
			})
		})
	}
}

func blunder() error { panic("bug") }

type badUnwrap struct{}

func (badUnwrap) Error() string { return "bad" }
func (badUnwrap) Unwrap() error { panic("bad Unwrap") }

// badText is an error with a method that a nil pointer does not have.
type badText struct{ text string }

func (b *badText) Error() string { return b.text }

// Text that is not UTF-8, and errors that have none, do no harm.
func TestTraceOddText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		provider, spans := recording()
		errs := []error{
			errors.New("no \xff"), (*badText)(nil), dispatcher.Permanent(errors.New("\xfe")),
			fmt.Errorf("\xff %w", dispatcher.RetryAfter(0, nil).Holding("\xff")), nil,
			fmt.Errorf("\xff %w", dispatcher.Snooze(0)), nil,
		}
		n := 0
		var outcomes []dispatcher.Outcome
		cfg := config{
			Workers:    1,
			Events:     whenDone(func(r dispatcher.Result[string]) { outcomes = append(outcomes, r.Outcome) }),
			Middleware: tracing(provider),
		}
		d, drain := run(t, inMemory(), cfg, func(context.Context, job) error {
			n++
			return errs[n-1]
		})
		for i := range 5 {
			submit(t.Context(), t, d, job{Key: "chat \xff", ID: fmt.Sprint("\xff", i)})
			if err := d.WaitIdle(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		drain()
		f, s := dispatcher.Failed, dispatcher.Succeeded
		if want := []dispatcher.Outcome{f, f, f, s, s}; !slices.Equal(outcomes, want) {
			t.Errorf("the jobs are %v, want %v", outcomes, want)
		}
		got := spans()
		if len(got) != len(errs) {
			t.Fatalf("there are %d spans, want %d", len(got), len(errs))
		}
		for i, s := range got {
			if text := fmt.Sprintf("%+v", s); strings.ToValidUTF8(text, "") != text {
				t.Errorf("run %d is not UTF-8: %q", i+1, text)
			}
			if attrs(s.Attributes)["dispatcher.job.key"] != "chat \uFFFD" {
				t.Errorf("run %d has the attributes %v", i+1, s.Attributes)
			}
		}
		if got[0].Status.Description != "no \uFFFD" || got[1].Status.Description != "<nil>" {
			t.Errorf("status %+v and %+v", got[0].Status, got[1].Status)
		}
	})
}

// Without a span in the context of Submit, the link is to the span of Run, or there is none.
func TestTraceLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		provider, spans := recording()
		cfg, handler := config{Middleware: tracing(provider)}, func(context.Context, job) error { return nil }
		d, drain := run(t, inMemory(), cfg, handler)
		submit(t.Context(), t, d, job{})
		drain()
		if got := spans(); len(got) != 1 || len(got[0].Links) != 0 {
			t.Errorf("the spans are %+v, want one without links", got)
		}
		ctx, span := provider.Tracer("test").Start(t.Context(), "Run")
		d, drain = runWith(ctx, t, inMemory(), cfg, handler)
		submit(t.Context(), t, d, job{})
		drain()
		span.End()
		if got := spans(); len(got) != 2 || len(got[1].Links) != 1 || !got[1].Links[0].SpanContext.Equal(span.SpanContext()) {
			t.Errorf("the spans are %+v, want one with a link to the span of Run", got)
		}
	})
}

// A nil provider is the global one; spans that are not sampled do nothing.
func TestTraceGlobalAndUnsampled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		provider, spans := recording()
		defer otel.SetTracerProvider(otel.GetTracerProvider())
		otel.SetTracerProvider(provider)
		never := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))
		for _, p := range []trace.TracerProvider{nil, never} {
			d, drain := run(t, inMemory(), config{Middleware: tracing(p)}, func(_ context.Context, j job) error {
				if j.Payload == "panic" {
					panic("bug")
				}
				return errors.New("fails")
			})
			submit(t.Context(), t, d, job{})
			submit(t.Context(), t, d, job{Payload: "panic"})
			drain()
			if s := d.Stats(); s.Failed != 1 || s.Panicked != 1 {
				t.Errorf("stats: %+v, want one failed and one panicked", s)
			}
		}
		if n := len(spans()); n != 2 {
			t.Errorf("there are %d spans, want 2", n)
		}
	})
}
