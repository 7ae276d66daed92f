package dispatcherprom

import (
	"errors"
	"reflect"

	"github.com/freqlimit/dispatcher"
	"github.com/prometheus/client_golang/prometheus"
)

// Source is implemented by [dispatcher.Dispatcher], whatever its payload. Stats must be safe
// for concurrent use.
type Source interface {
	Stats() dispatcher.Stats
}

// Collector is a [prometheus.Collector] for one dispatcher. Use [NewCollector]; registering
// the zero value is an error. It is safe for concurrent use and needs no goroutine, so there
// is nothing to close: just unregister it.
type Collector struct {
	source   Source
	metrics  []metric
	ended    *prometheus.Desc
	lateness *prometheus.Desc
}

var _ prometheus.Collector = (*Collector)(nil)

// metric is one that has no labels of its own.
type metric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(*dispatcher.Stats) float64
}

// NewCollector returns a collector of the metrics of s. Their label dispatcher is the name.
// Collectors in one registry need different names: registering a second one with the same name
// is an error, and so is a name that is not UTF-8. It panics if s is nil or a nil pointer.
//
// The dispatcher may run later, or may have stopped: then the last figures stay.
func NewCollector(name string, s Source) *Collector {
	if v := reflect.ValueOf(s); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		panic("dispatcherprom: NewCollector: the source is nil: must be given")
	}
	c := &Collector{source: s}
	labels := prometheus.Labels{"dispatcher": name}
	describe := func(metric, help string, variable ...string) *prometheus.Desc {
		return prometheus.NewDesc("dispatcher_"+metric, help, variable, labels)
	}
	gauge := func(name, help string, read func(*dispatcher.Stats) float64) {
		c.metrics = append(c.metrics, metric{describe(name, help), prometheus.GaugeValue, read})
	}
	counter := func(name, help string, read func(*dispatcher.Stats) float64) {
		c.metrics = append(c.metrics, metric{describe(name, help), prometheus.CounterValue, read})
	}
	gauge("jobs_waiting", "Accepted jobs that no worker has begun.",
		func(s *dispatcher.Stats) float64 { return float64(s.Waiting) })
	gauge("jobs_running", "Jobs whose handlers have not returned.",
		func(s *dispatcher.Stats) float64 { return float64(s.Running) })
	gauge("workers", "Goroutines that have been started for handlers.",
		func(s *dispatcher.Stats) float64 { return float64(s.Workers) })
	gauge("backend_up", "Whether the backend answers: 1 or 0.", up)
	counter("jobs_submitted_total", "Jobs accepted.",
		func(s *dispatcher.Stats) float64 { return float64(s.Submitted) })
	counter("jobs_retried_total", "Times that a job went back to run again.",
		func(s *dispatcher.Stats) float64 { return float64(s.Retried) })
	counter("jobs_replaced_total", "Payloads that took the place of another's in a job that waited.",
		func(s *dispatcher.Stats) float64 { return float64(s.Replaced) })
	c.ended = describe("jobs_ended_total", "Jobs that have ended, by outcome.", "outcome")
	c.lateness = describe("start_lateness_seconds", "How long after their slots jobs were started.")
	return c
}

// errZero is the error of a Collector that NewCollector has not made.
var errZero = errors.New("dispatcherprom: the Collector is zero: must be made by NewCollector")

// Describe implements [prometheus.Collector].
func (c *Collector) Describe(to chan<- *prometheus.Desc) {
	if c.source == nil {
		to <- prometheus.NewInvalidDesc(errZero)
		return
	}
	for _, m := range c.metrics {
		to <- m.desc
	}
	to <- c.ended
	to <- c.lateness
}

// Collect implements [prometheus.Collector]: it reads the source once.
func (c *Collector) Collect(to chan<- prometheus.Metric) {
	if c.source == nil {
		to <- prometheus.NewInvalidMetric(prometheus.NewInvalidDesc(errZero), errZero)
		return
	}
	s := c.source.Stats()
	for _, m := range c.metrics {
		to <- prometheus.MustNewConstMetric(m.desc, m.kind, m.read(&s))
	}
	for outcome, n := range map[dispatcher.Outcome]uint64{
		dispatcher.Succeeded: s.Succeeded,
		dispatcher.Failed:    s.Failed,
		dispatcher.Panicked:  s.Panicked,
		dispatcher.Dropped:   s.Dropped,
		dispatcher.Expired:   s.Expired,
		dispatcher.Canceled:  s.Canceled,
		dispatcher.Uncertain: s.Uncertain,
	} {
		to <- prometheus.MustNewConstMetric(c.ended, prometheus.CounterValue, float64(n), outcome.String())
	}
	to <- histogram(c.lateness, &s.Lateness)
}

func up(s *dispatcher.Stats) float64 {
	if s.Outage != nil {
		return 0
	}
	return 1
}

// histogram makes the counts of ranges into counts of all times up to each bound.
func histogram(desc *prometheus.Desc, h *dispatcher.Histogram) prometheus.Metric {
	upTo, n := make(map[float64]uint64, len(h.Bounds)), uint64(0)
	for i, bound := range h.Bounds {
		n += h.Counts[i]
		upTo[bound.Seconds()] = n
	}
	return prometheus.MustNewConstHistogram(desc, h.Count(), h.Sum.Seconds(), upTo)
}
