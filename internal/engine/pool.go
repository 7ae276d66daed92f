package engine

import (
	"sync"
	"time"

	"github.com/freqlimit/dispatcher/internal/schedule"
)

// Start is a job with its slot.
type Start struct {
	Job   *schedule.Job
	Slot  int64 // the instant for which its limits were charged; it may start at Job.Slot, never before Slot
	Token int64 // needed to give the slot back
}

// Completion is a job that a worker is done with.
type Completion struct {
	Job         *schedule.Job
	Disposition Disposition
	Succeeded   bool  // it succeeded on the fast path, and the engine counts it
	Until       int64 // when it runs again; for WithdrawJob, the token of its slot
	Late        int64 // how late it started, or Unknown

	fast       bool // it took the fast path
	markedIdle bool // MarkIdle was called: Engine.running counts it no longer
}

// Unknown is the Completion.Late of a job whose lateness was not measured.
const Unknown = -1

// Disposition says what becomes of a job that a worker is done with.
type Disposition uint8

const (
	EndJob       Disposition = iota
	RetryFront               // it runs again, first of its key, which is held
	RetryLater               // it runs again, and its key does not wait for it
	RetryInPlace             // it runs again, and its key waits for it
	WithdrawJob              // it has ended before it started
)

// pool runs jobs on workers. The loop enqueues jobs whose slots have come. A worker hands in
// the job that it has run and takes the next one under one lock. Each worker wakes the next
// one if there is more to do, so quick jobs keep few workers busy.
type pool struct {
	signal    func()              // tells the loop that there are completions
	spawn     func(*Worker)       // starts a goroutine for a worker
	startFast func(*Worker) Start // takes a job from the fast queue
	jobs      FastJobs

	mu          sync.Mutex // guards what follows
	news        sync.Cond  // for the workers
	workers     []*Worker
	ready       []Start // from first on
	first       int
	fast        fastQueue
	waiting     int  // workers that wait for a job
	waking      bool // a worker was woken or spawned and has not come yet; it will wake the next
	closed      bool // no more jobs come
	completions []Completion
}

// Worker is a goroutine that runs jobs.
type Worker struct {
	// Done is the job that the worker has run and not handed in yet. The worker sets it.
	Done Completion

	own     *schedule.Job  // memory for jobs of the fast path
	line    *schedule.Line // the line of its job if that took the fast path, else nil; guarded by the pool
	job     *schedule.Job  // its job if that did not take the fast path; guarded by the pool
	spawned bool           // it has not taken a job yet
}

// IsFast reports whether the worker's job took the fast path. Only the worker may call it.
func (w *Worker) IsFast() bool { return w.line != nil }

func (p *pool) open(e *Engine) {
	p.news.L = &p.mu
	p.signal = e.signal
	p.startFast = e.startFast
	p.jobs = e.owner
	p.fast.open, p.fast.most = e.mayUseFastPath(), e.cfg.Workers
	e.fastIntake.open.Store(p.fast.open)
}

// Next hands in the job that a worker has run, if any, and waits for the worker's next job. It returns
// false once there are no more jobs.
func (e *Engine) Next(w *Worker) (Start, bool) { return e.pool.next(w) }

// work runs jobs on a worker until there are no more.
func (e *Engine) work(w *Worker) {
	defer func() {
		if w.Done.Job != nil { // a handler or one of the Events ends the goroutine
			e.pool.release(w)
		}
	}()
	e.owner.Work(w)
}

// MarkIdle notes that a worker's job is no longer running.
func (e *Engine) MarkIdle(w *Worker) {
	e.running.Add(-1)
	w.Done.markedIdle = true
}

// Succeeded is MarkIdle for a job that has succeeded and needs no report. It reports whether the
// engine counts the job.
func (e *Engine) Succeeded(w *Worker) (counted bool) {
	if w.IsFast() {
		w.Done.Succeeded = true
		return true
	}
	e.running.Add(-1)
	return false
}

// RunsAgain notes that a worker's job will wait again.
func (e *Engine) RunsAgain(w *Worker) {
	e.waiting.Add(1)
	e.MarkIdle(w)
}

