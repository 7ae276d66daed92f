package dispatcher

import (
	"context"
	"slices"
	"time"

	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/alarm"
	"github.com/freqlimit/dispatcher/internal/schedule"
	"github.com/freqlimit/dispatcher/internal/table"
	"golang.org/x/sync/errgroup"
)

// loop is the goroutine that schedules: the only one that touches the scheduler.
// It takes in the news, asks the backend, and hands jobs to workers at their
// slots. It ends when all work is done and the intake closed, or when ctx ends
// and the handlers have returned.
type loop[T any] struct {
	*Dispatcher[T]
	ctx   context.Context
	group *errgroup.Group
	sched *schedule.Scheduler
	asker asker[T]

	commands  []func(l *loop[T], now int64)
	obeyed    int           // commands that have been
	questions []question[T] // that wait for jobs submitted before them
	answered  int           // questions that have been in this step
	taken     uint64        // jobs that have been taken in
	drops     []dropping[T] // that have begun
	looks     looks[T]
	settings  table.Map[string, *setting] // of limits
	paces     paces
	ruling    bool // more jobs cost more than a lowered Burst

	express bool         // plain jobs bypass the scheduler: see express.go
	passed  bool         // all of them have ended
	left    plainJobs[T] // those that were on their way when that was over, before fresh

	unlooked  []news // holds of keys that somebody here should have
	strangeAt int64  // when it was last logged that nobody has

	cleared bool // the scheduler has forgotten what the backend has forgotten

	empty  inbox[T]          // memory for the next inbox
	fresh  [][]submission[T] // submitted, and not yet with the scheduler
	block  []submission[T]   // the same, before left and fresh
	whole  []submission[T]   // what block is the rest of, if its memory is for others
	own    [1]Limit          // scratch of limits
	done   []finished[T]     // scratch of takeIn
	coming []coming[T]       // jobs that have a slot in the future, by slot
	busy   int               // jobs that workers have, but for those that bypass the scheduler
}

// newLoop returns a loop that runs until ctx ends, and a function that releases its contexts.
func (d *Dispatcher[T]) newLoop(ctx context.Context) (l *loop[T], release func()) {
	group := &errgroup.Group{}
	d.contexts, release = newContexts(ctx, d)
	d.reports.group, d.reports.idle = group, d.signal
	l = &loop[T]{
		Dispatcher: d,
		ctx:        d.contexts.run,
		group:      group,
		express:    d.mayExpress(),
	}
	d.desk.hire = l.hire
	l.asker = newAsker(l)
	l.sched = schedule.New(schedule.Config{
		Workers: d.cfg.Workers,
		Horizon: int64(l.asker.horizon),
		Lead:    int64(l.asker.lead()),
		Order:   schedule.Order(d.cfg.Order),
		Serial:  d.cfg.Serial,
		Shared:  !l.asker.inProcess,
	})
	return l, release
}

func (l *loop[T]) run() error {
	defer l.desk.close()
	wakeUp := alarm.New(!l.cfg.CoarseTimers)
	defer wakeUp.Close()
	for l.ctx.Err() == nil {
		closed := l.takeIn()
		l.decide()
		l.handOver()
		l.look()
		if l.hasMore() {
			continue
		}
		if len(l.unlooked) > 0 {
			l.lookForHeld(l.now())
		}
		if l.isIdle() {
			if l.reports.isIdle() {
				l.tellIdle()
				if closed {
					close(l.deaf)
					return nil
				}
			}
			l.openExpress()
		}
		l.wait(wakeUp)
	}
	close(l.deaf)
	return l.stop()
}

// hasMore reports whether there is more to do before it waits: news that has not been
// taken in, or jobs that cost too much.
func (l *loop[T]) hasMore() bool {
	return len(l.commands) > 0 || l.hasAnswers() || len(l.block) > 0 || len(l.fresh) > 0 || !l.left.empty() ||
		!l.cleared || l.ruling || len(l.drops) > 0 || l.isLooking() || l.sched.HasExpired()
}

