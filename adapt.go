package dispatcher

import (
	"cmp"
	"log/slog"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/adaptive"
)

// Adapt makes limits find the rate that a server accepts, for servers that don't publish
// theirs. When handlers keep returning [RetryAfter] for a key, the limit with that key slows
// down, and then recovers. The limit's params are its highest rate, so set them to the most
// that the server may accept.
//
// The rate follows additive increase, multiplicative decrease, as in TCP (Chiu and Jain,
// "Analysis of the Increase and Decrease Algorithms for Congestion Avoidance in Computer
// Networks", 1989). After Refusals the rate is multiplied by Cut, and again at each refusal
// until it has recovered. It recovers at a constant speed: from zero to the params would
// take Recovery. Once a refusal has counted, those of jobs that started before the
// middle of its hold don't count. Only the rate changes: Burst stays.
//
// Each dispatcher adapts by itself and doesn't tell others that share the backend. Since a
// limit has the params that were used last, let only one dispatcher use such a limit, or make
// sure that all of them get the same refusals.
type Adapt struct {
	// Limits reports whether the limit with a key adapts. It must be quick and safe for
	// concurrent use; if it panics, that is logged. Defaults to all limits.
	Limits func(key string) bool

	// Refusals is the number of refusals before the first cut. They are forgotten
	// after Recovery without a refusal. Defaults to 3.
	Refusals int

	// Cut is the factor by which a refusal multiplies the rate, above 0 and below 1. Defaults
	// to 0.5.
	Cut float64

	// Least is the lowest rate, as a fraction of the rate of the params, above 0 and at most
	// 1. Defaults to 0.01.
	Least float64

	// Recovery is how long the rate takes from zero to the full rate, at least 1ms. If it is
	// shorter, the dispatcher notices sooner that the server accepts more, but exceeds the
	// server's limit more often. Defaults to 5 minutes.
	Recovery time.Duration
}

// Defaults of [Adapt].
const (
	DefaultAdaptRefusals = 3
	DefaultAdaptCut      = 0.5
	DefaultAdaptLeast    = 0.01
	DefaultAdaptRecovery = 5 * time.Minute
)

func (a Adapt) withDefaults() Adapt {
	a.Refusals = cmp.Or(a.Refusals, DefaultAdaptRefusals)
	a.Cut = cmp.Or(a.Cut, DefaultAdaptCut)
	a.Least = cmp.Or(a.Least, DefaultAdaptLeast)
	a.Recovery = min(cmp.Or(a.Recovery, DefaultAdaptRecovery), backend.Unlimited)
	return a
}

func (a Adapt) validate() error {
	switch {
	case a.Refusals < 1:
		return &ConfigError{Field: "Adapt.Refusals", Value: a.Refusals, Reason: "must not be negative"}
	case !(a.Cut > 0 && a.Cut < 1):
		return &ConfigError{Field: "Adapt.Cut", Value: a.Cut, Reason: "must be above 0 and below 1"}
	case !(a.Least > 0 && a.Least <= 1):
		return &ConfigError{Field: "Adapt.Least", Value: a.Least, Reason: "must be above 0 and at most 1"}
	case a.Recovery < time.Millisecond:
		return &ConfigError{Field: "Adapt.Recovery", Value: a.Recovery, Reason: "must be at least 1ms"}
	}
	return nil
}

// config returns how limits adapt, nil if they don't. The defaults must have been filled in.
func (a *Adapt) config() *adaptive.Config {
	if a == nil {
		return nil
	}
	return &adaptive.Config{Refusals: a.Refusals, Cut: a.Cut, MinFactor: a.Least, Recovery: a.Recovery}
}

// tellRefused tells the engine that a server refused a job because of some keys.
func (d *Dispatcher[T]) tellRefused(keys []string, r adaptive.Refusal) {
	for _, key := range keys {
		if d.adapts(key) {
			d.engine.Refused(key, r)
		}
	}
}

func (d *Dispatcher[T]) adapts(key string) bool {
	defer d.logPanic("Adapt.Limits", slog.String("key", key))
	return d.cfg.Adapt.Limits == nil || d.cfg.Adapt.Limits(key)
}
