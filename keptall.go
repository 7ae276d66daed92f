package dispatcher

import (
	"cmp"
	"context"
	"iter"
	"sync"
)

// mostTogether is how many jobs of SubmitAll are written together at most.
const mostTogether = 1000

// together writes the jobs of SubmitAll. While some are being written, it takes the next ones.
type together[T any] struct {
	d *Dispatcher[T]

	mu       sync.Mutex  // guards what follows
	next     []*offer[T] // entered, and not being written
	writing  bool        // a goroutine writes until next is empty
	accepted int         // how many were
	err      error       // of a write: no more are accepted
	written  sync.Cond   // a write has ended
}

// add writes a job soon, whether or not another one comes. The error is an earlier job's.
func (w *together[T]) add(o *offer[T]) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.next) == mostTogether && w.err == nil {
		w.written.Wait()
	}
	if w.err != nil {
		w.d.withdraw([]*offer[T]{o})
		return w.err
	}
	w.next = append(w.next, o)
	if !w.writing {
		w.writing = true
		go w.write()
	}
	return nil
}

// write writes jobs until there are none.
func (w *together[T]) write() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.next) > 0 && w.err == nil {
		offers := w.next
		w.next = nil
		w.mu.Unlock()
		err := w.d.writeKept(offers)
		w.mu.Lock()
		if w.err = err; err == nil {
			w.accepted += len(offers)
		}
		w.written.Broadcast()
	}
	if len(w.next) > 0 { // after an error
		w.d.withdraw(w.next)
	}
	w.next, w.writing = nil, false
	w.written.Broadcast()
}

// flush waits until all jobs have been written, and returns how many were accepted and the error.
func (w *together[T]) flush() (accepted int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.writing {
		w.written.Wait()
	}
	return w.accepted, w.err
}

// keepAll is SubmitAll for jobs that are kept.
func (d *Dispatcher[T]) keepAll(ctx context.Context, jobs iter.Seq[Job[T]]) (n int, err error) {
	w := &together[T]{d: d}
	w.written.L = &w.mu
	alone := 0 // how many were accepted by themselves
	for job := range jobs {
		o, err := d.enterNext(ctx, job)
		if o == nil { // it can't be written with others
			if n, failed := w.flush(); failed != nil || err != nil && !isFull(err) {
				return n + alone, cmp.Or(failed, err)
			}
			if err = d.submitWhenRoom(ctx, job); err == nil {
				alone++
			}
		} else {
			err = w.add(o)
		}
		if err != nil {
			n, _ := w.flush()
			return n + alone, err
		}
	}
	n, err = w.flush()
	return n + alone, err
}

// enterNext makes room for a job of SubmitAll. It returns nil if the job has an ID, and must be submitted by itself.
func (d *Dispatcher[T]) enterNext(ctx context.Context, job Job[T]) (*offer[T], error) {
	o, err := optionsOf(&job)
	if err != nil {
		return nil, err
	}
	limits, err := d.admissible(ctx, &job)
	if err != nil || job.ID != "" {
		return nil, err
	}
	if ctx == context.Background() {
		ctx = nil // it has no values
	}
	f, err := d.offer(ctx, d.engine.Now(), &job, limits, o, nil)
	if err == nil {
		_, err = d.enterKept(f)
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// withdraw undoes enterNext.
func (d *Dispatcher[T]) withdraw(offers []*offer[T]) {
	k := d.kept
	d.engine.Lock()
	defer d.engine.Unlock()
	for _, o := range offers {
		delete(k.writing, keptOf(entryOf[T](o.s.Job)).number)
	}
	d.uncount(len(offers))
	d.engine.Coming(-len(offers))
}
