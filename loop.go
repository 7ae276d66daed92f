package dispatcher

import (
	"context"
	"slices"
	"time"

	"github.com/freqlimit/dispatcher/internal/schedule"
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

	spare  inbox[T]       // memory for the next inbox
	fresh  []*entry[T]    // submitted, and not yet with the scheduler
	coming []*entry[T]    // jobs that have a slot in the future, by slot
	starts chan *entry[T] // to the workers; there is always room
	busy   int            // jobs that workers have
	hands  int            // workers
}

func newLoop[T any](ctx context.Context, d *Dispatcher[T], group *errgroup.Group) *loop[T] {
	l := &loop[T]{
		Dispatcher: d,
		ctx:        ctx,
		group:      group,
		starts:     make(chan *entry[T], d.cfg.Workers),
	}
	l.asker = newAsker(l)
	l.sched = schedule.New(schedule.Config{
		Workers: d.cfg.Workers,
		Horizon: int64(l.asker.horizon),
		Lead:    int64(l.asker.lead()),
		Order:   schedule.Order(d.cfg.Order),
		Serial:  d.cfg.Serial,
		Shared:  !l.asker.inProcess,
	})
	return l
}

func (l *loop[T]) run() error {
	defer close(l.starts)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if l.ctx.Err() != nil {
			return l.stop()
		}
		closed := l.takeIn()
		l.decide()
		l.handOver()
		if len(l.fresh) > 0 {
			continue
		}
		if closed && l.sched.Waiting() == 0 && len(l.coming) == 0 && l.busy == 0 {
			return nil
		}
		l.wait(timer)
	}
}

// chunk is how many submitted jobs are taken in at a time, so that a million
// that come at once do not make others late.
const chunk = 512

// takeIn tells the scheduler the news, and returns whether no more jobs can come
// but those in l.fresh.
func (l *loop[T]) takeIn() (closed bool) {
	in, closed := l.take(l.spare, false)
	now := l.now()
	next := in.submitted
	if len(l.fresh) > 0 || len(next) > chunk {
		l.fresh = append(l.fresh, next...)
		next = l.fresh[:min(chunk, len(l.fresh))]
		if l.fresh = l.fresh[len(next):]; len(l.fresh) == 0 {
			l.fresh = nil // an empty slice would hold all the memory
		}
	}
	for i, e := range next {
		l.sched.Submit(now, &e.sched, e.job.Limits)
		next[i] = nil
	}
	for _, d := range in.deferred {
		l.sched.Defer(now, d.key, d.until)
	}
	for _, f := range in.finished {
		l.finished(now, f)
	}
	for _, b := range in.answered {
		l.asker.answered(now, b)
	}
	l.spare = in.reset()
	return closed
}

func (l *loop[T]) finished(now int64, f finished[T]) {
	l.busy--
	if f.again {
		l.counts.retried.Add(1)
		l.sched.Defer(now, f.entry.job.Key, f.until)
	}
	l.sched.Finished(now, &f.entry.sched, f.again)
}

// decide takes all jobs that may be taken now.
func (l *loop[T]) decide() {
	now := l.now()
	for {
		j, ask := l.sched.Next(now)
		if j == nil {
			break
		}
		if e := entryOf[T](j); ask {
			l.asker.ask(now, e)
		} else {
			l.accept(e, j.Slot, 0)
		}
	}
	l.asker.flush()
}

// accept puts a job that has its slot among those to come.
func (l *loop[T]) accept(e *entry[T], slot, stamp int64) {
	e.slot, e.stamp = slot, stamp
	i := len(l.coming)
	for i > 0 && l.coming[i-1].sched.Slot > e.sched.Slot {
		i--
	}
	l.coming = slices.Insert(l.coming, i, e)
}

// handOver gives workers the jobs whose slots have come.
func (l *loop[T]) handOver() {
	now, n := l.now(), 0
	for n < len(l.coming) && l.coming[n].sched.Slot <= now {
		e := l.coming[n]
		n++
		l.busy++
		if l.busy > l.hands {
			l.hands++
			l.hire()
		}
		l.running.Add(1)
		l.waiting.Add(-1)
		l.starts <- e
	}
	l.coming = slices.Delete(l.coming, 0, n)
}

// hire starts a worker, which ends when l.starts is closed. One that a handler or
// OnDone ends with runtime.Goexit is replaced.
func (l *loop[T]) hire() {
	l.workers.Add(1)
	l.group.Go(func() error {
		returned := false
		defer func() {
			l.workers.Add(-1)
			if !returned {
				l.hire()
			}
		}()
		l.work(l.ctx, l.starts)
		returned = true
		return nil
	})
}

// wait returns when there is news, the next instant has come, or ctx has ended.
func (l *loop[T]) wait(timer *time.Timer) {
	at, ok := l.sched.Wake()
	if len(l.coming) > 0 && (!ok || l.coming[0].sched.Slot < at) {
		at, ok = l.coming[0].sched.Slot, true
	}
	if tidy, some := l.sched.Tidy(); some && (!ok || tidy < at) {
		at, ok = tidy, true
	}
	var alarm <-chan time.Time
	if ok {
		timer.Reset(time.Duration(at - l.now()))
		alarm = timer.C
	}
	select {
	case <-l.wake:
	case <-alarm:
	case <-l.ctx.Done():
	}
}

// stop drops what has not started and waits for what runs.
func (l *loop[T]) stop() error {
	ctx, cancel := lastWords(l.ctx)
	defer cancel()
	// The latest first: a limit takes back only its last slot.
	for _, e := range slices.Backward(l.coming) {
		l.release(ctx, e)
	}
	for _, e := range l.coming {
		l.drop(e)
	}
	l.sched.Abandon(func(j *schedule.Job) { l.drop(entryOf[T](j)) })
	for _, e := range l.fresh {
		l.drop(e)
	}
	for {
		in, _ := l.take(inbox[T]{}, true)
		for _, e := range in.submitted {
			l.drop(e)
		}
		for _, f := range in.finished {
			l.busy--
			if f.again {
				l.drop(f.entry)
			}
		}
		for _, b := range in.answered {
			l.asker.discard(b)
		}
		if l.busy == 0 && l.asker.flying == 0 {
			return context.Cause(l.ctx)
		}
		<-l.wake
	}
}

// drop ends a job that waits without running it.
func (l *loop[T]) drop(e *entry[T]) {
	l.waiting.Add(-1)
	e.job.slot = time.Time{}
	l.report(&Result[T]{Job: e.job, Outcome: Dropped, Err: stopped(l.ctx)})
}

// report ends a job that no worker has.
func (l *loop[T]) report(r *Result[T]) { l.apart(func() { l.end(r) }) }

// apart calls f, which calls back the user, in a goroutine of its own and waits
// for it: it may end its goroutine with runtime.Goexit, and this one must go on.
func (l *loop[T]) apart(f func()) {
	ended := make(chan struct{})
	l.group.Go(func() error {
		defer close(ended)
		f()
		return nil
	})
	<-ended
}

// reset returns an empty inbox in the memory of this one, if it is not much.
func (in inbox[T]) reset() inbox[T] {
	return inbox[T]{
		submitted: empty(in.submitted),
		deferred:  empty(in.deferred),
		finished:  empty(in.finished),
		answered:  empty(in.answered),
	}
}

func empty[E any](s []E) []E {
	if cap(s) > 4*chunk {
		return nil
	}
	clear(s)
	return s[:0]
}
