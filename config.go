package dispatcher

import (
	"cmp"
	"log/slog"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/engine"
	"github.com/freqlimit/dispatcher/internal/panics"
	"github.com/freqlimit/dispatcher/internal/schedule"
)

// Order says which of the jobs that could start now starts first, after priority. A job that
// can't start never holds up one that can.
type Order int

const (
	// Fair starts the key that has been ready longest: a key with one job doesn't wait behind
	// a key with a thousand. It is the default.
	Fair Order = iota

	// FIFO starts the job that was submitted first.
	FIFO

	// Backlog starts the key with the most waiting jobs. Everything is done soonest, because
	// long queues, which their own limits slow down, start early.
	Backlog
)

// String returns the name of the order, in lower case.
func (o Order) String() string { return schedule.Order(o).String() }

// Defaults of [Config].
const (
	DefaultWorkers  = 16
	DefaultCapacity = 1 << 20
	DefaultHorizon  = engine.HorizonInProcess
	DefaultResident = 1 << 18

	DefaultStopTimeout = 10 * time.Second
)

// Config configures a [Dispatcher]. All fields are optional. [New] reads it once.
type Config[T any] struct {
	// Workers is how many handlers may run at once. Workers are started when they are needed,
	// and then kept. Defaults to 16.
	Workers int

	// Capacity is how many jobs may wait. Submit returns [ErrFull] for more. Jobs that run
	// again always have room. Defaults to 1,048,576.
	Capacity int

	// Limits returns the limits of a job whose own Limits are empty, each key once. Submit
	// calls it, so it must be quick and safe for concurrent use. The result must not be
	// changed later. Defaults to Params.
	Limits func(key string, payload T) []Limit

	// Params is the limit of each key, named after the key. It is a short form of Limits, and
	// must not be set together with it. Defaults to no limit: the dispatcher is then a pool of
	// workers.
	Params gcra.FreqLimitParams

	// Order decides which of the jobs that could start now starts first. Defaults to Fair.
	Order Order

	// Serial makes jobs of one key run one after another: the next one starts only when the
	// handler of the one before has returned. So messages to one chat never overtake each
	// other, not even in the network. A job that is to run again, except after [Snooze], still
	// counts as the one before. Defaults to false: jobs of a key start in order but may
	// overlap, and two that start at the same instant on two workers have no visible order.
	Serial bool

	// Horizon is how far ahead a slot may be taken, and a worker set aside for it. A timer
	// that is late by less, or a backend that answers within that time, costs a limit nothing
	// of its rate. From 1ns to 1s.
	//
	// A backend in another process is asked for a slot when half of the horizon is left,
	// together with all other slots up to the horizon.
	//
	// Defaults to 5ms for a backend in this process. For others it follows the measured round
	// trips: four times the mean plus eight times the mean deviation, but from 40ms to 1s. If
	// processes share a limit, all use the longest that one of them needs. So don't set it
	// where they do.
	Horizon time.Duration

	// CoarseTimers uses only the timers of package time, which on Linux are late by up to a
	// millisecond. By default the dispatcher waits for a slot with a kernel timer and, at the
	// end, by polling the clock, which may take up to 5% of a core. Starts are then some tens
	// of microseconds late. On other systems it makes no difference.
	CoarseTimers bool

	// Events are called when something happens to a job or the backend. Defaults to none.
	Events Events[T]

	// Retry is the policy for jobs whose handlers return an error. Defaults to no retries: the
	// jobs have failed.
	Retry Retry

	// Middleware wraps the handler: it is called for each run of a job. The first element is
	// the outermost, and nil elements are skipped. Defaults to none.
	Middleware []Middleware

	// Codec turns payloads into bytes and back, if the backend keeps jobs. Defaults to JSON.
	Codec Codec[T]

	// Resident is how many jobs wait in memory, if the backend keeps jobs. If more wait, those
	// that were submitted last stay with the backend until there is room, and are not
	// considered before: a backlog larger than memory does no harm. Defaults to 262,144.
	Resident int

	// AtMostOnce never runs a job again that may have run: one whose process ended while it had
	// the job. Such a job ends as [Uncertain]. It has no effect unless the backend keeps jobs.
	// Defaults to false: the job runs again.
	AtMostOnce bool

	// Adapt makes limits slow down when handlers return [RetryAfter], and recover afterwards.
	// Defaults to nil: limits keep their params.
	Adapt *Adapt

	// StopTimeout is how long running handlers may go on after the context of Run has ended,
	// before their own contexts end. If they, or Events, have not returned 5 s after that,
	// calls that wait for them return [ErrStuck]; so a handler that waits for its own
	// dispatcher ends too. A negative value ends the contexts at once. Defaults to 10s.
	StopTimeout time.Duration

	// Logger gets a line for each job that fails or panics, for a backend that goes down or
	// recovers, and for jobs that wait for a Run that has not been called. Defaults to
	// slog.Default at the time of the message. Use slog.New(slog.DiscardHandler) to log
	// nothing.
	Logger *slog.Logger
}

