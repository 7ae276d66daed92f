package dispatcher

import (
	"context"
	"sync/atomic"

	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/schedule"
)

// A job is plain if there is nothing to decide about it: it has no limits, no priority,
// no options and no handle, and its dispatcher is not Serial. Plain jobs go by express,
// from Submit to the workers in the order of their submission and without the scheduler,
// while it has nothing to do and all that wait are of one key: what makes a dispatcher
// without limits as good as a pool of workers. The first submission of another kind, and
// every command, ends that: the loop takes what is on its way into the scheduler, tells
// it which workers are taken, and goes by express again when there is nothing to do.
//
// There are two queues, so that those who submit and those who work do not wait for each
// other's lock: one in intake, one at the desk. A worker that takes the last job from the
// one at the desk moves all that is in the intake there.

// plainJob is a plain job that waits.
type plainJob[T any] struct {
	ctx       context.Context // that of Submit, for its values; nil if it has none
	submitted int64           // instant of the scheduler
	payload   T
}

// plainJobs is plain jobs of one key.
type plainJobs[T any] struct {
	line   *schedule.Line
	blocks [][]plainJob[T] // none is empty
	done   int             // blocks that are
	first  int             // the first job in the first of the others
}

// intake is where Submit puts plain jobs. Dispatcher.mu guards it.
type intake[T any] struct {
	open    bool           // it takes jobs
	watched bool           // somebody will look into it
	bound   bool           // jobs of line are on their way
	line    *schedule.Line // nil: there was none
	jobs    blocks[plainJob[T]]
}

// express is the plain jobs at the desk. desk.mu guards it.
type express[T any] struct {
	open      bool        // workers may take jobs
	barred    atomic.Bool // but not these, that are there: there is news for the loop; guarded by nothing
	queue     plainJobs[T]
	most      int    // workers
	running   int    // jobs, also those that run on after it was open
	rested    int    // jobs that both running and Dispatcher.running have been reduced for
	started   uint64 // jobs, since it was opened
	unsaid    int    // jobs that were started and still count as waiting
	succeeded uint64
	closing   bool // the loop wants to know when there is nothing left
}

// unsaidMost is how many jobs may have been started that Dispatcher.waiting still counts.
const unsaidMost = 64

// mayExpress reports whether jobs of this dispatcher may be plain.
func (d *Dispatcher[T]) mayExpress() bool { return !d.cfg.Serial }

// isPlain reports whether a job with these limits may be plain.
func (d *Dispatcher[T]) isPlain(job *Job[T], limits []Limit, h *Handle[T]) bool {
	return len(limits) == 0 && (limits != nil || d.cfg.Params == (gcra.FreqLimitParams{})) &&
		h == nil && job.Options == nil && job.Priority == 0
}

// acceptPlain accepts a job as a plain one, if such go by express now.
func (d *Dispatcher[T]) acceptPlain(key string, p plainJob[T]) (ok bool, err error) {
	in := &d.plain
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.closed:
		return false, ErrClosed
	case !in.open || in.bound && in.line.Key() != key:
		return false, nil
	}
	if err := d.enter(); err != nil {
		return false, err
	}
	if !in.bound {
		in.bound = true
		if in.line == nil || in.line.Key() != key {
			in.line = schedule.NewLine(key)
		}
	}
	d.submitted++
	p.submitted = d.stamp(p.submitted)
	in.jobs.add(p)
	if !in.watched {
		if !d.ran {
			d.remindOfJobs()
		}
		in.watched = true
		d.signal()
	}
	return true, nil
}

// refill moves the intake to the desk, whose own queue is empty. It requires that
// desk.mu is held.
func (d *Dispatcher[T]) refill() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.move()
}

// move requires that desk.mu and mu are held.
func (d *Dispatcher[T]) move() {
	in, q := &d.plain, &d.desk.express.queue
	for _, block := range q.blocks[:min(len(q.blocks), spareBlocks)] {
		in.jobs.recycle(block[:0]) // pop has cleared it
	}
	q.done, q.first = 0, 0
	q.line, q.blocks = in.line, in.jobs.drain(empty(q.blocks))
	if q.empty() {
		in.watched, in.bound = false, false
	}
}

// sayStarted has Dispatcher.waiting count no more jobs that were started. It requires
// that desk.mu is held.
func (d *Dispatcher[T]) sayStarted() {
	x := &d.desk.express
	if x.unsaid > 0 {
		d.leave(x.unsaid)
		x.unsaid = 0
	}
}

// makeRoom is sayStarted for who found no room. It reports whether there is some now,
// whoever has made it.
func (d *Dispatcher[T]) makeRoom() bool {
	d.desk.mu.Lock()
	defer d.desk.mu.Unlock()
	d.sayStarted()
	d.mu.Lock() // others have it while they try to enter
	defer d.mu.Unlock()
	return d.waiting.Load() < int64(d.cfg.Capacity)
}

// present returns how many jobs wait and run, and how many plain ones have succeeded.
func (d *Dispatcher[T]) present() (waiting, running int, succeeded uint64) {
	d.desk.mu.Lock()
	defer d.desk.mu.Unlock()
	x := &d.desk.express
	return int(d.waiting.Load()) - x.unsaid, int(d.running.Load()) + x.running + x.rested, x.succeeded
}

