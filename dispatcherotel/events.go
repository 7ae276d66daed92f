package dispatcherotel

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/freqlimit/dispatcher"
	"go.opentelemetry.io/otel/metric"
)

// NewEvents returns events that record how late jobs start and how long their handlers take.
// Use them as Config.Events, or combine them with others by [dispatcher.JoinEvents]. Their
// attribute dispatcher.name is the name. A nil provider means the global one. Errors come from
// the provider.
//
// Measurements are made with contexts that carry the values of the context that was passed to
// Submit, so exemplars point to the submitter's span.
func NewEvents[T any](provider metric.MeterProvider, name string) (dispatcher.Events[T], error) {
	meter := meterOf(provider)
	late, err1 := meter.Float64Histogram("dispatcher.start.lateness",
		metric.WithUnit("s"),
		metric.WithDescription("How long after their slots jobs were started."),
		metric.WithExplicitBucketBoundaries(
			0.00001, 0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005,
			0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10))
	duration, err2 := meter.Float64Histogram("dispatcher.job.duration",
		metric.WithUnit("s"),
		metric.WithDescription("How long the handlers of jobs took, in the last run of each."),
		metric.WithExplicitBucketBoundaries(
			0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
			1, 2.5, 5, 10, 25, 50, 100))
	if err := errors.Join(err1, err2); err != nil {
		return dispatcher.Events[T]{}, fmt.Errorf("dispatcherotel: new events: %w", err)
	}
	attrs := newAttributes(name)
	return dispatcher.Events[T]{
		// For each run of a job.
		Started: func(ctx context.Context, job dispatcher.Job[T]) {
			late.Record(ctx, lateness(job.Slot()).Seconds(), attrs.plain)
		},
		// A job that did not end by its handler has no duration.
		Done: func(ctx context.Context, r dispatcher.Result[T]) {
			if !r.Started.IsZero() {
				duration.Record(ctx, r.Ended.Sub(r.Started).Seconds(), attrs.of(r.Outcome))
			}
		},
	}, nil
}

// lateness returns how long ago the slot of a job was.
func lateness(slot time.Time) time.Duration {
	if slot.IsZero() {
		return 0 // no dispatcher has started it
	}
	return max(0, time.Since(slot))
}
