package dispatcher

import (
	"sync"

	"github.com/freqlimit/dispatcher/internal/schedule"
)

// desk is where the loop lays jobs whose slots have come and workers take them,
// and where workers lay jobs that they are done with: both in one visit. Workers
// are woken one by one, each by the one before if there is more to do: so as many
// run as there is work for, and few where the jobs are quick.
type desk[T any] struct {
	signal     func()                  // tells the loop that jobs are finished
	hire       func(*hand[T])          // starts a worker
	startPlain func(*hand[T]) start[T] // takes a job from express

	mu       sync.Mutex // guards what follows
	news     sync.Cond  // for the workers
	hands    []*hand[T]
	starts   []start[T] // from first on
	first    int
	express  express[T]
	waiting  int  // workers
	waking   bool // one has been woken or hired and has not been here yet: it wakes the next
	closed   bool // nothing more comes
	finished []finished[T]
}

// hand is what a worker has in its hands.
type hand[T any] struct {
	plain bool        // the job has bypassed the scheduler; guarded by the desk
	own   entry[T]    // that job
	entry *entry[T]   // another job; guarded by the desk
	done  finished[T] // the job that it is done with, and has not said so
	hired bool        // it has not been to the desk
}

func (k *desk[T]) open(d *Dispatcher[T]) {
	k.news.L = &k.mu
	k.signal = d.signal
	k.startPlain = d.startPlain
	d.plain.open = d.mayExpress()
	k.express.open, k.express.most = d.plain.open, d.cfg.Workers
}

// lay hands jobs to the workers, of which there are to be so many.
func (k *desk[T]) lay(jobs []coming[T], workers int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range jobs {
		k.starts = append(k.starts, jobs[i].start)
	}
	k.wakeOne()
	for len(k.hands) < workers {
		k.hireOne()
	}
}

func (k *desk[T]) hireOne() {
	h := &hand[T]{hired: true}
	k.hands = append(k.hands, h)
	k.hire(h)
}

// wakeOne requires that mu is held.
func (k *desk[T]) wakeOne() {
	more := k.express.ready()
	if k.waking || !more && k.first == len(k.starts) {
		return
	}
	if k.waiting > 0 {
		k.waking = true
		k.news.Signal()
	} else if more && len(k.hands) < k.express.most {
		k.waking = true
		k.hireOne()
	}
}

// next lays the job there that a worker is done with, if any, and returns the next
// one for it, or false if there will be none. It waits for it.
func (k *desk[T]) next(h *hand[T]) (s start[T], ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if h.done.entry != nil {
		k.layBack(h)
	}
	if h.hired {
		h.hired, k.waking = false, false
	}
	return k.pick(h)
}

// pick requires that mu is held.
func (k *desk[T]) pick(h *hand[T]) (s start[T], ok bool) {
	for {
		switch {
		case k.first < len(k.starts):
			s = k.starts[k.first]
			k.starts[k.first] = start[T]{}
			if k.first++; k.first == len(k.starts) {
				k.starts, k.first = k.starts[:0], 0
			}
			h.entry = s.entry
		case k.express.ready():
			s = k.startPlain(h)
		case k.closed:
			return s, false
		default:
			k.waiting++
			k.news.Wait()
			k.waiting--
			k.waking = false
			continue
		}
		k.wakeOne()
		return s, true
	}
}

// layBack requires that mu is held.
func (k *desk[T]) layBack(h *hand[T]) {
	f := h.done
	h.done, h.entry = finished[T]{}, nil
	if h.plain && !k.express.end(h, &f) {
		if k.express.over() {
			k.signal()
		}
		return
	}
	k.finished = append(k.finished, f)
	k.signal()
}

// giveBack lays a job there whose worker ends.
func (k *desk[T]) giveBack(h *hand[T]) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.layBack(h)
}

// collect takes the jobs that workers are done with, for empty memory.
func (k *desk[T]) collect(empty []finished[T]) []finished[T] {
	k.mu.Lock()
	defer k.mu.Unlock()
	f := k.finished
	k.finished = empty
	return f
}

// running appends the jobs that are here or that workers have. When those began that
// have bypassed the scheduler is not known: as good as now.
func (k *desk[T]) running(now int64, runs []schedule.Run) []schedule.Run {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range k.starts[k.first:] {
		runs = append(runs, s.entry.sched.Run())
	}
	for _, h := range k.hands {
		switch {
		case h.plain:
			runs = append(runs, schedule.Run{Key: h.own.sched.Key(), Slot: now})
		case h.entry != nil:
			runs = append(runs, h.entry.sched.Run())
		}
	}
	return runs
}

// clear gives up all that Run has needed. There are no workers any more.
func (k *desk[T]) clear() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.hire = nil // knows the loop, and that the context of Run
	k.hands, k.starts, k.finished = nil, nil, nil
}

// close lets the workers go.
func (k *desk[T]) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	k.news.Broadcast()
}
