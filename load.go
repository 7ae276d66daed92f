package dispatcher

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/schedule"
)

// Load is how many jobs wait, by what the first of their key and priority waits for.
type Load struct {
	Ready   int // for a worker, or for nothing: they have their slots
	Limited int // for a limit
	Held    int // for the end of a hold, of their key or of a limit
	Dated   int // for an instant of their own: NotBefore, Snooze or a retry
	Paused  int // for Resume or ResumeKey
	Behind  int // for a job of their key that is to run again or, with Config.Serial, runs
}

// Waiting is how many there are.
func (l Load) Waiting() int {
	return l.Ready + l.Limited + l.Held + l.Dated + l.Paused + l.Behind
}

// Load says what the jobs wait for that have been submitted before. It counts those of one
// instant, between the call and its return. What they wait for is looked up within the same
// time: a limit that one of them has used up meanwhile counts for the others.
//
// It looks at every key, some 0.5 us each, in the goroutine that schedules: a few keys at a
// time, so that it makes no start late by more than a fraction of a millisecond. Calls of
// Load, Busiest and Bottlenecks at one time share a look. For jobs as such
// [Dispatcher.Stats] costs next to nothing.
//
// It waits for Run, if that has not been called. The error is that of ctx, or
// [ErrClosed] once Run stops.
func (d *Dispatcher[T]) Load(ctx context.Context) (Load, error) {
	if err := d.check(ctx); err != nil {
		return Load{}, err
	}
	found, err := d.lookFor(ctx, 0, 0)
	if err != nil {
		return Load{}, fmt.Errorf("dispatcher: load: %w", err)
	}
	return found.load, nil
}

func (l *Load) of(is schedule.Standing) *int {
	switch is {
	case schedule.StandingLimited:
		return &l.Limited
	case schedule.StandingHeld:
		return &l.Held
	case schedule.StandingDated:
		return &l.Dated
	case schedule.StandingPaused:
		return &l.Paused
	case schedule.StandingBehind:
		return &l.Behind
	default:
		return &l.Ready
	}
}

// KeyLoad is what there is to do for one key.
type KeyLoad struct {
	Key     string
	Waiting int // jobs that have no slot yet
	Running int // jobs that have their slots, and have not ended
}

// compare has the busiest come first, and of those with as many jobs the first by name.
func (k KeyLoad) compare(o KeyLoad) int {
	return cmp.Or(cmp.Compare(o.Waiting, k.Waiting), cmp.Compare(k.Key, o.Key))
}

// Busiest returns the keys for which most jobs wait, the busiest first, n at most; of
// those with as many, the first by name. Keys for which none waits are left out. For its
// cost, the instant that it is of, and its error see [Dispatcher.Load]; with an n beyond
// 256 the caller sorts all keys.
func (d *Dispatcher[T]) Busiest(ctx context.Context, n int) (iter.Seq[KeyLoad], error) {
	if err := d.check(ctx); err != nil {
		return slices.Values([]KeyLoad{}), err
	}
	found, err := d.lookFor(ctx, n, 0)
	if err != nil {
		return slices.Values([]KeyLoad{}), fmt.Errorf("dispatcher: busiest: %w", err)
	}
	return slices.Values(found.keys.first(n)), nil
}

// Bottleneck is what a limit has cost.
type Bottleneck struct {
	Key    string
	Params gcra.FreqLimitParams

	// Lost is for how long jobs have waited for the limit alone: each job while it was the
	// first of its key and priority and a worker was free for it, up to now. With
	// Config.Serial only the first job of a key under the same limits counts. To wait for a
	// worker, a hold, a date or a pause costs nothing. While jobs that wait for limits
	// outnumber the free workers, each counts for its share of them, where no more than
	// Config.Workers jobs share: with a quarter of the workers free, a second that many jobs
	// wait costs a quarter of a second for each.
	//
	// That is what these jobs would have gained without the limit, if no other limit had
	// kept them then. Those behind them would have gained too. It ends at 292 years, which
	// a million jobs that wait reach in three hours.
	Lost time.Duration
}

// Bottlenecks returns the limits that have cost most time since Run was called, the one
// with the most first, n at most; of those that cost the same, the first by name. Limits
// that have cost less than a microsecond are left out. Of those that no job is under and
// whose debt is paid, it knows the 1,024 that have cost most. For its cost and its error
// see [Dispatcher.Load].
func (d *Dispatcher[T]) Bottlenecks(ctx context.Context, n int) (iter.Seq[Bottleneck], error) {
	if err := d.check(ctx); err != nil {
		return slices.Values([]Bottleneck{}), err
	}
	found, err := d.lookFor(ctx, 0, n)
	if err != nil {
		return slices.Values([]Bottleneck{}), fmt.Errorf("dispatcher: bottlenecks: %w", err)
	}
	return slices.Values(found.limits.first(n)), nil
}

// compare has what has cost most come first, and of those that cost the same the first by
// name.
func (b Bottleneck) compare(o Bottleneck) int {
	return cmp.Or(cmp.Compare(o.Lost, b.Lost), cmp.Compare(b.Key, o.Key))
}
