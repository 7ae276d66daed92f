package dispatcher

import (
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/freqlimit/dispatcher/backend"
)

// Retry is a policy for jobs whose handlers return an error. A job runs up to MaxAttempts
// times. The delay between runs grows by Multiplier from Initial to Max, and is varied at
// random by Jitter. The zero value does not retry.
//
// While a job waits to run again, it holds no worker, and the other jobs of its key go on.
// With Config.Serial they wait, whatever their priority: the next one starts when this one has
// ended.
//
// [Permanent] errors are not retried. [RetryAfter] and [Snooze] are not failures and don't
// count. A panic is not retried, but see [Recover].
type Retry struct {
	// MaxAttempts is how many times the handler may fail, the first run included: 1 means no
	// retries. It is required if any other field except MaxHolds is set.
	MaxAttempts int

	// MaxHolds is how many times a job may run again because its handler returned a
	// [RetryAfter]. The next one fails the job with a [*HoldsError], but still holds its keys.
	// Defaults to 0: no bound.
	MaxHolds int

	Initial    time.Duration // before the second run; defaults to 1s, or Max if that is shorter
	Max        time.Duration // the longest, before jitter; defaults to 1m, or Initial if that is longer
	Multiplier float64       // at least 1; defaults to 2

	// Jitter is from 0 to 1. It defaults to 0.5: from half to one and a half times as long. A
	// negative value means none.
	Jitter float64

	// If reports whether an error is worth another run. It must be quick and safe for
	// concurrent use. If it panics, the job ends as [Panicked]. Defaults to all errors.
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

// worth reports whether a job should run again after this many failures, the last with err.
func (r *Retry) worth(failures int, err error) bool {
	return failures < r.MaxAttempts && (r.If == nil || r.If(err))
}

// Delay returns the delay after a number of failures, from 1 on. It is random if there is
// Jitter. It is safe for concurrent use.
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
	// Once the delay is the longest, further steps change nothing.
	for n := 1; n < min(failures, maxSteps); n++ {
		delay = b.NextBackOff()
	}
	return delay
}

// maxSteps is how often an interval can grow before it is as long as any.
const maxSteps = 1000

// RetryAfter returns an error with which a handler has its job run again, but not before d has
// passed: what a server means by "429 Too Many Requests, Retry-After". [ParseRetryAfter] reads
// that header. The cause is the reason, such as the server's answer. It may be nil. It is part
// of the error's text, is logged with it, and is found by [errors.Is] and [errors.As].
//
// The job goes back to the front of its key: until it starts again, no job of its priority or
// a lower one starts there, and with Config.Serial no job at all. The key is held for d: no
// job of a held key starts, and no job under a limit with that key, in any dispatcher that
// shares the backend. See [backend.Watcher] and [backend.Request] for how they learn of it. A
// hold only extends. Other keys go on. [RetryAfterError.Holding] holds other keys instead of
// the job's. While the job waits, it holds no worker.
//
// It is not a failure, and doesn't count for Retry.MaxAttempts. Retry.MaxHolds bounds how many
// times a job may do this. If d is zero or less, the job runs again at once.
//
// A held key may be one that no job or limit has yet. The dispatcher logs that, at most once a
// minute, because the key may be misspelled.
//
// A handler may wrap the error, or join it with others. If an error contains several of them,
// [Permanent] wins over RetryAfter, and RetryAfter over [Snooze]. What the cause says about
// retries doesn't count.
func RetryAfter(d time.Duration, cause error) *RetryAfterError {
	return &RetryAfterError{Delay: d, Err: cause}
}

// Snooze returns an error with which a handler has its job run again after d. No other job
// waits for it: until then it isn't in the queue of its key and holds no worker. Then it goes
// before the jobs that were submitted after it. It is not a failure: see [RetryAfter]. If d is
// zero or less, the job runs again at once.
func Snooze(d time.Duration) error { return &SnoozeError{Delay: d} }

// Permanent wraps an error that retrying won't fix: the job is not retried. Permanent(nil) is
// nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &PermanentError{Err: err}
}
