package engine

import (
	"context"
	"slices"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/adaptive"
	"github.com/freqlimit/dispatcher/internal/blocks"
	"github.com/freqlimit/dispatcher/internal/reserve"
	"github.com/freqlimit/dispatcher/internal/schedule"
	"github.com/freqlimit/dispatcher/internal/table"
	"github.com/freqlimit/dispatcher/internal/wakeup"
	"golang.org/x/sync/errgroup"
)

// loop is the goroutine that schedules. Only it uses the scheduler. It takes in news, asks the
// backend for slots, and hands jobs to workers at their slots. It ends when all work is done and the
// intake is closed, or when ctx has ended and the handlers have returned.
type loop struct {
	e        *Engine
	ctx      context.Context
	group    *errgroup.Group
	sched    *schedule.Scheduler
	reserver *reserve.Reserver

	commands       []command
	obeyed         int        // how many of commands have been obeyed
	questions      []question // not answered yet
	answered       int        // how many questions were answered in this step
	taken          uint64     // how many jobs have been taken in
	drops          []dropping // that have begun
	inspector      inspector
	settings       table.Map[string, *setting] // of limits
	adaptive       adaptive.Limits
	moreImpossible bool // there are more jobs that cost more than a lowered Burst

	fast     bool     // the fast path is open: see fastpath.go
	passed   bool     // all jobs on it have ended
	leftover leftover // fast jobs that were waiting when the path was closed; they go before fresh

	uncheckedHolds []news // holds for checkHeldKeys
	unknownKeyAt   int64  // when checkHeldKeys last logged

	cleared bool // the scheduler has forgotten all that the backend has forgotten

	empty     inbox           // memory for the next inbox
	fresh     [][]Submission  // submitted, and not passed to the scheduler yet
	block     []Submission    // the same; these go before leftover and fresh
	whole     []Submission    // the block of which block is the rest, if it is to be recycled
	own       []backend.Limit // memory for the limit of Config.Params; nil if a job keeps it
	done      []Completion    // scratch of takeIn
	scheduled []scheduledJob  // jobs that have a slot in the future, by slot
	busy      int             // jobs that workers have, without those of the fast path
}

// newLoop returns a loop that runs until ctx ends, and a function that releases its contexts.
func (e *Engine) newLoop(ctx context.Context) (l *loop, release func()) {
	group := &errgroup.Group{}
	e.contexts, release = newContexts(ctx, e)
	e.reports.group, e.reports.idle = group, e.signal
	l = &loop{
		e:     e,
		ctx:   e.contexts.Run,
		group: group,
		fast:  e.mayUseFastPath(),
	}
	if a := e.cfg.Adaptive; a != nil {
		l.adaptive = adaptive.New(*a)
	}
	e.pool.spawn = l.spawn
	l.sched = schedule.New(schedule.Config{
		Workers: e.cfg.Workers,
		Order:   e.cfg.Order,
		Serial:  e.cfg.Serial,
		Shared:  !e.traits.InProcess,
		AskAll:  e.keepsJobs(),
	})
	l.reserver = l.newReserver()
	return l, release
}

func (l *loop) run() error {
	defer l.e.pool.close()
	wakeUp := wakeup.New(!l.e.cfg.CoarseTimers)
	defer wakeUp.Close()
	for l.ctx.Err() == nil {
		closed := l.takeIn()
		l.decide()
		l.handOver()
		l.inspect()
		if l.hasMore() {
			continue
		}
		if len(l.uncheckedHolds) > 0 {
			l.checkHeldKeys(l.e.Now())
		}
		if l.isIdle() {
			if l.e.reports.isIdle() {
				l.tellIdle()
				if closed {
					close(l.e.stopping)
					l.e.contexts.hangUp() // no job needs the answers that are still to come
					return nil
				}
			}
			l.openFastPath()
		}
		l.wait(wakeUp)
	}
	close(l.e.stopping)
	return l.stop()
}

// hasMore reports whether there is more to do before the loop waits, such as jobs that have not been
// taken in.
func (l *loop) hasMore() bool {
	return len(l.commands) > 0 || l.hasAnswers() || len(l.block) > 0 || len(l.fresh) > 0 || l.leftover.some ||
		!l.cleared || l.moreImpossible || len(l.drops) > 0 || l.isInspecting() || l.sched.HasExpired()
}

