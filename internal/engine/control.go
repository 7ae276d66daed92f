package engine

import (
	"context"
	"slices"

	"github.com/freqlimit/dispatcher/internal/schedule"
)

// Pause keeps all jobs from starting until Resume.
func (e *Engine) Pause() {
	e.do(func(l *loop, now int64) {
		l.sched.Pause()
		l.recallAll(now, func(*schedule.Job) bool { return true })
	})
}

// Resume undoes Pause.
func (e *Engine) Resume() { e.do(func(l *loop, _ int64) { l.sched.Resume() }) }

// PauseKey keeps the jobs of a key from starting until ResumeKey.
func (e *Engine) PauseKey(key string) {
	e.do(func(l *loop, now int64) {
		l.sched.PauseKey(now, key)
		l.recallAll(now, func(j *schedule.Job) bool { return j.Key() == key })
	})
}

// ResumeKey undoes PauseKey.
func (e *Engine) ResumeKey(key string) {
	e.do(func(l *loop, now int64) { l.sched.ResumeKey(now, key) })
}

// SetWorkers changes Config.Workers.
func (e *Engine) SetWorkers(n int) {
	e.do(func(l *loop, now int64) {
		l.sched.SetWorkers(now, n)
		l.recallExcess(now)
	})
}

// Cancel ends a job that waits or has its slot. It does nothing to any other job, which ends as soon as
// [Owner.IsCanceled] is asked: when the loop takes it out of the inbox, when the backend has answered,
// or at its worker. Cancel requires that the engine is locked.
func (e *Engine) Cancel(j *schedule.Job) {
	e.post(func(l *loop, now int64) { l.cancel(now, j) })
}

func (l *loop) cancel(now int64, j *schedule.Job) {
	switch j.State() {
	case schedule.StateWaiting:
		l.sched.Remove(now, j)
	case schedule.StateScheduled:
		l.withdraw(now, j)
	default:
		return
	}
	l.end(j, Canceled, nil)
}

// withdraw gives back the slot of a scheduled job.
func (l *loop) withdraw(now int64, j *schedule.Job) {
	i := slices.IndexFunc(l.scheduled, func(c scheduledJob) bool { return c.Job == j })
	unused := l.reserver.SlotOf(j, l.scheduled[i].Token)
	l.scheduled = slices.Delete(l.scheduled, i, i+1)
	l.sched.Finished(now, j, false)
	l.reserver.GiveBack(unused)
}

// dropping is a Drop in progress.
type dropping struct {
	cut   *schedule.Cut
	each  func(*schedule.Job)
	reply chan<- struct{}
}

// dropsAtOnce is how many jobs are dropped in one step, so that a million make no start late.
const dropsAtOnce = 128

// Drop ends all waiting jobs of a key. The loop calls each for every one of them instead of
// [Owner.Ended]. For the error see ask.
func (e *Engine) Drop(ctx context.Context, key string, each func(*schedule.Job)) error {
	_, err := ask(ctx, e, func(l *loop, now int64, reply chan<- struct{}) {
		l.drops = append(l.drops, dropping{l.sched.Cut(now, key), each, reply})
	})
	return err
}

// dropSome goes on with the first Drop in progress.
func (l *loop) dropSome() {
	if len(l.drops) == 0 {
		return
	}
	first := &l.drops[0]
	more := first.cut.Remove(dropsAtOnce, func(j *schedule.Job) {
		l.markEnded(j)
		first.each(j)
	})
	if !more {
		first.reply <- struct{}{}
		l.drops = slices.Delete(l.drops, 0, 1)
	}
}
