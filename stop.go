package dispatcher

import (
	"context"
	"time"

	"github.com/freqlimit/dispatcher/internal/schedule"
)

// letGoAfter is how long after the end of the contexts of handlers those who wait for the dispatcher
// are let go, if handlers or Events have not returned: one of them may be who waits.
const letGoAfter = 5 * time.Second

// stop drops what has not started and waits for what runs: Run's context has ended.
func (l *loop[T]) stop() error {
	cause := context.Cause(l.ctx)
	timeout := max(l.cfg.StopTimeout, 0)
	if timeout == 0 {
		l.contexts.cut(cause)
	}
	cut := time.NewTimer(timeout)
	defer cut.Stop()
	stuck := time.NewTimer(timeout + letGoAfter)
	defer stuck.Stop()
	l.dropAll()
	for !l.isOver() {
		select {
		case <-l.wake:
		case <-cut.C:
			l.contexts.cut(cause)
		case <-stuck.C:
			close(l.stuck)
		}
	}
	return &StopError{Dropped: int(l.counts.stopped.Load()), Err: cause, end: l.ctx.Err()}
}

// dropAll drops what has not started.
func (l *loop[T]) dropAll() {
	l.giveBackAll()
	for _, s := range l.coming {
		l.drop(s.entry, l.lastOf(s.entry), Dropped, l.stopped(s.entry))
	}
	l.coming = nil
	l.sched.Abandon(func(j *schedule.Job) {
		e := entryOf[T](j)
		l.drop(e, l.lastOf(e), Dropped, l.stopped(e))
	})
	l.dropFresh([][]submission[T]{l.block})
	l.dropFresh(l.fresh)
	l.block, l.whole, l.fresh = nil, nil, nil
}

// isOver takes in the news of a loop that stops, and reports whether nothing runs any more and all has
// been reported.
func (l *loop[T]) isOver() bool {
	in, _ := l.take(inbox[T]{}, true)
	for !l.left.empty() {
		l.dropFresh([][]submission[T]{l.left.submissions()})
	}
	l.dropFresh(in.submitted.drain(nil))
	done := l.desk.collect(nil)
	observeLateness(&l.lateness, done)
	var slots []spare
	for _, f := range done {
		l.busy--
		switch f.fate {
		case fateEnded:
		case fateWithdrawn:
			slots = append(slots, l.spareOf(f.entry, f.until))
		default:
			l.drop(f.entry, l.lastOf(f.entry), Dropped, l.stopped(f.entry))
		}
	}
	l.giveBackSoon(slots...)
	for _, b := range in.answered {
		l.asker.discard(b)
	}
	return l.busy == 0 && len(l.asker.batches) == 0 && l.reports.isIdle()
}

// giveBackAll gives back the slots of the jobs that are to come.
func (l *loop[T]) giveBackAll() {
	var slots []spare
	for _, s := range l.coming {
		slots = append(slots, l.spareOf(s.entry, s.stamp))
	}
	l.giveBackSoon(slots...)
}