// ready reports whether there is a job for a worker.
func (x *express[T]) ready() bool {
	return x.open && !x.queue.empty() && x.running < x.most && !x.barred.Load()
}

// startPlain gives a worker the next plain job. It requires that desk.mu is held.
func (d *Dispatcher[T]) startPlain(h *hand[T]) start[T] {
	x := &d.desk.express
	p := x.queue.pop()
	x.running++
	x.started++
	h.plain = true
	e := &h.own
	x.queue.line.Start(&e.sched, x.started)
	e.sched.Slot, e.sched.Arrival, e.payload = p.submitted, p.submitted, p.payload
	if p.ctx != nil {
		e.more().ctx = p.ctx
	}
	if x.unsaid++; x.unsaid >= unsaidMost || d.wanted.Load() > 0 {
		d.sayStarted()
	}
	if x.queue.empty() {
		d.refill()
	}
	return start[T]{entry: e, slot: p.submitted}
}

// end notes that a worker is done with its job. It returns whether the loop is to hear
// of it: then f has an entry that is not the worker's own.
func (x *express[T]) end(h *hand[T], f *finished[T]) bool {
	h.plain = false
	x.running--
	if f.rested {
		x.rested++
	}
	if f.succeeded {
		x.succeeded++
	}
	silent := x.open && f.fate == fateEnded
	if !silent {
		// What comes behind a job that runs again must not overtake it.
		x.open = false
		f.plain, f.entry = true, new(h.own)
	}
	h.own = entry[T]{}
	return !silent
}

// over reports whether there is nothing to do, and nothing can come.
func (x *express[T]) over() bool { return x.closing && x.idle() }

func (x *express[T]) idle() bool { return x.running == 0 && x.queue.empty() }

// stopExpress lets no more plain jobs be accepted or started, until the loop has heard of
// what keeps them: who calls it puts that into the inbox, and signals. It requires that
// mu is held.
func (d *Dispatcher[T]) stopExpress() {
	d.plain.open = false
	d.desk.express.barred.Store(true)
}

// openExpress lets plain jobs go by express, if there is nothing to do and nothing has come.
func (l *loop[T]) openExpress() {
	if l.express || !l.mayExpress() || !l.sched.Quiet(l.now()) {
		return
	}
	l.desk.mu.Lock()
	defer l.desk.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inbox.hasNews() || l.idle != nil { // plain jobs end without a word to the loop
		return
	}
	l.express = true
	l.plain.open = true
	l.desk.express.open, l.desk.express.started = true, 0
	l.desk.express.barred.Store(false)
	l.desk.express.most = l.sched.Workers()
}

// seeToExpress ends it, if there is something for the scheduler, or wakes a worker for
// what is there. It requires that desk.mu and mu are held.
func (l *loop[T]) seeToExpress(end bool) {
	in, x := &l.plain, &l.desk.express
	if end || !in.open || !x.open {
		l.endExpress()
		return
	}
	if x.queue.empty() {
		l.move()
	}
	l.desk.wakeOne()
	x.closing = l.closed
	l.passed = x.idle()
}

// endExpress requires that desk.mu and mu are held.
func (l *loop[T]) endExpress() {
	in, x := &l.plain, &l.desk.express
	l.express = false
	in.open, in.watched, in.bound = false, false, false
	x.open = false
	l.left, x.queue = x.queue, plainJobs[T]{}
	l.left.line = in.line
	l.left.blocks = in.jobs.drain(l.left.blocks)
	l.taken += x.started
	var running []string
	for _, h := range l.desk.hands {
		if h.plain {
			running = append(running, h.own.sched.Key())
		}
	}
	for i := range l.desk.finished {
		running = append(running, l.desk.finished[i].entry.sched.Key())
	}
	l.busy += len(running)
	l.sched.Bypassed(x.started, running)
	l.sayStarted()
}

func (q *plainJobs[T]) empty() bool { return q.done == len(q.blocks) }

// pop takes out the first job.
func (q *plainJobs[T]) pop() plainJob[T] {
	block := q.blocks[q.done]
	p := block[q.first]
	block[q.first] = plainJob[T]{}
	if q.first++; q.first == len(block) {
		if q.done >= spareBlocks {
			q.blocks[q.done] = nil // garbage before the last one is done
		}
		q.done, q.first = q.done+1, 0
	}
	return p
}

// submissions takes out the first block, as jobs for the scheduler.
func (q *plainJobs[T]) submissions() []submission[T] {
	block := q.blocks[q.done][q.first:]
	q.blocks[q.done] = nil
	q.done, q.first = q.done+1, 0
	jobs := make([]submission[T], len(block))
	for i, p := range block {
		e := &entry[T]{sched: schedule.Job{Arrival: p.submitted}, payload: p.payload}
		if p.ctx != nil {
			e.more().ctx = p.ctx
		}
		jobs[i] = submission[T]{entry: e, key: q.line.Key(), limits: []Limit{}}
	}
	if q.empty() {
		*q = plainJobs[T]{}
	}
	return jobs
}
