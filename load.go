package dispatcher

import (
	"context"
	"fmt"
	"time"

	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/schedule"
)

// Load counts waiting jobs by what the first job of their key and priority waits for.
type Load struct {
	Ready   int // for a worker, or for nothing: they have their slots
	Limited int // for a limit
	Held    int // for the end of a hold, of their key or of a limit
	Dated   int // for an instant of their own: NotBefore, Snooze or a retry
	Paused  int // for Resume or ResumeKey
	Behind  int // for a job of their key that is to run again or, with Config.Serial, runs
}

// Waiting returns the number of all these jobs.
func (l Load) Waiting() int {
	return l.Ready + l.Limited + l.Held + l.Dated + l.Paused + l.Behind
}

// Load says what the jobs that were submitted before the call wait for. It counts the jobs
// that are there at one instant between the call and its return. What each of them waits for
// is looked up in the same period, so a limit that one has just used up may count for others.
//
// Load looks at every key, at about 0.5 us each, in the scheduling goroutine: a few keys at a
// time, so that it delays no start by more than a fraction of a millisecond. Concurrent calls
// of Load, Busiest and Bottlenecks share the work. For the mere number of jobs,
// [Dispatcher.Stats] is cheaper.
//
// If Run has not been called, Load waits for it. If ctx ends first, the error matches its
// cause. Once Run stops it returns [ErrClosed].
func (d *Dispatcher[T]) Load(ctx context.Context) (Load, error) {
	if err := d.check(ctx); err != nil {
		return Load{}, err
	}
	found, err := d.engine.Inspect(ctx, 0, 0)
	if err != nil {
		return Load{}, fmt.Errorf("dispatcher: load: %w", err)
	}
	load := Load{Ready: found.Scheduled}
	for is, n := range found.Waiting {
		*load.of(schedule.WaitReason(is)) += n
	}
	return load, nil
}

func (l *Load) of(is schedule.WaitReason) *int {
	switch is {
	case schedule.ReasonLimited:
		return &l.Limited
	case schedule.ReasonHeld:
		return &l.Held
	case schedule.ReasonDated:
		return &l.Dated
	case schedule.ReasonPaused:
		return &l.Paused
	case schedule.ReasonBehind:
		return &l.Behind
	default:
		return &l.Ready
	}
}

// KeyLoad counts the jobs of one key.
type KeyLoad struct {
	Key     string
	Waiting int // jobs that have no slot yet
	Running int // jobs that have their slots, and have not ended
}

// Busiest returns up to n keys with the most waiting jobs, the busiest first; keys with equal
// numbers are sorted by name. Keys without waiting jobs are left out. For the cost and the
// error see [Dispatcher.Load]. If n is above 256, the caller's goroutine sorts all keys.
func (d *Dispatcher[T]) Busiest(ctx context.Context, n int) ([]KeyLoad, error) {
	if err := d.check(ctx); err != nil {
		return nil, err
	}
	found, err := d.engine.Inspect(ctx, n, 0)
	if err != nil {
		return nil, fmt.Errorf("dispatcher: busiest: %w", err)
	}
	var keys []KeyLoad
	for _, k := range found.Keys(n) {
		keys = append(keys, KeyLoad(k))
	}
	return keys, nil
}

// Bottleneck says how much time a limit has cost.
type Bottleneck struct {
	Key    string
	Params gcra.FreqLimitParams

	// Lost is how long jobs have waited for this limit alone. Only the first job of a key and
	// priority counts, and only while a worker was free for it; with Config.Serial, only the
	// first job of a key under the same limits. Waiting for a worker, a hold, a date or a
	// pause doesn't count. If more jobs wait for limits than workers are free, each counts for
	// its share of the free workers, of Config.Workers jobs at most: with a quarter of the
	// workers free, a second of waiting counts as a quarter of a second for each of many jobs.
	//
	// These jobs would have gained Lost without the limit, if no other limit had delayed them.
	// The jobs behind them would have gained too. Lost stops at 292 years, which a million
	// waiting jobs reach in three hours.
	Lost time.Duration
}

// Bottlenecks returns up to n limits that have cost the most time since Run was called, the
// most costly first; equal ones are sorted by name. Limits that have cost less than a
// microsecond are left out. Of the limits that have no jobs and no debt, only the 1,024 most
// costly are remembered. For the cost and the error see [Dispatcher.Load].
func (d *Dispatcher[T]) Bottlenecks(ctx context.Context, n int) ([]Bottleneck, error) {
	if err := d.check(ctx); err != nil {
		return nil, err
	}
	found, err := d.engine.Inspect(ctx, 0, n)
	if err != nil {
		return nil, fmt.Errorf("dispatcher: bottlenecks: %w", err)
	}
	var limits []Bottleneck
	for _, b := range found.Limits(n) {
		limits = append(limits, Bottleneck(b))
	}
	return limits, nil
}
