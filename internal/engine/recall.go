package engine

import (
	"math"
	"slices"

	"github.com/freqlimit/dispatcher/internal/reserve"
	"github.com/freqlimit/dispatcher/internal/schedule"
)

// scheduledJob is a job that has a slot and no worker yet.
type scheduledJob struct {
	Start
	place schedule.Place // where it was before it got its slot
}

// recallAll keeps all of these jobs from starting, except those that a worker has.
func (l *loop) recallAll(now int64, these func(j *schedule.Job) bool) {
	l.recall(now, math.MaxInt, these)
}

// recallExcess keeps jobs from starting if there are more of them than workers.
func (l *loop) recallExcess(now int64) {
	excess := -l.sched.Idle()
	for j := range l.reserver.Jobs {
		if l.sched.IsDeclined(j) {
			excess-- // it gives up its worker when the answer comes
		}
	}
	l.recall(now, excess, func(*schedule.Job) bool { return true })
}

// recall takes back the slots of up to n of these jobs that no worker has, the latest first. They wait
// again in their old places. A job for which the backend is being asked does so when the answer
// arrives.
func (l *loop) recall(now int64, n int, these func(j *schedule.Job) bool) {
	if n <= 0 {
		return
	}
	n -= l.reserver.Decline(now, n, these)
	var back []scheduledJob
	kept := len(l.scheduled)
	for i := kept - 1; i >= 0; i-- {
		if c := l.scheduled[i]; len(back) < n && these(c.Job) {
			back = append(back, c)
		} else {
			kept--
			l.scheduled[kept] = c
		}
	}
	l.scheduled = slices.Delete(l.scheduled, 0, kept)
	if len(back) == 0 {
		return
	}
	slots := make([]reserve.Slot, len(back))
	for i, c := range slices.Backward(back) {
		slots[i] = l.reserver.SlotOf(c.Job, c.Token)
		l.sched.Renumber(c.Job)
	}
	for _, c := range back {
		c.Job.SetState(schedule.StateWaiting)
		l.sched.Returned(now, c.Job, c.place)
	}
	l.reserver.GiveBack(slots...)
}
