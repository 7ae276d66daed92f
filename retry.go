package dispatcher

import (
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/freqlimit/dispatcher/backend"
)

// Retry is what becomes of a job whose handler returns an error: up to MaxAttempts
// runs, with a time between them that grows by Multiplier from Initial to Max, each
// longer or shorter by up to the part Jitter of it, at random. The zero value does
// not retry.
//
// While a job waits to run again it holds no worker, and the other jobs of its key
// go on. With Config.Serial they do not, whatever their priority: the next one starts when
// this one has ended.
//
// [Permanent] errors are not retried; [RetryAfter] and [Snooze] do not count. A panic
// is not retried, but see [Recover].
type Retry struct {
	// MaxAttempts is how often the handler may fail, the first run included: 1 does
	// not retry. It must be given if anything else is, but for MaxHolds.
	MaxAttempts int

	// MaxHolds is how often the job runs again because its handler has returned a
	// [RetryAfter]. The next one fails the job, with a [*HoldsError]; its keys are
	// held all the same. Defaults to 0: there is no bound.
	MaxHolds int

	Initial    time.Duration // before the second run; defaults to 1s, or Max if that is shorter
	Max        time.Duration // the longest, before jitter; defaults to 1m, or Initial if that is longer
	Multiplier float64       // at least 1; defaults to 2

	// Jitter is from 0 to 1; defaults to 0.5: from half to one and a half times as
	// long. A negative value is none.
	Jitter float64

	// If says which errors are worth another run. It must be quick and safe for
	// concurrent use; a panic counts as the handler's. Defaults to all.
	If func(error) bool
}

// Defaults of [Retry].
const (
	DefaultRetryInitial    = time.Second
	DefaultRetryMax        = time.Minute
	DefaultRetryMultiplier = 2
	DefaultRetryJitter     = 0.5
)

func (r Retry) validate(field string) error {
	wrong := func(name string, value any, reason string) error {
		return &ConfigError{Field: field + "." + name, Value: value, Reason: reason}
	}
	switch {
	case r.MaxAttempts < 0:
		return wrong("MaxAttempts", r.MaxAttempts, "must not be negative")
	case r.MaxHolds < 0:
		return wrong("MaxHolds", r.MaxHolds, "must not be negative")
	case r.Initial < 0:
		return wrong("Initial", r.Initial, "must not be negative")
	case r.Max < 0:
		return wrong("Max", r.Max, "must not be negative")
	case r.Max != 0 && r.Max < r.Initial:
		return wrong("Max", r.Max, "must not be below Initial")
	case r.Multiplier != 0 && !(r.Multiplier >= 1): // NaN too
		return wrong("Multiplier", r.Multiplier, "must be at least 1")
	case !(r.Jitter <= 1):
		return wrong("Jitter", r.Jitter, "must be at most 1")
	case r.MaxAttempts == 0 && (r.Initial != 0 || r.Max != 0 || r.Multiplier != 0 || r.Jitter != 0 || r.If != nil):
		return wrong("MaxAttempts", r.MaxAttempts, "must be at least 1 where other fields of "+field+" are set")
	}
	return nil
}

// worth reports whether a job is to run again after so many failures, the last of
// them with err.
func (r *Retry) worth(failures int, err error) bool {
	return failures < r.MaxAttempts && (r.If == nil || r.If(err))
}

// Delay returns how long to wait after a job has failed so many times, from 1 on.
// It is random if there is Jitter. It is safe for concurrent use.
func (r Retry) Delay(failures int) time.Duration {
	b := backoff.ExponentialBackOff{
		InitialInterval:     r.Initial,
		MaxInterval:         r.Max,
		Multiplier:          r.Multiplier,
		RandomizationFactor: r.Jitter,
	}
	switch {
	case b.InitialInterval == 0 && b.MaxInterval == 0:
		b.InitialInterval, b.MaxInterval = DefaultRetryInitial, DefaultRetryMax
	case b.InitialInterval == 0:
		b.InitialInterval = min(DefaultRetryInitial, b.MaxInterval)
	case b.MaxInterval == 0:
		b.MaxInterval = max(DefaultRetryMax, b.InitialInterval)
	}
	if b.Multiplier == 0 {
		b.Multiplier = DefaultRetryMultiplier
	}
	switch {
	case b.RandomizationFactor == 0:
		b.RandomizationFactor = DefaultRetryJitter
	case b.RandomizationFactor < 0:
		b.RandomizationFactor = 0
	}
	// So that nothing overflows, whatever the jitter adds.
	b.InitialInterval = min(b.InitialInterval, backend.Unlimited/4)
	b.MaxInterval = min(b.MaxInterval, backend.Unlimited/4)
	b.Reset()
	delay := b.NextBackOff()
	// Where it has reached the longest, more of the same change nothing.
	for n := 1; n < min(failures, maxSteps); n++ {
		delay = b.NextBackOff()
	}
	return delay
}

// maxSteps is how often an interval can grow before it is as long as any.
const maxSteps = 1000
