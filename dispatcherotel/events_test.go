package dispatcherotel_test

import (
	"context"
	"errors"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/dispatcherotel"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/trace"
)

// NewEvents records exact times in seconds, and as the duration the last run.
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

// Results that no dispatcher makes do no harm.
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
