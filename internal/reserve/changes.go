package reserve

import (
	"slices"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/guard"
)

// An answer that is in flight may be older than a change to a limit, so it can't be trusted.

// ParamsChanged gives the new params of a limit to requests that have not been sent. If jobs wait
// for the limit, call Remeasure too, so that the backend measures its debt by the new params at once.
func (r *Reserver) ParamsChanged(lim backend.Limit) {
	r.Outdated(lim.Key)
	for _, s := range r.shards {
		if s.next != nil {
			s.next.renew(lim)
		}
	}
}

func (b *Batch) renew(lim backend.Limit) {
	for i := range b.requests {
		limits := b.requests[i].Limits
		for j := range limits {
			if limits[j].Key == lim.Key {
				limits[j].Params = lim.Params
			}
		}
	}
}

// Remeasure makes the backend measure the debt of a limit by its new params. It sends a request
// without a job, which is never granted.
func (r *Reserver) Remeasure(lim backend.Limit) {
	if r.cfg.Traits.InProcess {
		var d [1]backend.Decision
		// If it fails, the next job that asks does the same.
		_ = guard.Reserve(r.cfg.Run, r.cfg.Backend, []backend.Request{neverGranted(lim)}, d[:])
		return
	}
	r.shardOf(lim.Key).collect().addSample(lim)
}

// Outdated notes that answers in flight may be older than a change to these limits or, without
// keys, older than a Clear of the backend.
func (r *Reserver) Outdated(keys ...string) {
	for _, b := range r.batches {
		b.cleared = b.cleared || len(keys) == 0
		for _, key := range keys {
			if !slices.Contains(b.outdated, key) {
				b.outdated = append(b.outdated, key)
			}
		}
	}
}

// invalidateOutdated makes jobs ask again where the answers of a batch may be outdated.
func (r *Reserver) invalidateOutdated(now int64, b *Batch) {
	for _, key := range b.outdated {
		r.sched.Invalidate(now, key)
	}
	if !b.cleared {
		return
	}
	for i := range b.requests {
		if b.decisions[i].Granted {
			continue
		}
		for _, l := range b.requests[i].Limits {
			r.sched.Cleared(now, l.Key)
		}
		for _, key := range b.requests[i].HeldBy {
			r.sched.Cleared(now, key)
		}
	}
}
