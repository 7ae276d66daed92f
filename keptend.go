package dispatcher

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/engine"
	"github.com/freqlimit/dispatcher/internal/guard"
	"github.com/freqlimit/dispatcher/internal/schedule"
)

// keptEnd is the end of a kept job that did not run.
type keptEnd[T any] struct {
	entry  *entry[T]
	result Result[T]
}

// Number implements [engine.KeptJobs].
func (o *owner[T]) Number(j *schedule.Job) int64 {
	c := keptOf(entryOf[T](j))
	c.asked = true
	return c.number
}

// Kept implements [engine.KeptJobs].
func (o *owner[T]) Kept(j *schedule.Job) {
	d, e := o.dispatcher(), entryOf[T](j)
	d.engine.Lock()
	defer d.engine.Unlock()
	if keptOf(e).asked { // also if it gave its slot back
		d.kept.unclaim = append(d.kept.unclaim, backend.Requeue{Number: keptOf(e).number, Progress: d.progress(e)})
	}
	d.stayKept(e)
}

// stayKept ends this dispatcher's part in a job that stays in the journal. It requires that the engine is
// locked.
func (d *Dispatcher[T]) stayKept(e *entry[T]) {
	if e.extra == nil || e.extra.handle == nil {
		return
	}
	e.extra.ended = true
	r := &Result[T]{Outcome: Kept, Err: ErrKept}
	r.Job.Payload = e.payload
	e.extra.handle.finish(r)
}

// progress returns what a job has been through.
func (d *Dispatcher[T]) progress(e *entry[T]) backend.Progress {
	p := backend.Progress{Losses: keptOf(e).losses}
	if x := e.extra; x != nil {
		p.Attempts, p.Failures, p.Holds = x.attempt, x.failures, x.holds
		if x.err != nil {
			p.LastError = errorText(x.err)
		}
	}
	return p
}

// errorText returns the text of an error of a handler, whose methods may panic.
func errorText(err error) (text string) {
	defer func() {
		if recover() != nil {
			text = "error whose text can't be read"
		}
	}()
	return err.Error()
}

// settle writes what has become of jobs, again and again until the journal takes it. When Run stops, it goes on
// only for a short time: then the jobs will run again.
func (d *Dispatcher[T]) settle(c *backend.Changes) {
	run := d.engine.Contexts().Run
	ctx, cancel := context.WithCancel(context.WithoutCancel(run))
	defer cancel()
	stop := context.AfterFunc(run, func() {
		time.AfterFunc(guard.CleanupTimeout, cancel)
	})
	defer stop()
	if err := d.persist(ctx, "end jobs", func() error { return d.kept.journal.Write(ctx, c) }); err != nil {
		d.engine.Log(slog.LevelError, "dispatcher: journal unavailable, jobs that have ended may run again",
			slog.Int("jobs", len(c.Ended)+len(c.Died)+len(c.Requeued)), slog.Any("error", err))
	}
}

// ended adds the end of a job to changes.
func (d *Dispatcher[T]) ended(c *backend.Changes, e *entry[T], o Outcome, err error) {
	number := keptOf(e).number
	switch o {
	case Failed, Panicked, Uncertain:
		c.Died = append(c.Died, backend.Death{Number: number, Reason: errorText(err), At: time.Now()})
	default:
		c.Ended = append(c.Ended, number)
	}
}

// settleRun writes the end of a job that ran.
func (d *Dispatcher[T]) settleRun(e *entry[T], o Outcome, err error) {
	var c backend.Changes
	d.ended(&c, e, o, err)
	d.settle(&c)
	d.engine.Lock()
	d.uncount(1)
	d.engine.Unlock()
}

// requeueKept writes that a job waits again, until an instant.
func (d *Dispatcher[T]) requeueKept(e *entry[T], until int64) {
	p := d.progress(e)
	if until > d.engine.Now() {
		p.RetryAt = d.engine.Epoch().Add(time.Duration(until)).Round(0)
	}
	keptOf(e).asked = false
	d.settle(&backend.Changes{Requeued: []backend.Requeue{{Number: keptOf(e).number, Progress: p}}})
}

// keepCutOff has a job wait for the next Run whose handler was cut off when this one stopped.
func (d *Dispatcher[T]) keepCutOff(e *entry[T], a *attempt[T], w *engine.Worker) {
	x := e.more()
	x.attempt, x.err = a.job.attempt, a.err
	d.requeueKept(e, 0)
	d.engine.MarkIdle(w)
	d.engine.Lock()
	defer d.engine.Unlock()
	d.stayKept(e)
}

// endLater writes and reports the end of a job that did not run, in the goroutine that reports.
func (d *Dispatcher[T]) endLater(e *entry[T], r *Result[T]) {
	k := d.kept
	d.engine.Lock()
	k.ends = append(k.ends, &keptEnd[T]{e, *r})
	first := len(k.ends) == 1
	d.engine.Unlock()
	if first {
		d.engine.Report(d.settleEnds)
	}
}

// awaitReports waits until everything that was to be reported has been.
func (d *Dispatcher[T]) awaitReports(ctx context.Context) error {
	done := make(chan struct{})
	d.engine.Report(func() { close(done) })
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// settleEnds writes and reports the ends of all jobs that did not run.
func (d *Dispatcher[T]) settleEnds() {
	k := d.kept
	d.engine.Lock()
	ends := k.ends
	k.ends = nil
	d.engine.Unlock()
	var c backend.Changes
	for _, end := range ends {
		d.ended(&c, end.entry, end.result.Outcome, end.result.Err)
	}
	d.settle(&c)
	d.engine.Lock()
	d.uncount(len(ends))
	d.engine.Unlock()
	for _, end := range ends {
		d.reportKept(end)
	}
}

// reportKept reports the end of a job that did not run.
func (d *Dispatcher[T]) reportKept(end *keptEnd[T]) {
	d.recordOutcome(end.entry, &end.result)
	if d.cfg.Events.Done != nil || end.result.Outcome == Failed {
		d.report(end.entry.context(d.engine.Contexts().Events), &end.result)
	}
}

// forget has the journal delete a job that was not accepted but may have been written. It requires that
// the engine is locked.
func (d *Dispatcher[T]) forget(number int64) {
	d.kept.forgotten[number] = struct{}{}
	d.kept.signal()
}

// deleteForgotten does what forget asks for.
func (d *Dispatcher[T]) deleteForgotten() {
	k := d.kept
	d.engine.Lock()
	c := backend.Changes{Ended: slices.Collect(maps.Keys(k.forgotten))}
	d.engine.Unlock()
	if len(c.Ended) == 0 {
		return
	}
	d.settle(&c)
	d.engine.Lock()
	defer d.engine.Unlock()
	for _, number := range c.Ended {
		delete(k.forgotten, number)
	}
}

// leaveKept is called when Run ends. It writes that jobs that were claimed have not started, and ends the
// handles of jobs that were left to Load.
func (d *Dispatcher[T]) leaveKept() {
	k := d.kept
	d.engine.Lock()
	for _, c := range k.tracked {
		d.stayKept(&c.entry)
	}
	clear(k.tracked)
	d.engine.Unlock()
	if len(k.unclaim) == 0 {
		return
	}
	ctx, cancel := guard.CleanupContext(context.Background())
	defer cancel()
	c := &backend.Changes{Requeued: k.unclaim}
	_ = d.persist(ctx, "give claims back", func() error { return k.journal.Write(ctx, c) })
}
