package engine

import (
	"context"
	"time"

	"github.com/freqlimit/dispatcher/internal/guard"
	"github.com/freqlimit/dispatcher/internal/reserve"
	"github.com/freqlimit/dispatcher/internal/schedule"
)

// letGoAfter is how long after the end of the handlers' contexts calls that wait for the dispatcher
// return ErrStuck, if handlers or Events have not returned. One of these may have made such a call.
const letGoAfter = 5 * time.Second

// stop is called when Run's context has ended. It drops jobs that have not started and waits for running
// ones.
func (l *loop) stop() error {
	cause := context.Cause(l.ctx)
	timeout := max(l.e.cfg.StopTimeout, 0)
	if timeout == 0 {
		l.e.contexts.cut(cause)
	}
	cut := time.NewTimer(timeout)
	defer cut.Stop()
	stuck := time.NewTimer(timeout + letGoAfter)
	defer stuck.Stop()
	late := time.NewTimer(guard.CleanupTimeout)
	defer late.Stop()
	l.dropAll()
	for !l.isOver() {
		select {
		case <-l.e.wake:
		case <-late.C:
			l.e.contexts.hangUp()
		case <-cut.C:
			l.e.contexts.cut(cause)
		case <-stuck.C:
			close(l.e.stuck)
		}
	}
	return errStopped
}

// dropAll drops all jobs that have not started.
func (l *loop) dropAll() {
	l.giveBackAll()
	for _, s := range l.scheduled {
		l.end(s.Job, Stopped, nil)
	}
	l.scheduled = nil
	l.sched.Abandon(func(j *schedule.Job) { l.end(j, Stopped, nil) })
	l.dropFresh([][]Submission{l.block})
	l.dropFresh(l.fresh)
	l.block, l.whole, l.fresh = nil, nil, nil
}

// isOver takes in the news of a loop that is stopping. It reports whether nothing is running and
// everything has been reported.
func (l *loop) isOver() bool {
	in, _ := l.swapInbox(inbox{}, true)
	for l.leftover.some {
		l.dropFresh([][]Submission{l.takeLeftover()})
	}
	l.dropFresh(in.submitted.Drain(nil))
	done := l.e.pool.takeCompletions(nil)
	l.e.observeLateness(done)
	var slots []reserve.Slot
	for _, f := range done {
		l.busy--
		switch f.Disposition {
		case EndJob:
		case WithdrawJob:
			slots = append(slots, l.reserver.SlotOf(f.Job, f.Until))
		default:
			l.end(f.Job, Stopped, nil)
		}
	}
	l.reserver.GiveBack(slots...)
	for _, b := range in.answered {
		l.reserver.Discard(b)
	}
	return l.busy == 0 && l.reserver.InFlight() == 0 && l.e.reports.isIdle()
}

// giveBackAll gives back the slots of all scheduled jobs.
func (l *loop) giveBackAll() {
	var slots []reserve.Slot
	for _, s := range l.scheduled {
		slots = append(slots, l.reserver.SlotOf(s.Job, s.Token))
	}
	l.reserver.GiveBack(slots...)
}