// takeIn passes news to the scheduler, only some of it if there is much. It reports whether no more
// jobs can come besides those in l.fresh.
func (l *loop) takeIn() (closed bool) {
	in, closed := l.swapInbox(l.empty, false)
	now := l.e.Now()
	l.answered = 0
	l.commands = append(l.commands, in.commands...)
	l.obey(now)
	for i := range in.news {
		l.learn(now, in.news[i])
	}
	l.cleared = l.sched.ClearSome(now)
	l.questions = append(l.questions, in.questions...)
	l.fresh = in.submitted.Drain(l.fresh)
	if len(l.commands) == 0 { // commands go before jobs
		l.admit(now, &in.submitted)
	}
	if !l.fast { // a completion that has come since must close the fast path first
		l.collect(now)
	}
	for _, b := range in.answered {
		l.reserver.Answered(now, b)
	}
	l.recoverLimits(now)
	l.tellParams(now)
	l.rejectImpossible(now)
	l.answer(now)
	l.beginSnapshot(now)
	l.dropSome()
	l.empty = in.reset()
	return closed
}

// isIdle reports whether there is nothing to do.
func (l *loop) isIdle() bool {
	return l.sched.Waiting() == 0 && len(l.scheduled) == 0 && l.busy == 0 && (!l.fast || l.passed)
}

// tellIdle wakes the callers that wait until the engine is idle, unless there is news: a handler may
// have submitted a job before it returned.
func (l *loop) tellIdle() {
	l.e.mu.Lock()
	defer l.e.mu.Unlock()
	if l.e.idle != nil && !l.e.inbox.hasNews() && l.e.coming == 0 {
		close(l.e.idle)
		l.e.idle = nil
	}
}

// admit passes a block of submitted jobs on to the scheduler. It stops where there are too
// many questions to answer before the next job, and goes on there.
func (l *loop) admit(now int64, spare *blocks.List[Submission]) {
	if len(l.block) == 0 {
		l.nextBlock()
	}
	for len(l.block) > 0 {
		if !l.answer(now) {
			return
		}
		l.schedule(now, &l.block[0])
		l.taken++
		l.block = l.block[1:]
	}
	if l.whole != nil {
		spare.Recycle(l.whole)
	}
	l.block, l.whole = nil, nil
}

// nextBlock takes the next block of jobs.
func (l *loop) nextBlock() {
	switch {
	case l.leftover.some:
		l.block = l.takeLeftover()
	case len(l.fresh) > 0:
		l.block, l.whole = l.fresh[0], l.fresh[0]
		if l.fresh = l.fresh[1:]; len(l.fresh) == 0 {
			l.fresh = nil // an empty slice would hold all the memory
		}
	}
}

// schedule passes a job on to the scheduler, unless it was canceled or costs too much.
func (l *loop) schedule(now int64, s *Submission) {
	if l.e.owner.IsCanceled(s.Job) {
		l.endSubmission(s, Canceled, nil)
		return
	}
	limits, err := l.effectiveLimits(l.brought(s))
	if err != nil {
		l.endSubmission(s, Rejected, err)
		return
	}
	s.Job.SetState(schedule.StateWaiting)
	if s.Dates == nil {
		l.sched.Submit(now, s.Job, s.Key, s.Priority, limits)
	} else {
		l.sched.SubmitDated(now, s.Job, s.Key, s.Priority, limits, *s.Dates)
	}
	if l.own != nil && s.Job.Keeps(l.own) {
		l.own = nil
	}
}

// brought returns the limits that a submitted job brings. The limit of Config.Params is valid until
// the next call, unless l.own is set to nil.
func (l *loop) brought(s *Submission) []backend.Limit {
	if s.Limits != nil || l.e.cfg.Params == (gcra.FreqLimitParams{}) {
		return s.Limits
	}
	if l.own == nil {
		l.own = make([]backend.Limit, 1)
	}
	l.own[0] = backend.Limit{Key: s.Key, Params: l.e.cfg.Params}
	return l.own
}

// collect takes the jobs that workers are done with.
func (l *loop) collect(now int64) {
	l.done = l.e.pool.takeCompletions(l.done[:0])
	l.e.observeLateness(l.done)
	for i := range l.done {
		l.jobDone(now, &l.done[i])
	}
	clear(l.done)
}

