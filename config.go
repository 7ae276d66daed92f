package dispatcher

import (
	"cmp"
	"log/slog"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/schedule"
)

// Order says which of the jobs that may start now starts first, after priority.
// It decides only among jobs whose limits are all open: no order ever holds one
// up for another that can't start.
type Order int

const (
	// Fair is the key that has been ready longest: a key with one job does not
	// wait behind a key with a thousand. The default.
	Fair Order = iota

	// FIFO is the job that was submitted first.
	FIFO

	// Backlog is the key with the most jobs waiting. All work is done soonest:
	// a long lane, which its own limit holds to a pace, starts early.
	Backlog
)

// String returns the name of the order, in lower case.
func (o Order) String() string { return schedule.Order(o).String() }

// Defaults of [Config].
const (
	DefaultWorkers  = 16
	DefaultCapacity = 1 << 20
	DefaultHorizon  = 5 * time.Millisecond

	DefaultStopTimeout = 10 * time.Second
)

// Config is optional in every field. It is read once, by [New].
type Config[T any] struct {
	// Workers is how many handlers may run at once. Workers are started as they
	// are needed and then kept. Defaults to 16.
	Workers int

	// Capacity is how many jobs may wait. Submit returns ErrFull to more. Jobs
	// that run again always have room. Defaults to 1,048,576.
	Capacity int

	// Limits gives the limits of a job that brings none, each key once. It is
	// called by Submit, so it must be quick and safe for concurrent use. The
	// result must not be changed later. Defaults to Params.
	Limits func(key string, payload T) []Limit

	// Params is the limit of every key, under the key's own name. It is for the
	// simple case and may not be set beside Limits. Defaults to no limit: then
	// the dispatcher is a plain pool of workers.
	Params gcra.FreqLimitParams

	// Order is which of the jobs that may start now goes first. Defaults to Fair.
	Order Order

	// Serial makes jobs of one key run one after another: the next one starts
	// only when the handler of the one before has returned. So messages to one
	// chat never overtake each other, not even in the network. A job that is to run
	// again, but for [Snooze], is still the one before. Defaults to
	// false: jobs of a key start in order, but may overlap, and two that start
	// at one instant, on two workers, have no order that anyone could see.
	Serial bool

	// Horizon is how far ahead of time a slot may be taken, and a worker set
	// aside for it: a timer that is late by less, or a backend that takes less to
	// answer, costs a limit nothing of its rate. From 1ns to 1s.
	//
	// A backend in another process is asked for a slot when it is half of that
	// ahead, and so for all that come in the other half at once.
	//
	// Defaults to 5ms for a backend in this process. For others it follows the
	// round trips, as they are measured: four times the mean and eight times
	// the mean deviation, but from 40ms to 1s.
	Horizon time.Duration

	// CoarseTimers makes do with the timers of package time, which on Linux are
	// late by up to a millisecond. By default the last stretch before a slot is
	// waited for with a timer of the kernel, and by watching the clock, which may
	// take up to 5% of one core: then starts are some tens of microseconds late.
	// On other systems it makes no difference.
	CoarseTimers bool

	// Events is called when something happens to a job or to the backend. Defaults to
	// nobody.
	Events Events[T]

	// Retry is what becomes of jobs whose handlers return an error. Defaults to
	// nothing: they have failed.
	Retry Retry

	// Adapt makes limits slow down while handlers are told to come again later, and creep
	// back. Defaults to nothing: a limit has the params that it was given.
	Adapt *Adapt

	// StopTimeout is how long the handlers that run when the context of Run ends may go on
	// before their own contexts end. If they, or Events, have not returned 5 s after that,
	// calls that wait for them return [ErrStuck], so that a handler which waits for its own
	// dispatcher ends too. A negative one ends the contexts at once. Defaults to 10s.
	StopTimeout time.Duration

	// Logger gets a line for each job that fails or panics, for a backend that goes down or
	// comes back, and for jobs that wait for a Run which has not been called. Defaults to
	// slog.Default, as it is at the time; slog.New(slog.DiscardHandler) writes nothing.
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
	c.StopTimeout = cmp.Or(c.StopTimeout, DefaultStopTimeout)
	if c.Adapt != nil {
		c.Adapt = new(c.Adapt.withDefaults())
	}
	return c, c.validate(b)
}

func (c Config[T]) validate(b backend.Backend) error {
	switch {
	case c.Workers < 0:
		return &ConfigError{Field: "Workers", Value: c.Workers, Reason: "must not be negative"}
	case c.Capacity < 0:
		return &ConfigError{Field: "Capacity", Value: c.Capacity, Reason: "must not be negative"}
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

// limitsOf returns the limits of a job with the given ones; nil if it is under
// Config.Params, or none, which is what nil was given for.
func (d *Dispatcher[T]) limitsOf(key string, payload T, limits []Limit) ([]Limit, error) {
	if limits == nil {
		if d.cfg.Limits == nil {
			return nil, nil // Params have been checked by New
		}
		var err error
		if limits, err = d.cfg.callLimits(key, payload); err != nil {
			return nil, err
		}
	}
	return limits, backend.Check(d.backend, limits)
}

func (c *Config[T]) callLimits(key string, payload T) (limits []Limit, err error) {
	defer catch(&err)
	return c.Limits(key, payload), nil
}
