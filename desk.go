package dispatcher

import "sync"

// desk is where the loop lays jobs whose slots have come and workers take them,
// and where workers lay jobs that they are done with: both in one visit. Workers
// are woken one by one, each by the one before if there is more to do: so as many
// run as there is work for, and few where the jobs are quick.
type desk[T any] struct {
	signal func() // tells the loop that jobs are finished

	mu       sync.Mutex // guards what follows
	news     sync.Cond  // for the workers
	starts   []start[T] // from first on
	first    int
	waiting  int  // workers
	waking   bool // one has been woken and has not been here yet: it wakes the next
	closed   bool // nothing more comes
	finished []finished[T]
}

func (k *desk[T]) open(signal func()) {
	k.signal = signal
	k.news.L = &k.mu
}

// lay hands jobs to the workers, of which there are enough.
func (k *desk[T]) lay(starts []start[T]) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.starts = append(k.starts, starts...)
	k.wakeOne()
}

// wakeOne requires that mu is held.
func (k *desk[T]) wakeOne() {
	if k.waiting > 0 && !k.waking && k.first < len(k.starts) {
		k.waking = true
		k.news.Signal()
	}
}

// next lays the job there that a worker is done with, if any, and returns the next
// one for it, or false if there will be none. It waits for it.
func (k *desk[T]) next(done *finished[T]) (s start[T], ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if done.entry != nil {
		k.finished = append(k.finished, *done)
		*done = finished[T]{}
		k.signal()
	}
	return k.pick()
}

// pick requires that mu is held.
func (k *desk[T]) pick() (s start[T], ok bool) {
	for k.first == len(k.starts) {
		if k.closed {
			return s, false
		}
		k.waiting++
		k.news.Wait()
		k.waiting--
		k.waking = false
	}
	s = k.starts[k.first]
	k.starts[k.first] = start[T]{}
	if k.first++; k.first == len(k.starts) {
		k.starts, k.first = k.starts[:0], 0
	}
	k.wakeOne()
	return s, true
}

// giveBack lays a job there whose worker ends.
func (k *desk[T]) giveBack(done *finished[T]) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.finished = append(k.finished, *done)
	k.signal()
}

// collect takes the jobs that workers are done with, for empty memory.
func (k *desk[T]) collect(empty []finished[T]) []finished[T] {
	k.mu.Lock()
	defer k.mu.Unlock()
	f := k.finished
	k.finished = empty
	return f
}

// close lets the workers go.
func (k *desk[T]) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	k.news.Broadcast()
}
