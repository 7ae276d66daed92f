package engine

import (
	"sync/atomic"

	"github.com/freqlimit/dispatcher/internal/schedule"
)

// The fast path leads jobs from Submit to the workers without the scheduler, so that a
// dispatcher without limits is as quick as a pool of workers. A job may take it if there is
// nothing to decide about it: it has no limits, no priority, no options and no handle, and the
// dispatcher is not Serial. The path is open while the scheduler has nothing to do and all
// jobs on the path have one key. Jobs start in the order of their submission.
//
// The first submission of another kind closes the path, and so does every command, question and hold.
// The loop then gives the scheduler the jobs on the path, tells it which workers are busy, and opens
// the path again when there is nothing to do.
//
// There are two queues, so that submitters and workers don't wait for each other's lock: fastIntake,
// and fastQueue in the pool. When fastQueue is empty, a worker or the loop moves all of fastIntake
// there. The owner keeps the jobs themselves, since it has their payloads. The queues only know their
// number and their key.

// FastJobs has the jobs on the fast path, which the owner keeps: an intake, to which the owner adds
// jobs after [Engine.EnterFast], and a queue.
type FastJobs interface {
	// MoveFast moves the jobs of the intake to the queue, which is empty, and returns how many. It is
	// called under the locks of both.
	MoveFast() int

	// TakeFast removes the first job from the queue and copies it, without its key and number, to
	// own, which belongs to a worker. It is called under the lock of the queue.
	TakeFast(own *schedule.Job)

	// KeepFast returns a copy of own for the scheduler. It is called under the lock of the queue.
	KeepFast(own *schedule.Job) *schedule.Job

	// ForgetFast clears own, because its worker goes to sleep. It is called under the lock of the
	// queue.
	ForgetFast(own *schedule.Job)

	// NewFastJob returns an own job for a worker.
	NewFastJob() *schedule.Job

	// LeaveFast removes all jobs from the queue and the intake, in this order, and keeps them for
	// LeftFast. It reports whether there are any. It is called under the locks of both.
	LeaveFast() (some bool)

	// LeftFast returns the first of the jobs that have left the fast path, all of which have this
	// key, and reports whether there are more. None of them is under a limit.
	LeftFast(key string) (jobs []Submission, more bool)

	// ClearFast forgets the intake. It is called under its lock.
	ClearFast()
}

// fastIntake is where Submit puts fast jobs. Engine.mu guards it.
type fastIntake struct {
	open    atomic.Bool    // it takes jobs; read without mu too
	watched bool           // the loop or a worker will look at it
	bound   bool           // only jobs of line may enter
	line    *schedule.Line // nil if there was no job
}

// fastQueue is the queue of fast jobs in the pool. pool.mu guards it.
type fastQueue struct {
	open       bool        // workers may take jobs
	barred     atomic.Bool // workers may take none until the loop has read its news; used without a lock
	queued     int
	line       *schedule.Line // of the queued jobs
	most       int            // the most jobs that may run
	running    int            // running jobs, including those that go on after it was closed
	markedIdle int            // ended jobs that MarkIdle took off Engine.running, which never counted them
	started    uint64         // jobs started since it was opened
	unflushed  int            // jobs that have started and still count as waiting
	succeeded  uint64
	closing    bool // the loop must be woken when nothing is left
}

// leftover describes fast jobs that have not been passed to the scheduler yet.
type leftover struct {
	some bool
	line *schedule.Line
}

// mostUnflushed is how many started jobs Engine.waiting may still count.
const mostUnflushed = 64

// mayUseFastPath reports whether jobs of this engine may take the fast path.
func (e *Engine) mayUseFastPath() bool { return !e.cfg.Serial && !e.keepsJobs() }

// FastPathOpen reports whether the fast path accepts jobs of some key. With many keys it seldom does,
// so submissions need to lock the engine only once.
func (e *Engine) FastPathOpen() bool { return e.fastIntake.open.Load() }

// EnterFast accepts a job that was submitted at an instant on the fast path, if the path is open for
// its key and there is room. The owner must then add the job to the intake before it calls Unlock.
// EnterFast requires that the engine is locked.
func (e *Engine) EnterFast(key string, at int64) (submitted int64, open, room bool) {
	in := &e.fastIntake
	if !in.open.Load() || in.bound && in.line.Key() != key {
		return 0, false, false
	}
	if !e.enter() {
		return 0, true, false
	}
	if !in.bound {
		in.bound = true
		if in.line == nil || in.line.Key() != key {
			in.line = schedule.NewLine(key)
		}
	}
	e.submitted++
	if !in.watched {
		if !e.ran {
			e.remindOfJobs()
		}
		in.watched = true
		e.signal()
	}
	return e.stamp(at), true, true
}

// clear closes and empties the intake. It requires that mu is held.
func (in *fastIntake) clear() {
	in.open.Store(false)
	in.watched, in.bound, in.line = false, false, nil
}

// refill moves the intake to the pool's fast queue, which must be empty. It requires that pool.mu is
// held.
func (e *Engine) refill() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.move()
}