// withDefaults returns the config as it will be used, or a [*ConfigError].
func (c Config[T]) withDefaults(b backend.Backend) (Config[T], error) {
	if c.Workers == 0 {
		c.Workers = DefaultWorkers
	}
	if c.Capacity == 0 {
		c.Capacity = DefaultCapacity
	}
	c.Resident = cmp.Or(c.Resident, DefaultResident)
	c.StopTimeout = cmp.Or(c.StopTimeout, DefaultStopTimeout)
	if c.Adapt != nil {
		c.Adapt = new(c.Adapt.withDefaults())
	}
	return c, c.validate(b)
}

// engine returns the part of the config that the engine goes by.
func (c *Config[T]) engine(b backend.Backend, o engine.Owner) engine.Config {
	return engine.Config{
		Backend:      b,
		Owner:        o,
		Workers:      c.Workers,
		Capacity:     c.Capacity,
		Params:       c.Params,
		Order:        schedule.Order(c.Order),
		Serial:       c.Serial,
		Horizon:      c.Horizon,
		CoarseTimers: c.CoarseTimers,
		StopTimeout:  c.StopTimeout,
		Adaptive:     c.Adapt.config(),
		Logger:       c.Logger,
	}
}

func (c Config[T]) validate(b backend.Backend) error {
	switch {
	case c.Workers < 0:
		return &ConfigError{Field: "Workers", Value: c.Workers, Reason: "must not be negative"}
	case c.Capacity < 0:
		return &ConfigError{Field: "Capacity", Value: c.Capacity, Reason: "must not be negative"}
	case c.Resident < 0:
		return &ConfigError{Field: "Resident", Value: c.Resident, Reason: "must not be negative"}
	case c.Codec.Version < 0:
		return &ConfigError{Field: "Codec.Version", Value: c.Codec.Version, Reason: "must not be negative"}
	case (c.Codec.Encode == nil) != (c.Codec.Decode == nil):
		return &ConfigError{Field: "Codec", Value: c.Codec.Version, Reason: "must have both Encode and Decode, or neither"}
	case c.Order < Fair || c.Order > Backlog:
		return &ConfigError{Field: "Order", Value: int(c.Order), Reason: "must be Fair, FIFO or Backlog"}
	case c.Retry.validate("Retry") != nil:
		return c.Retry.validate("Retry")
	case c.Adapt != nil && c.Adapt.validate() != nil:
		return c.Adapt.validate()
	case c.Horizon < 0 || c.Horizon > time.Second:
		return &ConfigError{Field: "Horizon", Value: c.Horizon, Reason: "must be from 1ns to 1s"}
	case c.Params == gcra.FreqLimitParams{}:
		return nil
	case c.Limits != nil:
		return &ConfigError{Field: "Params", Value: c.Params, Reason: "must not be set beside Limits"}
	}
	if err := cmp.Or(c.Params.Validate(), backend.Check(b, []Limit{{Params: c.Params}})); err != nil {
		return &ConfigError{Field: "Params", Value: c.Params, Reason: err.Error(), Err: err}
	}
	return nil
}

// limitsOf returns the limits of a job that is submitted: nil means the limit of Params, if it is
// set, and NoLimits means none.
func (c *Config[T]) limitsOf(job *Job[T]) (limits []Limit, err error) {
	switch {
	case len(job.Limits) > 0 || isNoLimits(job.Limits):
		return job.Limits, nil
	case c.Limits == nil:
		return nil, nil
	}
	return c.callLimits(job.Key, job.Payload)
}

func (c *Config[T]) callLimits(key string, payload T) (limits []Limit, err error) {
	defer panics.Catch(&err)
	return c.Limits(key, payload), nil
}