// jobDone tells the scheduler what becomes of a job that a worker is done with.
func (l *loop) jobDone(now int64, f *Completion) {
	l.busy--
	j := f.Job
	if f.fast {
		l.sched.Rejoin(j)
	}
	switch f.Disposition {
	case EndJob:
		j.SetState(schedule.StateNew)
		l.sched.Finished(now, j, false)
		return
	case WithdrawJob:
		unused := l.reserver.SlotOf(j, f.Until)
		l.sched.Finished(now, j, false)
		l.reserver.GiveBack(unused)
		return
	}
	if l.e.owner.IsCanceled(j) {
		l.end(j, Canceled, nil)
		l.sched.Finished(now, j, false)
		return
	}
	j.SetState(schedule.StateWaiting)
	switch f.Disposition {
	case RetryFront:
		l.sched.Hold(now, j.Key(), f.Until)
		l.sched.Finished(now, j, true)
	default:
		l.sched.Later(now, j, f.Until, f.Disposition == RetryInPlace)
	}
}

// handful is the most jobs that decide takes before it hands them to workers. With fewer, the lock
// would be taken more often. With more, workers would fall asleep meanwhile, and waking one costs as
// much as taking several jobs.
const handful = 16

// decide takes all jobs that may be taken now. If there are many, it hands over jobs whose slots have
// come before it takes the others.
func (l *loop) decide() {
	now := l.e.Now()
	l.expire(now)
	for n := 1; ; n++ {
		j, ask := l.sched.Next(now)
		if j == nil {
			break
		}
		if ask {
			l.reserver.Ask(now, j)
		} else {
			l.awaitSlot(j, j.Slot, 0)
		}
		if n%handful == 0 {
			l.handOver()
		}
	}
	l.expire(now)
	l.reserver.Flush()
}

// expiredAtOnce is how many jobs expire in one step, so that a million with one deadline make no
// start late.
const expiredAtOnce = 128

// expire ends jobs that can't start by their deadlines.
func (l *loop) expire(now int64) {
	for range expiredAtOnce {
		j := l.sched.Expired(now)
		if j == nil {
			return
		}
		l.end(j, Expired, nil)
	}
}

// awaitSlot adds a job that has its slot to l.scheduled.
func (l *loop) awaitSlot(j *schedule.Job, slot, token int64) {
	j.SetState(schedule.StateScheduled)
	c := scheduledJob{Start{j, slot, token}, l.sched.Place()}
	i := len(l.scheduled)
	l.scheduled = append(l.scheduled, c)
	for ; i > 0 && l.scheduled[i-1].Job.Slot > j.Slot; i-- {
		l.scheduled[i] = l.scheduled[i-1]
	}
	l.scheduled[i] = c
}

// handOver hands the jobs whose slots have come to workers.
func (l *loop) handOver() {
	if len(l.scheduled) == 0 {
		return
	}
	now, n := l.e.Now(), 0
	for n < len(l.scheduled) && l.scheduled[n].Job.Slot <= now {
		n++
	}
	if n == 0 {
		return
	}
	l.busy += n
	l.e.running.Add(int64(n))
	l.e.leave(n)
	for i := range n {
		l.scheduled[i].Job.SetState(schedule.StateRunning)
	}
	l.e.pool.enqueue(l.scheduled[:n], l.busy)
	l.scheduled = slices.Delete(l.scheduled, 0, n)
}

// wait returns when there is news, when the next instant at which something is due has come, or when
// ctx has ended.
func (l *loop) wait(wakeUp *wakeup.Timer) {
	at, ok := l.sched.Wake()
	if len(l.scheduled) > 0 && (!ok || l.scheduled[0].Job.Slot < at) {
		at, ok = l.scheduled[0].Job.Slot, true
	}
	if tidy, some := l.sched.Tidy(); some && (!ok || tidy < at) {
		at, ok = tidy, true
	}
	if due, some := l.adaptive.Next(); some && (!ok || due < at) {
		at, ok = due, true
	}
	var until time.Time // none
	if ok {
		until = l.e.epoch.Add(time.Duration(at))
	}
	wakeUp.Wait(until, l.e.wake, l.ctx.Done())
}
