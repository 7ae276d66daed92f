package dispatcher

import (
	"context"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/guard"
)

// keptRange is the jobs with numbers after one and before another.
type keptRange struct{ after, before int64 }

// markDropped keeps the jobs of a key that are left to Load from being passed to the engine, and returns
// the range in which they are.
func (d *Dispatcher[T]) markDropped(key string) (left keptRange) {
	k := d.kept
	d.engine.Lock()
	defer d.engine.Unlock()
	k.drops++
	k.dropping[key] = k.next
	if k.isLoaded() {
		return left
	}
	return keptRange{k.loaded, k.next}
}

// unmarkDropped is called once for each call of markDropped.
func (d *Dispatcher[T]) unmarkDropped() {
	d.engine.Lock()
	defer d.engine.Unlock()
	d.kept.drops--
	d.kept.forgetDrops()
}

// forgetDrops clears k.dropping, unless it is in use: Load may have read jobs before they were dropped. It
// requires that the engine is locked.
func (k *keeper[T]) forgetDrops() {
	if k.drops == 0 && !k.reading {
		clear(k.dropping)
	}
}

// dropUnloaded ends the jobs of a key in a range of those that are left to Load, and returns them in the
// order of their submission. It returns once the ends of all jobs have been written.
func (d *Dispatcher[T]) dropUnloaded(ctx context.Context, key string, left keptRange) (dropped []Job[T], err error) {
	k := d.kept
	after, before := left.after, left.before
	jobs := make([]backend.KeptJob, loadAtOnce)
	for more := after+1 < before; more; {
		n := 0
		err := guard.Call(func() (err error) {
			n, err = k.journal.Jobs(ctx, after, jobs)
			return err
		})
		if err != nil {
			return dropped, err
		}
		for i := range jobs[:n] {
			if j := &jobs[i]; j.Key == key && j.Number < before {
				dropped = append(dropped, d.dropKept(j))
			}
		}
		more = n == len(jobs) && jobs[n-1].Number < before
		if n > 0 {
			after = jobs[n-1].Number
		}
	}
	return dropped, d.awaitReports(ctx)
}

// dropKept ends a job that is left to Load.
func (d *Dispatcher[T]) dropKept(j *backend.KeptJob) Job[T] {
	c, end := d.restore(j)
	var r Result[T]
	switch {
	case end != nil:
		c, r = keptOf(end.entry), end.result
	case c != nil:
		r.Job.Payload = c.entry.payload
		d.fillKept(&r.Job, j)
	default: // of a newer version
		c = &kept[T]{number: j.Number}
		d.fillKept(&r.Job, j)
	}
	r.Outcome, r.Err = Dropped, ErrDropped
	d.engine.Lock()
	d.engine.Count(1)
	if t := d.kept.tracked[j.Number]; t != nil {
		delete(d.kept.tracked, j.Number)
		c = t
	}
	d.engine.Unlock()
	d.endLater(&c.entry, &r)
	return r.Job
}
