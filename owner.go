package dispatcher

import (
	"context"

	"github.com/freqlimit/dispatcher/internal/engine"
	"github.com/freqlimit/dispatcher/internal/schedule"
)

// owner implements [engine.Owner] for a dispatcher. The methods for the fast path are in fastjobs.go.
type owner[T any] Dispatcher[T]

func (o *owner[T]) dispatcher() *Dispatcher[T] { return (*Dispatcher[T])(o) }

func (o *owner[T]) IsCanceled(j *schedule.Job) bool {
	return o.dispatcher().isCanceled(entryOf[T](j))
}

func (o *owner[T]) Work(w *engine.Worker) { o.dispatcher().work(w) }

func (o *owner[T]) BackendChanged(ctx context.Context, err error) {
	o.dispatcher().tellBackend(ctx, err)
}

// Ended ends a job that has not run, or not run again.
func (o *owner[T]) Ended(j *schedule.Job, s *engine.Submission, why engine.Reason, err error) {
	d, e := o.dispatcher(), entryOf[T](j)
	r := &Result[T]{Err: err}
	switch why {
	case engine.Rejected:
		r.Outcome = Failed
	case engine.Canceled:
		r.Outcome, r.Err = Canceled, ErrCanceled
	case engine.Expired:
		r.Outcome, r.Err = Expired, ErrExpired
	case engine.Stopped:
		r.Outcome, r.Err = Dropped, d.stopped(e)
	}
	if s != nil {
		d.seal(e)
		d.snapshotSubmission(s, &r.Job)
		d.endUnrun(e, r)
		return
	}
	d.endWaiting(e, r)
}

// endWaiting ends a job that the scheduler has or had, before it runs or runs again. It sets r.Job.
func (d *Dispatcher[T]) endWaiting(e *entry[T], r *Result[T]) {
	d.seal(e)
	d.snapshot(e, &r.Job)
	d.endUnrun(e, r)
}

func (d *Dispatcher[T]) endUnrun(e *entry[T], r *Result[T]) {
	if d.kept != nil {
		d.endLater(e, r)
		return
	}
	d.recordOutcome(e, r)
	d.reportSoon(e, r)
	if e.extra != nil {
		// The scheduler or a handle may hold on to it for a while.
		var none T
		e.payload = none
	}
}
