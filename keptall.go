package dispatcher

import (
	"context"
	"iter"
)

// mostTogether is how many jobs of SubmitAll are written together at most.
const mostTogether = 1000

// keepAll is SubmitAll for jobs that are kept. While some are being written, it takes the next ones.
func (d *Dispatcher[T]) keepAll(ctx context.Context, jobs iter.Seq[Job[T]]) (n int, err error) {
	var next []*offer[T]
	var writing chan error // of a write, nil if none is going on
	var batch int          // how many jobs that writes
	settle := func() error {
		if writing == nil {
			return nil
		}
		err := <-writing
		writing = nil
		if err == nil {
			n += batch
		}
		return err
	}
	write := func() {
		offers := next
		writing, batch, next = make(chan error, 1), len(next), nil
		go func(done chan<- error) { done <- d.writeKept(offers) }(writing)
	}
	flush := func() error {
		if err := settle(); err != nil || len(next) == 0 {
			d.withdraw(next)
			return err
		}
		write()
		return settle()
	}
	for job := range jobs {
		f, err := d.enterNext(ctx, job)
		if f == nil { // it can't be written with others
			if flushed := flush(); flushed != nil {
				return n, flushed
			}
			if err != nil && !isFull(err) {
				return n, err
			}
			if err := d.submitWhenRoom(ctx, job); err != nil {
				return n, err
			}
			n++
			continue
		}
		next = append(next, f)
		select {
		case err := <-orNil(writing):
			writing = nil
			if err != nil {
				d.withdraw(next)
				return n, err
			}
			n += batch
		default:
			if len(next) == mostTogether {
				if err := settle(); err != nil {
					d.withdraw(next)
					return n, err
				}
			}
		}
		if writing == nil {
			write()
		}
	}
	err = flush()
	return n, err
}

// orNil returns the channel: receiving from nil blocks.
func orNil(c chan error) <-chan error { return c }

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
