package dispatcherotel

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/freqlimit/dispatcher"
	"go.opentelemetry.io/otel/metric"
)

// Observer records how late jobs start and how long their handlers take. Use
// [NewObserver], and set Config.Observer to it. It is safe for concurrent use.
//
// Measurements are made with contexts that have the values of the one that was passed
// to Submit: exemplars point to the submitter's span.
type Observer[T any] struct {
	lateness metric.Float64Histogram
	duration metric.Float64Histogram
	attrs    *attributes
}

var _ dispatcher.Observer[any] = (*Observer[any])(nil)

// NewObserver returns an observer whose metrics have the name as the attribute
// dispatcher.name. A nil provider is the global one. The errors are the provider's.
func NewObserver[T any](provider metric.MeterProvider, name string) (*Observer[T], error) {
	meter := meterOf(provider)
	lateness, err1 := meter.Float64Histogram("dispatcher.start.lateness",
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
		return nil, fmt.Errorf("dispatcherotel: new observer: %w", err)
	}
	return &Observer[T]{lateness: lateness, duration: duration, attrs: newAttributes(name)}, nil
}

// Started records how late the job is: for each of its runs.
func (o *Observer[T]) Started(ctx context.Context, job dispatcher.Job[T]) {
	o.lateness.Record(ctx, lateness(job).Seconds(), o.attrs.plain)
}

// Retried does nothing: [Observe] counts retries.
func (o *Observer[T]) Retried(context.Context, dispatcher.Job[T], error, time.Duration) {}

// Ended records how long the last run of the handler took. A job that did not end by
// its handler has no duration.
func (o *Observer[T]) Ended(ctx context.Context, r dispatcher.Result[T]) {
	if r.Started.IsZero() {
		return
	}
	o.duration.Record(ctx, r.Ended.Sub(r.Started).Seconds(), o.attrs.of(r.Outcome))
}

// lateness returns how long after its slot a job is.
func lateness[T any](job dispatcher.Job[T]) time.Duration {
	slot := job.Slot()
	if slot.IsZero() {
		return 0 // no dispatcher has started it
	}
	return max(0, time.Since(slot))
}
