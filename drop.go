package dispatcher

import (
	"context"
	"slices"

	"github.com/freqlimit/dispatcher/internal/schedule"
)

// stop drops what has not started and waits for what runs.
func (l *loop[T]) stop() error {
	ctx, cancel := lastWords(l.ctx)
	defer cancel()
	// The latest first: a limit takes back only its last slot.
	for _, s := range slices.Backward(l.coming) {
		l.giveBack(ctx, l.sched.Request(&s.entry.sched, nil), s.stamp)
	}
	for _, s := range l.coming {
		l.drop(s.entry, l.lastOf(s.entry), Dropped, s.entry.stopped(l.ctx))
	}
	l.coming = nil
	l.sched.Abandon(func(j *schedule.Job) {
		e := entryOf[T](j)
		l.drop(e, l.lastOf(e), Dropped, e.stopped(l.ctx))
	})
	l.dropFresh(l.fresh)
	l.fresh = nil
	for {
		in, _ := l.take(inbox[T]{}, true)
		for !l.left.empty() {
			l.dropFresh([][]submission[T]{l.left.submissions()})
		}
		l.dropFresh(in.submitted.drain(nil))
		done := l.desk.collect(nil)
		observeLateness(&l.lateness, done)
		for _, f := range done {
			l.busy--
			if f.fate != fateEnded && f.fate != fateWithdrawn {
				l.drop(f.entry, l.lastOf(f.entry), Dropped, f.entry.stopped(l.ctx))
			}
		}
		for _, b := range in.answered {
			l.asker.discard(b)
		}
		if l.busy == 0 && len(l.asker.batches) == 0 && l.reports.isIdle() {
			return context.Cause(l.ctx)
		}
		<-l.wake
	}
}

// dropFresh drops jobs that are not with the scheduler.
func (l *loop[T]) dropFresh(fresh [][]submission[T]) {
	for _, block := range fresh {
		for i := range block {
			s := &block[i]
			l.drop(s.entry, l.jobBefore(s), Dropped, s.entry.stopped(l.ctx))
		}
	}
}

// jobBefore is jobOf for a job that is not with the scheduler.
func (l *loop[T]) jobBefore(s *submission[T]) Job[T] {
	if s.entry.hasID() {
		l.mu.Lock()
		s.entry.extra.ended = true
		l.freeID(s.entry)
		l.mu.Unlock()
	}
	return Job[T]{
		Key:       s.key,
		Payload:   s.entry.payload,
		Limits:    append([]Limit{}, l.brought(s)...),
		Priority:  s.priority,
		Options:   s.entry.options(),
		epoch:     l.epoch,
		submitted: s.entry.submitted(),
		slot:      noSlot,
	}
}

// drop ends a job that waits without running it.
func (l *loop[T]) drop(e *entry[T], j Job[T], o Outcome, why error) {
	e.at(stageNew)
	l.leave(1)
	r := &Result[T]{Job: j, Outcome: o, Err: why}
	l.resolve(e, r)
	l.reportSoon(e, r)
	if e.extra != nil {
		// The scheduler or a handle may hold on to it for a while.
		var none T
		e.payload = none
	}
}
