package dispatcherotel

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/freqlimit/dispatcher"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Attributes of metrics.
const (
	nameKey    = attribute.Key("dispatcher.name")
	outcomeKey = attribute.Key("dispatcher.outcome")
)

// Source is implemented by [dispatcher.Dispatcher], whatever its payload. Stats must be safe
// for concurrent use.
type Source interface {
	Stats() dispatcher.Stats
}

// Observe makes metrics of the stats of s, which it reads once for each collection. Their
// attribute dispatcher.name is the name; dispatchers of one provider need different names. The
// dispatcher may run later, or may have stopped: then the last figures stay until Unregister
// is called on the registration.
//
// A nil provider means the global one. If s is nil or a nil pointer, the error is a
// [*dispatcher.ConfigError]; other errors come from the provider.
func Observe(provider metric.MeterProvider, name string, s Source) (metric.Registration, error) {
	if v := reflect.ValueOf(s); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, &dispatcher.ConfigError{Field: "source", Value: "nil", Reason: "must be given"}
	}
	m := newMetrics(meterOf(provider))
	if m.err != nil {
		return nil, fmt.Errorf("dispatcherotel: observe: %w", m.err)
	}
	attrs := newAttributes(name)
	reg, err := m.meter.RegisterCallback(func(_ context.Context, to metric.Observer) error {
		stats := s.Stats()
		for _, f := range m.figures {
			to.ObserveInt64(f.of, f.read(&stats), attrs.plain)
		}
		for outcome, n := range ended(&stats) {
			to.ObserveInt64(m.ended, n, attrs.of(outcome))
		}
		return nil
	}, m.observables()...)
	if err != nil {
		return nil, fmt.Errorf("dispatcherotel: observe: %w", err)
	}
	return reg, nil
}

// metrics are the instruments that are read when metrics are collected.
type metrics struct {
	meter   metric.Meter
	figures []figure
	ended   metric.Int64ObservableCounter
	err     error
}

// figure is an instrument that has no attributes of its own.
type figure struct {
	of   metric.Int64Observable
	read func(*dispatcher.Stats) int64
}

func newMetrics(meter metric.Meter) *metrics {
	m := &metrics{meter: meter}
	m.sum("dispatcher.jobs.waiting", "{job}", "Accepted jobs that no worker has begun.",
		func(s *dispatcher.Stats) int64 { return int64(s.Waiting) })
	m.sum("dispatcher.jobs.running", "{job}", "Jobs whose handlers have not returned.",
		func(s *dispatcher.Stats) int64 { return int64(s.Running) })
	m.sum("dispatcher.workers", "{worker}", "Goroutines that have been started for handlers.",
		func(s *dispatcher.Stats) int64 { return int64(s.Workers) })
	m.counter("dispatcher.jobs.submitted", "{job}", "Jobs accepted.",
		func(s *dispatcher.Stats) int64 { return int64(s.Submitted) })
	m.counter("dispatcher.jobs.retried", "{retry}", "Times that a job went back to run again.",
		func(s *dispatcher.Stats) int64 { return int64(s.Retried) })
	m.counter("dispatcher.jobs.replaced", "{payload}", "Payloads that took the place of another's in a job that waited.",
		func(s *dispatcher.Stats) int64 { return int64(s.Replaced) })
	m.ended = m.counter("dispatcher.jobs.ended", "{job}", "Jobs that have ended, by outcome.", nil)
	// One backend that is up and one that is not don't add up to anything.
	up, err := meter.Int64ObservableGauge("dispatcher.backend.up",
		metric.WithDescription("Whether the backend answers: 1 or 0."))
	m.add(up, err, backendUp)
	return m
}

// sum adds an instrument for what goes up and down.
func (m *metrics) sum(name, unit, description string, read func(*dispatcher.Stats) int64) {
	i, err := m.meter.Int64ObservableUpDownCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
	m.add(i, err, read)
}

// counter adds an instrument for what only goes up, unless read is nil.
func (m *metrics) counter(name, unit, description string, read func(*dispatcher.Stats) int64) metric.Int64ObservableCounter {
	i, err := m.meter.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
	m.add(i, err, read)
	return i
}

func (m *metrics) add(i metric.Int64Observable, err error, read func(*dispatcher.Stats) int64) {
	m.err = errors.Join(m.err, err)
	if read != nil {
		m.figures = append(m.figures, figure{i, read})
	}
}

func (m *metrics) observables() []metric.Observable {
	all := []metric.Observable{m.ended}
	for _, f := range m.figures {
		all = append(all, f.of)
	}
	return all
}

func backendUp(s *dispatcher.Stats) int64 {
	if s.Outage != nil {
		return 0
	}
	return 1
}

// ended returns how many jobs have ended with each outcome.
func ended(s *dispatcher.Stats) map[dispatcher.Outcome]int64 {
	return map[dispatcher.Outcome]int64{
		dispatcher.Succeeded: int64(s.Succeeded),
		dispatcher.Failed:    int64(s.Failed),
		dispatcher.Panicked:  int64(s.Panicked),
		dispatcher.Dropped:   int64(s.Dropped),
		dispatcher.Expired:   int64(s.Expired),
		dispatcher.Canceled:  int64(s.Canceled),
		dispatcher.Uncertain: int64(s.Uncertain),
	}
}

// attributes are made once, not for each measurement.
type attributes struct {
	name     string
	plain    metric.MeasurementOption
	outcomes [dispatcher.Uncertain + 1]metric.MeasurementOption
}

func newAttributes(name string) *attributes {
	a := &attributes{
		name:  name,
		plain: metric.WithAttributeSet(attribute.NewSet(nameKey.String(name))),
	}
	for o := range a.outcomes {
		a.outcomes[o] = a.make(dispatcher.Outcome(o))
	}
	return a
}

// of returns the attributes of what is counted by outcome.
func (a *attributes) of(o dispatcher.Outcome) metric.MeasurementOption {
	if o < 0 || int(o) >= len(a.outcomes) {
		return a.make(o)
	}
	return a.outcomes[o]
}

func (a *attributes) make(o dispatcher.Outcome) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(nameKey.String(a.name), outcomeKey.String(o.String())))
}

func meterOf(provider metric.MeterProvider) metric.Meter {
	if provider == nil {
		provider = otel.GetMeterProvider()
	}
	return provider.Meter(scope)
}