// takeIn tells the scheduler the news, some of it if there is much, and returns whether no
// more jobs can come but those in l.fresh.
func (l *loop[T]) takeIn() (closed bool) {
	in, closed := l.take(l.empty, false)
	now := l.now()
	l.answered = 0
	l.commands = append(l.commands, in.commands...)
	l.obey(now)
	for i := range in.news {
		l.learn(now, in.news[i])
	}
	l.cleared = l.sched.ClearSome(now)
	l.questions = append(l.questions, in.questions...)
	l.fresh = in.submitted.drain(l.fresh)
	switch {
	case len(l.commands) > 0: // they go before jobs
	default:
		l.admit(now, &in.submitted)
	}
	if !l.express { // else what a worker has laid there since ends it first
		l.collect(now)
	}
	for _, b := range in.answered {
		l.asker.answered(now, b)
	}
	l.creep(now)
	l.tellParams(now)
	l.ruleOut(now)
	l.answer(now)
	l.beginImage(now)
	l.dropSome()
	l.empty = in.reset()
	return closed
}

// isIdle reports whether there is nothing to do.
func (l *loop[T]) isIdle() bool {
	return l.sched.Waiting() == 0 && len(l.coming) == 0 && l.busy == 0 && (!l.express || l.passed)
}

// admit passes a block of submitted jobs on to the scheduler. It stops where there are too
// many questions to answer before the next job, and goes on there.
func (l *loop[T]) admit(now int64, spare *blocks[submission[T]]) {
	if len(l.block) == 0 {
		l.nextBlock()
	}
	for len(l.block) > 0 {
		if !l.answer(now) {
			return
		}
		l.submit(now, &l.block[0])
		l.taken++
		l.block = l.block[1:]
	}
	if l.whole != nil {
		spare.recycle(l.whole)
	}
	l.block, l.whole = nil, nil
}

// nextBlock takes the next block of jobs.
func (l *loop[T]) nextBlock() {
	switch {
	case !l.left.empty():
		l.block = l.left.submissions()
	case len(l.fresh) > 0:
		l.block, l.whole = l.fresh[0], l.fresh[0]
		if l.fresh = l.fresh[1:]; len(l.fresh) == 0 {
			l.fresh = nil // an empty slice would hold all the memory
		}
	}
}

func (l *loop[T]) submit(now int64, s *submission[T]) {
	e := s.entry
	if e.extra != nil && l.isCanceled(e) {
		l.drop(e, l.jobBefore(s), Canceled, ErrCanceled)
		return
	}
	limits, err := l.ruled(l.brought(s))
	if err != nil {
		l.drop(e, l.jobBefore(s), Failed, err)
		return
	}
	if e.extra == nil {
		l.sched.Submit(now, &e.sched, s.key, s.priority, limits)
		return
	}
	e.extra.stage = stageWaiting
	l.sched.SubmitDated(now, &e.sched, s.key, s.priority, limits, e.extra.options.dates(*l.epoch, e.sched.Arrival))
}

// brought returns the limits that a submitted job brings, those of Config.Params in
// memory that the next call uses again.
func (l *loop[T]) brought(s *submission[T]) []Limit {
	if s.limits != nil || l.cfg.Params == (gcra.FreqLimitParams{}) {
		return s.limits
	}
	l.own[0] = Limit{Key: s.key, Params: l.cfg.Params}
	return l.own[:]
}

// collect takes the jobs that workers are done with.
func (l *loop[T]) collect(now int64) {
	l.done = l.desk.collect(l.done[:0])
	observeLateness(&l.lateness, l.done)
	for i := range l.done {
		l.finished(now, &l.done[i])
	}
	clear(l.done)
}

