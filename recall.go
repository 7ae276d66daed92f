package dispatcher

import (
	"math"
	"slices"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/schedule"
)

// coming is a job that has its slot and no worker yet.
type coming[T any] struct {
	start[T]
	place schedule.Place // where it was before it got its slot
}

// recallAll lets no job start that no worker has, if it is one of these.
func (l *loop[T]) recallAll(now int64, these func(e *entry[T]) bool) {
	l.recall(now, math.MaxInt, these)
}

// recallExcess lets only as many jobs start as there are workers.
func (l *loop[T]) recallExcess(now int64) {
	excess := -l.sched.Idle()
	for e := range l.asker.asked {
		if l.sched.IsDeclined(&e.sched) {
			excess-- // it gives up its worker when the answer comes
		}
	}
	l.recall(now, excess, func(*entry[T]) bool { return true })
}

// recall takes back the slots of n jobs at most that no worker has, the latest first.
// They wait again where they were. For a job that asks the answer is awaited.
func (l *loop[T]) recall(now int64, n int, these func(e *entry[T]) bool) {
	if n <= 0 {
		return
	}
	n -= l.asker.decline(now, n, these)
	var back []coming[T]
	kept := len(l.coming)
	for i := kept - 1; i >= 0; i-- {
		if c := l.coming[i]; len(back) < n && these(c.entry) {
			back = append(back, c)
		} else {
			kept--
			l.coming[kept] = c
		}
	}
	l.coming = slices.Delete(l.coming, 0, kept)
	if len(back) == 0 {
		return
	}
	slots := make([]spare, len(back))
	for i, c := range slices.Backward(back) {
		slots[i] = l.spareOf(c.entry, c.stamp)
		l.sched.Renumber(&c.entry.sched)
	}
	for _, c := range back {
		c.entry.at(stageWaiting)
		l.sched.Returned(now, &c.entry.sched, c.place)
	}
	l.giveBackSoon(slots...)
}

// asked iterates over the jobs that ask, from the latest on.
func (a *asker[T]) asked(yield func(*entry[T]) bool) {
	each := func(b *batch[T]) bool {
		for _, e := range slices.Backward(b.entries) {
			if e != nil && !yield(e) {
				return false
			}
		}
		return true
	}
	for _, s := range a.shards {
		if s.next != nil && !each(s.next) {
			return
		}
	}
	for _, b := range slices.Backward(a.batches) {
		if !each(b) {
			return
		}
	}
}

// decline lets n jobs at most that ask not start, the latest first, and returns how many
// these are. Those whose requests have not been sent wait again at once.
func (a *asker[T]) decline(now int64, n int, these func(e *entry[T]) bool) (declined int) {
	for e := range a.asked {
		if declined == n {
			break
		}
		if these(e) && !a.loop.sched.IsDeclined(&e.sched) {
			a.loop.sched.Decline(&e.sched)
			declined++
		}
	}
	for _, s := range slices.Clone(a.shards) {
		a.unsend(now, s)
	}
	return declined
}

// unsend takes the requests of jobs that are declined out of the batch of a shard that has not
// been sent.
func (a *asker[T]) unsend(now int64, s *shard[T]) {
	b := s.next
	if b == nil {
		return
	}
	s.next = nil
	kept := &batch[T]{shard: s, heldBy: b.heldBy}
	for i, e := range b.entries {
		if e != nil && a.loop.sched.IsDeclined(&e.sched) {
			a.unasked(now, e)
			continue
		}
		if e == nil {
			if kept.repaced == nil {
				kept.repaced = make(map[string]int)
			}
			kept.repaced[b.requests[i].Limits[0].Key] = len(kept.entries)
		}
		kept.entries = append(kept.entries, e)
		kept.requests = append(kept.requests, b.requests[i])
	}
	if len(kept.entries) > 0 {
		s.next = kept
	}
}

// unasked puts a job back for which the backend was not asked.
func (a *asker[T]) unasked(now int64, e *entry[T]) {
	if e.extra != nil {
		if a.tooLate(now, e, nil, &backend.Decision{}, nil) {
			return
		}
		e.extra.stage = stageWaiting
	}
	a.loop.sched.Declined(now, &e.sched)
}

// declined puts a job back that is declined though the backend has charged its limits.
func (a *asker[T]) declined(now int64, e *entry[T], limits []backend.Limit, stamp int64) {
	a.loop.sched.Declined(now, &e.sched)
	a.loop.giveBackSoon(spare{limits, stamp})
}
