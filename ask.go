package dispatcher

import (
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/schedule"
)

// After an error the backend is asked again after a time that doubles from
// firstRetry to lastRetry, less a random part of up to a half.
const (
	firstRetry = 10 * time.Millisecond
	lastRetry  = time.Second
)

// asker asks the backend for the loop, whose goroutine alone uses it: one job at
// a time and at once if the backend is in this process, else for batches, of
// which one is on its way at a time.
type asker[T any] struct {
	loop      *loop[T]
	inProcess bool

	limits    []backend.Limit // scratch of askNow
	requests  [1]backend.Request
	decisions [1]backend.Decision

	next   *batch[T] // being collected
	asking bool      // a batch is on its way

	failures int // batches that failed in a row
}

// batch is the requests for some jobs and the answers to them.
type batch[T any] struct {
	entries   []*entry[T]
	requests  []backend.Request
	decisions []backend.Decision
	err       error
}

// ask asks for a job that the scheduler has taken.
func (a *asker[T]) ask(now int64, e *entry[T]) {
	if a.inProcess {
		a.askNow(now, e)
		return
	}
	if a.next == nil {
		a.next = &batch[T]{}
	}
	a.next.entries = append(a.next.entries, e)
	a.next.requests = append(a.next.requests, a.request(now, e, nil))
}

// request makes the request for a job, with its limits in the given memory.
func (a *asker[T]) request(now int64, e *entry[T], limits []backend.Limit) backend.Request {
	l := a.loop
	r := backend.Request{Limits: l.sched.Request(&e.sched, limits), Horizon: l.cfg.Horizon}
	if at := l.sched.NotBefore(&e.sched); at > now {
		r.NotBefore = l.epoch.Add(time.Duration(at))
	}
	return r
}

func (a *asker[T]) askNow(now int64, e *entry[T]) {
	a.requests[0] = a.request(now, e, a.limits)
	a.limits = a.requests[0].Limits
	a.decisions[0] = backend.Decision{}
	err := a.loop.backend.Reserve(a.loop.ctx, a.requests[:], a.decisions[:])
	a.note(err)
	a.tell(now, e, &a.decisions[0], err)
}

// flush sends the batch on its way, unless another is.
func (a *asker[T]) flush() {
	if a.asking || a.next == nil {
		return
	}
	b := a.next
	a.next, a.asking = nil, true
	b.decisions = make([]backend.Decision, len(b.requests))
	l := a.loop
	l.group.Go(func() error {
		b.err = l.backend.Reserve(l.ctx, b.requests, b.decisions)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.inbox.answered = b
		l.signal()
		return nil
	})
}

// answered is called when a batch is back.
func (a *asker[T]) answered(now int64, b *batch[T]) {
	a.asking = false
	a.note(b.err)
	for i, e := range b.entries {
		a.tell(now, e, &b.decisions[i], b.err)
	}
}

// note keeps count of failures.
func (a *asker[T]) note(err error) {
	switch {
	case err != nil:
		if a.failures++; a.failures == 1 && a.loop.ctx.Err() == nil {
			a.loop.cfg.Logger.Warn("dispatcher: the backend fails, jobs wait", slog.Any("error", err))
		}
	case a.failures > 0:
		a.loop.cfg.Logger.Info("dispatcher: the backend is back", slog.Int("failures", a.failures))
		a.failures = 0
	}
}

// tell tells the scheduler what the backend said of a job.
func (a *asker[T]) tell(now int64, e *entry[T], d *backend.Decision, err error) {
	l := a.loop
	switch {
	case err != nil:
		l.sched.Failed(now, &e.sched, now+int64(a.backoff()))
	case d.Err != nil:
		l.sched.Rejected(now, &e.sched)
		l.waiting.Add(-1)
		l.report(&Result[T]{Job: e.job, Outcome: Failed, Err: d.Err})
	case d.Granted:
		slot := int64(d.Slot.Sub(l.epoch))
		l.sched.Granted(now, &e.sched, slot)
		l.accept(e, slot)
	case d.Binding < 0 || d.Binding >= len(e.job.Limits):
		// A refusal that no limit explains would be asked for again at once.
		l.sched.Failed(now, &e.sched, now+int64(lastRetry))
	default:
		// A backend that names a slot within the horizon could have granted it:
		// to ask again at once would be a loop without end.
		soonest := now + int64(l.cfg.Horizon) + 1
		l.sched.Refused(now, &e.sched, schedule.Refusal{
			Binding:  d.Binding,
			Until:    max(int64(d.Slot.Sub(l.epoch)), soonest),
			Deferred: d.Deferred,
		})
	}
}

// backoff is how long to leave a backend alone that has failed.
func (a *asker[T]) backoff() time.Duration {
	delay := lastRetry
	if shift := a.failures - 1; shift < 10 {
		delay = min(firstRetry<<shift, lastRetry)
	}
	return delay - rand.N(delay/2)
}

// discard gives back what a batch was granted that came too late.
func (a *asker[T]) discard(b *batch[T]) {
	a.asking = false
	ctx, cancel := lastWords(a.loop.ctx)
	defer cancel()
	for i := range b.entries {
		if d := &b.decisions[i]; b.err == nil && d.Granted {
			a.loop.giveBack(ctx, b.requests[i].Limits, d.Slot)
		}
	}
}