func (l *loop[T]) finished(now int64, f *finished[T]) {
	l.busy--
	e := f.entry
	if f.plain {
		l.sched.Rejoin(&e.sched)
	}
	if f.fate == fateEnded {
		e.at(stageNew)
		l.sched.Finished(now, &e.sched, false)
		return
	}
	if f.fate == fateWithdrawn {
		unused := l.spareOf(e, f.until)
		l.sched.Finished(now, &e.sched, false)
		l.giveBackSoon(unused)
		return
	}
	if l.isCanceled(e) {
		l.drop(e, l.lastOf(e), Canceled, ErrCanceled)
		l.sched.Finished(now, &e.sched, false)
		return
	}
	e.extra.stage = stageWaiting
	switch f.fate {
	case fateFirst:
		l.sched.Hold(now, e.sched.Key(), f.until)
		l.sched.Finished(now, &e.sched, true)
	default:
		l.sched.Later(now, &e.sched, f.until, f.fate == fateHeld)
	}
}

// handful is how many jobs are taken at most before the workers get them. Fewer would
// cost more locks; with more, workers fall asleep meanwhile, and to wake one costs as
// much as to take several jobs.
const handful = 16

// decide takes all jobs that may be taken now. Where they are many, those whose
// slots have come do not wait for the others.
func (l *loop[T]) decide() {
	now := l.now()
	l.expire(now)
	for n := 1; ; n++ {
		j, ask := l.sched.Next(now)
		if j == nil {
			break
		}
		if e := entryOf[T](j); ask {
			e.at(stageAsking)
			l.asker.ask(now, e)
		} else {
			l.accept(e, j.Slot, 0)
		}
		if n%handful == 0 {
			l.handOver()
		}
	}
	l.expire(now)
	l.asker.flush()
}

// expiredAtOnce is how many jobs expire at a time, so that a million with one deadline make
// no start late.
const expiredAtOnce = 128

// expire ends jobs that can't start by their deadlines.
func (l *loop[T]) expire(now int64) {
	for range expiredAtOnce {
		j := l.sched.Expired(now)
		if j == nil {
			return
		}
		e := entryOf[T](j)
		l.drop(e, l.lastOf(e), Expired, ErrExpired)
	}
}

// accept puts a job that has its slot among those to come.
func (l *loop[T]) accept(e *entry[T], slot, stamp int64) {
	e.at(stageComing)
	c := coming[T]{start[T]{e, slot, stamp}, l.sched.Place()}
	i := len(l.coming)
	l.coming = append(l.coming, c)
	for ; i > 0 && l.coming[i-1].entry.sched.Slot > e.sched.Slot; i-- {
		l.coming[i] = l.coming[i-1]
	}
	l.coming[i] = c
}

// handOver gives workers the jobs whose slots have come.
func (l *loop[T]) handOver() {
	if len(l.coming) == 0 {
		return
	}
	now, n := l.now(), 0
	for n < len(l.coming) && l.coming[n].entry.sched.Slot <= now {
		n++
	}
	if n == 0 {
		return
	}
	l.busy += n
	l.running.Add(int64(n))
	l.leave(n)
	for i := range n {
		l.coming[i].entry.at(stageWorking)
	}
	l.desk.lay(l.coming[:n], l.busy)
	l.coming = slices.Delete(l.coming, 0, n)
}

// hire starts a worker, which ends when the desk is closed. One that a handler or
// one of the Events ends with runtime.Goexit is replaced.
func (l *loop[T]) hire(h *hand[T]) {
	l.workers.Add(1)
	l.group.Go(func() error {
		returned := false
		defer func() {
			l.workers.Add(-1)
			if !returned {
				l.hire(h)
			}
		}()
		l.work(h)
		returned = true
		return nil
	})
}

// wait returns when there is news, the next instant has come, or ctx has ended.
func (l *loop[T]) wait(wakeUp *alarm.Alarm) {
	at, ok := l.sched.Wake()
	if len(l.coming) > 0 && (!ok || l.coming[0].entry.sched.Slot < at) {
		at, ok = l.coming[0].entry.sched.Slot, true
	}
	if tidy, some := l.sched.Tidy(); some && (!ok || tidy < at) {
		at, ok = tidy, true
	}
	if p := l.paces.next(); p != nil && (!ok || p.at < at) {
		at, ok = p.at, true
	}
	var until time.Time // none
	if ok {
		until = l.epoch.Add(time.Duration(at))
	}
	wakeUp.Wait(until, l.wake, l.ctx.Done())
}
