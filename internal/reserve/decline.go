package reserve

import (
	"slices"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/schedule"
)

// Decline keeps up to n of these jobs, for which the backend is being asked, from starting, the latest
// first. It returns how many. Jobs whose requests have not been sent wait again at once, the others
// when the answer arrives.
func (r *Reserver) Decline(now int64, n int, these func(j *schedule.Job) bool) (declined int) {
	for j := range r.Jobs {
		if declined == n {
			break
		}
		if these(j) && !r.sched.IsDeclined(j) {
			r.sched.Decline(j)
			declined++
		}
	}
	for _, s := range slices.Clone(r.shards) {
		r.unsend(now, s)
	}
	return declined
}

// unsend removes the requests of declined jobs from the batch that a shard is collecting.
func (r *Reserver) unsend(now int64, s *shard) {
	b := s.next
	if b == nil {
		return
	}
	s.next = nil
	kept := &Batch{shard: s, heldBy: b.heldBy}
	for i, j := range b.jobs {
		if j != nil && r.sched.IsDeclined(j) {
			r.unasked(now, j)
			continue
		}
		if j == nil {
			if kept.samples == nil {
				kept.samples = make(map[string]int)
			}
			kept.samples[b.requests[i].Limits[0].Key] = len(kept.jobs)
		}
		kept.jobs = append(kept.jobs, j)
		kept.requests = append(kept.requests, b.requests[i])
	}
	if len(kept.jobs) > 0 {
		s.next = kept
	}
}

// unasked puts back a job for which the backend was not asked.
func (r *Reserver) unasked(now int64, j *schedule.Job) {
	if r.endTooLate(now, j, nil, &backend.Decision{}, nil) {
		return
	}
	j.SetState(schedule.StateWaiting)
	r.sched.Declined(now, j)
}
