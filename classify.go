package dispatcher

import (
	"context"
	"errors"
	"time"

	"github.com/freqlimit/dispatcher/internal/engine"
)

// classification says what a handler's error asks for.
type classification struct {
	disposition engine.Disposition
	delay       time.Duration
	after       *RetryAfterError // set for a RetryAfter: its keys are held in any case
	fails       bool             // it is a failure

	// The handler was cut off by the end of its context.
	cutOff bool
}

// classify classifies the error of a job's handler. If the context of handlers has ended, cut is its
// cause.
func classify(err error, retry *Retry, failures, holds int, serial bool, cut error) classification {
	after, ok := errors.AsType[*RetryAfterError](err)
	if !ok {
		after = nil
	}
	if isPermanent(err, after) {
		return classification{fails: true}
	}
	if after != nil {
		if retry.MaxHolds > 0 && holds >= retry.MaxHolds {
			return classification{after: after, fails: true}
		}
		return classification{disposition: engine.RetryFront, delay: after.Delay, after: after}
	}
	if snooze, ok := errors.AsType[*SnoozeError](err); ok && snooze != nil {
		return classification{disposition: engine.RetryLater, delay: snooze.Delay}
	}
	if cut != nil && (errors.Is(err, context.Canceled) || errors.Is(err, cut)) {
		return classification{cutOff: true}
	}
	v := classification{fails: true}
	if failures++; retry.worth(failures, err) {
		v.disposition, v.delay = engine.RetryLater, retry.Delay(failures)
		if serial {
			v.disposition = engine.RetryInPlace
		}
	}
	return v
}

// isPermanent reports whether an error is permanent, not counting the cause of after, which may be nil:
// a client may mark all its errors as permanent, even one for which the handler returns RetryAfter.
func isPermanent(err error, after *RetryAfterError) bool {
	permanent, ok := errors.AsType[*PermanentError](err)
	if !ok || permanent == nil {
		return false
	}
	if after == nil {
		return true
	}
	cause, _ := errors.AsType[*PermanentError](after.Err)
	return cause != permanent
}
