package backend

import (
	"errors"
	"fmt"

	"github.com/freqlimit/dispatcher/gcra"
)

// ErrLimit is matched, through [errors.Is], by every error that [Validate]
// returns.
var ErrLimit = errors.New("invalid limit")

// ErrSameKey is matched by the error for a request that names one key twice.
var ErrSameKey = errors.New("a request may name a key only once: add up the costs in one limit, and give limits with other params their own key")

// Limit is one rate limit that a job is under.
type Limit struct {
	// Key names what is limited. It may hold any bytes. The empty key is the global
	// bucket.
	//
	// A key has one set of params at a time: those used last. Two rates for one
	// thing, such as 1 per second and 20 per minute, need two keys.
	Key string

	// Params is the rate.
	Params gcra.FreqLimitParams

	// Cost is how many events the job counts as: from 1 to the Burst of Params.
	// Zero means 1.
	Cost int
}

// Units returns Cost with its default applied.
func (l *Limit) Units() int {
	if l.Cost == 0 {
		return 1
	}
	return l.Cost
}

// LimitError says which limit of a request is wrong. It matches [ErrLimit] and
// whatever Err matches: [gcra.ErrParams], [gcra.ErrCost], [ErrSameKey], or the error of a
// [Checker].
type LimitError struct {
	Index int    // which of the request's limits
	Key   string // its key
	Err   error  // what is wrong with it
}

// Error implements error.
func (e *LimitError) Error() string {
	return fmt.Sprintf("invalid limits[%d], key %.100q: %v", e.Index, e.Key, e.Err)
}

// Is reports whether target is [ErrLimit].
func (e *LimitError) Is(target error) bool { return target == ErrLimit }

// Unwrap returns e.Err.
func (e *LimitError) Unwrap() error { return e.Err }

// Validate returns nil if a request may have these limits, else a
// [*LimitError]: params or a cost out of range, or a key that is named twice.
func Validate(limits []Limit) error {
	if len(limits) > fewLimits {
		return validateMany(limits)
	}
	for i := range limits {
		if err := limits[i].validate(i); err != nil {
			return err
		}
		for j := range limits[:i] {
			if limits[j].Key == limits[i].Key {
				return &LimitError{i, limits[i].Key, ErrSameKey}
			}
		}
	}
	return nil
}

// fewLimits is the largest number of limits for which comparing all pairs of keys is faster
// than a map.
const fewLimits = 32

func validateMany(limits []Limit) error {
	seen := make(map[string]struct{}, len(limits))
	for i := range limits {
		l := &limits[i]
		if err := l.validate(i); err != nil {
			return err
		}
		seen[l.Key] = struct{}{}
		if len(seen) <= i {
			return &LimitError{i, l.Key, ErrSameKey}
		}
	}
	return nil
}

// validate checks the params and the cost of the limit, which has index i.
func (l *Limit) validate(i int) error {
	err := l.Params.Validate()
	if err == nil {
		err = l.Params.ValidateCost(l.Units())
	}
	if err != nil {
		return &LimitError{i, l.Key, err}
	}
	return nil
}
