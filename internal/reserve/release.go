package reserve

import (
	"cmp"
	"context"
	"log/slog"
	"slices"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/guard"
	"github.com/freqlimit/dispatcher/internal/schedule"
	"golang.org/x/sync/errgroup"
)

// Slot is a slot that a job was granted.
type Slot struct {
	limits []backend.Limit
	token  int64
}

// SlotOf returns the slot that a job was granted with a token. It leaves out limits whose params have
// changed so that they no longer allow the job's cost.
func (r *Reserver) SlotOf(j *schedule.Job, token int64) Slot {
	limits := r.sched.Request(j, nil)
	limits = slices.DeleteFunc(limits, func(l backend.Limit) bool { return l.Params.ValidateCost(l.Units()) != nil })
	return Slot{limits, token}
}

// maxReleases is how many slots are given back at once to a remote backend.
const maxReleases = 16

// GiveBack gives back slots that are not used, the latest first. It doesn't wait for a remote backend.
func (r *Reserver) GiveBack(slots ...Slot) {
	slots = slices.DeleteFunc(slots, func(s Slot) bool { return len(s.limits) == 0 })
	if r.cfg.Traits.Releaser == nil || len(slots) == 0 {
		return
	}
	// Some backends take back only their latest slot.
	slices.SortStableFunc(slots, func(a, b Slot) int { return cmp.Compare(b.token, a.token) })
	ctx, cancel := guard.CleanupContext(r.cfg.Run)
	if r.cfg.Traits.InProcess {
		defer cancel()
		for _, s := range slots {
			r.giveBack(ctx, s)
		}
		r.GivenBack(r.owner.Now(), slots)
		return
	}
	r.cfg.Go(func() error {
		defer cancel()
		var calls errgroup.Group
		calls.SetLimit(maxReleases)
		for _, s := range slots {
			calls.Go(func() error {
				r.giveBack(ctx, s)
				return nil
			})
		}
		_ = calls.Wait()
		r.owner.GivenBack(slots)
		return nil
	})
}

// giveBack gives back one slot. Any goroutine may call it.
func (r *Reserver) giveBack(ctx context.Context, s Slot) {
	release := r.cfg.Traits.Releaser.Release
	if err := guard.Call(func() error { return release(ctx, s.limits, s.token) }); err != nil {
		r.owner.Log(slog.LevelWarn, "dispatcher: backend could not take a slot back", slog.Any("error", err))
	}
}

// GivenBack makes slots that were given back available to waiting jobs.
func (r *Reserver) GivenBack(now int64, slots []Slot) {
	for _, s := range slots {
		r.sched.GivenBack(now, s.limits)
	}
}
