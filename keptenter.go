package dispatcher

import (
	"context"

	"github.com/freqlimit/dispatcher/backend"
)

// enterKept makes room for a job that is to be written, and gives it its number. If its payload goes to
// a waiting job, it returns that instead.
func (d *Dispatcher[T]) enterKept(o *offer[T]) (waiting *entry[T], err error) {
	for {
		if entryOf[T](o.s.Job).hasID() {
			if waiting, err := d.replaceWithID(o); waiting != nil || err != nil {
				return waiting, err
			}
		}
		entered, err := d.tryEnter(o)
		if entered || err != nil {
			return nil, err
		}
	}
}

// tryEnter is enterKept for a job whose ID, if it has one, no other job had. It reports false if one has
// come since.
func (d *Dispatcher[T]) tryEnter(o *offer[T]) (entered bool, err error) {
	k, e := d.kept, entryOf[T](o.s.Job)
	d.engine.Lock()
	defer d.engine.Unlock()
	if d.engine.IsClosed() {
		return false, ErrClosed
	}
	if e.hasID() {
		latest, ok := d.ids.Get(o.job.ID)
		if ok && (o.job.OnDuplicate == RejectDuplicate || mayReplace(latest)) {
			return false, nil
		}
	}
	if k.count >= d.cfg.Capacity {
		return false, &FullError{Capacity: d.cfg.Capacity}
	}
	c := keptOf(e)
	c.number, c.submitted = k.next, e.sched.Arrival
	k.next++
	k.count++
	k.writing[c.number] = &pending{job: o.s}
	d.engine.Coming(1)
	if e.hasID() {
		d.claimID(e)
	}
	return true, nil
}

// replaceWithID looks for another job with the ID of a job that is submitted. If there is one,
// replaceWithID returns an error, or gives it the payload and returns it. It returns neither if there is none,
// or if the other one runs.
func (d *Dispatcher[T]) replaceWithID(o *offer[T]) (waiting *entry[T], err error) {
	for waiting == nil {
		old, number, err := d.keptWithID(o.job.ID)
		switch {
		case err != nil:
			return nil, err
		case number == 0:
			return nil, nil
		case o.job.OnDuplicate == RejectDuplicate:
			return nil, &DuplicateError{ID: o.job.ID}
		}
		if old != nil {
			d.engine.Lock()
			may := mayReplace(old)
			d.engine.Unlock()
			if !may {
				return nil, nil
			}
		} else if d.hasPassed(number) {
			return nil, nil // it is ending, or waits for a process that reads it
		}
		if waiting, err = d.replaceKept(old, number, o); err != nil {
			return nil, err
		}
	}
	return waiting, nil
}

// keptWithID returns the number of the latest job with an ID that has not ended, 0 if there is none, and
// its entry if it is in memory. It waits for a job that is being written.
func (d *Dispatcher[T]) keptWithID(id string) (e *entry[T], number int64, err error) {
	k := d.kept
	d.engine.Lock()
	for {
		if d.engine.IsClosed() {
			d.engine.Unlock()
			return nil, 0, ErrClosed
		}
		e, _ = d.ids.Get(id)
		if e == nil {
			break
		}
		number = keptOf(e).number
		if p := k.writing[number]; p == nil || p.written {
			d.engine.Unlock()
			return e, number, nil
		}
		k.written.Wait()
	}
	loaded := k.isLoaded()
	d.engine.Unlock()
	if loaded {
		return nil, 0, nil
	}
	for {
		number, err = k.find(context.Background(), id)
		if err == nil && d.isForgotten(number) {
			// Its submitter must not take it for the job that was accepted.
			if err = k.write(context.Background(), &backend.Changes{Ended: []int64{number}}); err == nil {
				continue
			}
		}
		if err != nil {
			err = &JournalError{Op: "submit", Err: err}
		}
		return nil, number, err
	}
}

// hasPassed reports whether Load has passed a number.
func (d *Dispatcher[T]) hasPassed(number int64) bool {
	d.engine.Lock()
	defer d.engine.Unlock()
	return number <= d.kept.loaded
}

// isForgotten reports whether a job was not accepted, but may be in the journal.
func (d *Dispatcher[T]) isForgotten(number int64) bool {
	d.engine.Lock()
	defer d.engine.Unlock()
	_, is := d.kept.forgotten[number]
	return is
}

// mayReplace reports whether a job's payload can be replaced. It requires that the engine is locked.
func mayReplace[T any](e *entry[T]) bool {
	return !e.extra.running && !e.extra.canceled && !e.extra.ended
}

// replaceKept gives a waiting job the payload of one that is submitted. Without old, the job is left to
// Load. It returns nil if the job has started or ended meanwhile.
func (d *Dispatcher[T]) replaceKept(old *entry[T], number int64, o *offer[T]) (*entry[T], error) {
	k, e := d.kept, entryOf[T](o.s.Job)
	c := &backend.Changes{Replaced: []backend.Replacement{{Number: number, Payload: o.data, Version: k.codec.Version}}}
	if err := k.write(context.Background(), c); err != nil {
		return nil, &JournalError{Op: "submit", Err: err}
	}
	d.engine.Lock()
	defer d.engine.Unlock()
	if old == nil {
		old, _ = d.ids.Get(o.job.ID) // Load may have passed it on, with either payload
	}
	switch {
	case old == nil && number > k.loaded:
		k.replaced[number] = e.payload
		d.replaced++
		keptOf(e).number = number
		if first := k.tracked[number]; first != nil {
			return &first.entry, nil
		}
		if e.extra.handle != nil {
			k.tracked[number] = keptOf(e)
		}
		return e, nil
	case old == nil || keptOf(old).number != number || !mayReplace(old):
		return nil, nil
	}
	old.payload = e.payload
	if h := e.extra.handle; h != nil && old.extra.handle == nil {
		old.extra.handle, h.entry = h, old
	}
	d.replaced++
	return old, nil
}