// move is refill for callers that hold pool.mu and mu.
func (e *Engine) move() {
	in, x := &e.fastIntake, &e.pool.fast
	x.line, x.queued = in.line, e.owner.MoveFast()
	if x.queued == 0 {
		in.watched, in.bound = false, false
	}
}

// flushStarted subtracts the fast jobs that have started from Engine.waiting. It requires
// that pool.mu is held.
func (e *Engine) flushStarted() {
	x := &e.pool.fast
	if x.unflushed > 0 {
		e.leave(x.unflushed)
		x.unflushed = 0
	}
}

// MakeRoom is for callers that found the queue full. It stops counting fast jobs that have started as
// waiting, and reports whether there is room now.
func (e *Engine) MakeRoom() bool {
	e.pool.mu.Lock()
	defer e.pool.mu.Unlock()
	e.flushStarted()
	e.mu.Lock() // submitters that fail to enter count as waiting while they hold it
	defer e.mu.Unlock()
	return e.waiting.Load() < int64(e.cfg.Capacity)
}

// ready reports whether there is a job for a worker.
func (x *fastQueue) ready() bool {
	return x.open && x.queued > 0 && x.running < x.most && !x.barred.Load()
}

// startFast gives a worker the next fast job. It requires that pool.mu is held.
func (e *Engine) startFast(w *Worker) Start {
	x := &e.pool.fast
	e.owner.TakeFast(w.own)
	x.queued--
	x.running++
	x.started++
	w.line = x.line
	w.line.Start(w.own, x.started)
	if x.unflushed++; x.unflushed >= mostUnflushed || e.wanted.Load() > 0 {
		e.flushStarted()
	}
	if x.queued == 0 {
		e.refill()
	}
	return Start{Job: w.own, Slot: w.own.Slot}
}

// endFast notes that a worker has run its fast job. It reports whether the loop needs the completion;
// if so, it replaces the worker's own job in f by a copy. It requires that mu is held.
func (p *pool) endFast(w *Worker, f *Completion) bool {
	x := &p.fast
	w.line = nil
	x.running--
	if f.markedIdle {
		x.markedIdle++
	}
	if f.Succeeded {
		x.succeeded++
	}
	silent := x.open && f.Disposition == EndJob
	if !silent {
		// Later jobs must not overtake a job that runs again.
		x.open = false
		f.fast = true
		f.Job = p.jobs.KeepFast(w.own)
	}
	return !silent
}

// over reports whether no jobs are left and no more can come.
func (x *fastQueue) over() bool { return x.closing && x.idle() }

func (x *fastQueue) idle() bool { return x.running == 0 && x.queued == 0 }

// barFastPath keeps fast jobs from being accepted or started until the loop has read its inbox.
// The caller must put the reason there and call signal. It requires that mu is held.
func (e *Engine) barFastPath() {
	e.fastIntake.open.Store(false)
	e.pool.fast.barred.Store(true)
}

// openFastPath opens the fast path if there is nothing to do and no news.
func (l *loop) openFastPath() {
	e := l.e
	if l.fast || !e.mayUseFastPath() || !l.sched.Quiet(e.Now()) {
		return
	}
	e.pool.mu.Lock()
	defer e.pool.mu.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.inbox.hasNews() || e.idle != nil { // the loop doesn't learn when fast jobs end
		return
	}
	l.fast = true
	e.fastIntake.open.Store(true)
	x := &e.pool.fast
	x.open, x.started = true, 0
	x.barred.Store(false)
	x.most = l.sched.Workers()
}

// updateFastPath closes the fast path if the scheduler is needed. Otherwise it wakes a worker for the
// jobs on the path. It requires that pool.mu and mu are held.
func (l *loop) updateFastPath(end bool) {
	in, x := &l.e.fastIntake, &l.e.pool.fast
	if end || !in.open.Load() || !x.open {
		l.closeFastPath()
		return
	}
	if x.queued == 0 {
		l.e.move()
	}
	l.e.pool.wakeOne()
	x.closing = l.e.closed
	l.passed = x.idle()
}

// closeFastPath keeps the waiting jobs on the path for takeLeftover, and tells the scheduler which
// workers are busy. It requires that pool.mu and mu are held.
func (l *loop) closeFastPath() {
	e := l.e
	in, x := &e.fastIntake, &e.pool.fast
	l.fast = false
	in.open.Store(false)
	in.watched, in.bound = false, false
	x.open, x.queued = false, 0
	l.leftover = leftover{some: e.owner.LeaveFast(), line: in.line}
	l.taken += x.started
	var running []string
	for _, w := range e.pool.workers {
		if w.line != nil {
			running = append(running, w.line.Key())
		}
	}
	for i := range e.pool.completions {
		running = append(running, e.pool.completions[i].Job.Key())
	}
	l.busy += len(running)
	l.sched.Bypassed(x.started, running)
	e.flushStarted()
}

// takeLeftover returns the next block of leftover fast jobs.
func (l *loop) takeLeftover() []Submission {
	block, more := l.e.owner.LeftFast(l.leftover.line.Key())
	if !more {
		l.leftover = leftover{}
	}
	return block
}