// enqueue adds jobs for the workers, and makes sure that there are at least this many workers.
func (p *pool) enqueue(jobs []scheduledJob, workers int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range jobs {
		p.ready = append(p.ready, jobs[i].Start)
	}
	p.wakeOne()
	for len(p.workers) < workers {
		p.spawnOne()
	}
}

// spawnOne adds a worker. It requires that mu is held.
func (p *pool) spawnOne() {
	w := &Worker{own: p.jobs.NewFastJob(), spawned: true}
	p.workers = append(p.workers, w)
	p.spawn(w)
}

// spawn starts the goroutine of a worker, which ends when the pool is closed. If a handler or one of the
// Events calls runtime.Goexit, another goroutine takes over. It is the pool's spawn.
func (l *loop) spawn(w *Worker) {
	l.e.workers.Add(1)
	l.group.Go(func() error {
		returned := false
		defer func() {
			l.e.workers.Add(-1)
			if !returned {
				l.spawn(w)
			}
		}()
		l.e.work(w)
		returned = true
		return nil
	})
}

// wakeOne wakes or spawns a worker if there is a job for it, unless one is already on its way. It
// requires that mu is held.
func (p *pool) wakeOne() {
	more := p.fast.ready()
	if p.waking || !more && p.first == len(p.ready) {
		return
	}
	if p.waiting > 0 {
		p.waking = true
		p.news.Signal()
	} else if more && len(p.workers) < p.fast.most {
		p.waking = true
		p.spawnOne()
	}
}

func (p *pool) next(w *Worker) (s Start, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.Done.Job != nil {
		p.markDone(w)
	}
	if w.spawned {
		w.spawned, p.waking = false, false
	}
	return p.pick(w)
}

// pick takes the next job, and waits for it if necessary. It requires that mu is held.
func (p *pool) pick(w *Worker) (s Start, ok bool) {
	for {
		switch {
		case p.first < len(p.ready):
			s = p.ready[p.first]
			p.ready[p.first] = Start{}
			if p.first++; p.first == len(p.ready) {
				p.ready, p.first = p.ready[:0], 0
			}
			w.job = s.Job
		case p.fast.ready():
			s = p.startFast(w)
		case p.closed:
			return s, false
		default:
			p.jobs.ForgetFast(w.own)
			p.waiting++
			p.news.Wait()
			p.waiting--
			p.waking = false
			continue
		}
		p.wakeOne()
		return s, true
	}
}

// markDone takes the job that a worker has run. It requires that mu is held.
func (p *pool) markDone(w *Worker) {
	f := w.Done
	w.Done, w.job = Completion{}, nil
	if w.line != nil && !p.endFast(w, &f) {
		if p.fast.over() {
			p.signal()
		}
		return
	}
	p.completions = append(p.completions, f)
	p.signal()
}

// release takes the job of a worker that ends.
func (p *pool) release(w *Worker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.markDone(w)
}

// takeCompletions returns what workers have handed in, and keeps the given memory for more.
func (p *pool) takeCompletions(empty []Completion) []Completion {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.completions
	p.completions = empty
	return f
}

// running appends the jobs that are enqueued or running. It isn't known when jobs of the fast path
// began: now is close enough.
func (p *pool) running(now int64, runs []schedule.Run) []schedule.Run {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.ready[p.first:] {
		runs = append(runs, s.Job.Run())
	}
	for _, w := range p.workers {
		switch {
		case w.line != nil:
			runs = append(runs, schedule.Run{Key: w.line.Key(), Slot: now})
		case w.job != nil:
			runs = append(runs, w.job.Run())
		}
	}
	return runs
}

// clear drops everything that only Run needs. It requires that the workers have ended.
func (p *pool) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spawn = nil // it refers to the loop, and so to the context of Run
	p.workers, p.ready, p.completions = nil, nil, nil
}

// close ends the workers once they have run what is enqueued.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.news.Broadcast()
}

// observeLateness counts how late jobs were, if that is known.
func (e *Engine) observeLateness(done []Completion) {
	if len(done) == 0 {
		return
	}
	e.lateness.Lock()
	defer e.lateness.Unlock()
	for i := range done {
		if late := done[i].Late; late != Unknown {
			e.lateness.Add(time.Duration(late))
		}
	}
}
