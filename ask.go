package dispatcher

import (
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/schedule"
)

// asker asks the backend for the loop, whose goroutine alone uses it: one job at
// a time and at once if the backend is in this process, else for batches, which
// fly while the loop goes on.
type asker[T any] struct {
	loop      *loop[T]
	inProcess bool
	horizon   time.Duration // of the requests

	// Scratch of askNow.
	heldBy    [1]string
	requests  [1]backend.Request
	decisions [1]backend.Decision

	sharder backend.Sharder // nil if the backend is none
	shards  []*shard[T]     // of a backend that is none there is one
	batches []*batch[T]     // on their way
	trip    roundTrip       // how long they take, if Config.Horizon does not say

	failures int   // in a row
	someAt   int64 // when a part of the backend was last reported to fail

	slow map[string]putOff // of limits that others may use at shorter intervals
}

func newAsker[T any](l *loop[T]) asker[T] {
	_, inProcess := l.backend.(backend.InProcess)
	a := asker[T]{loop: l, inProcess: inProcess, horizon: l.cfg.Horizon}
	if a.sharder, _ = l.backend.(backend.Sharder); a.sharder == nil {
		a.shards = []*shard[T]{{}}
	}
	if a.horizon == 0 {
		a.horizon = DefaultHorizon
		if !inProcess {
			a.horizon = a.trip.horizon()
		}
	}
	return a
}

// lead is how long before a slot the backend is asked for it. One that takes a
// round trip is asked early, for all slots up to the horizon at once.
func (a *asker[T]) lead() time.Duration {
	if a.inProcess {
		return a.horizon
	}
	return max(a.horizon/2, 1)
}

// ask asks for a job that the scheduler has taken.
func (a *asker[T]) ask(now int64, e *entry[T]) {
	if a.inProcess {
		a.askNow(now, e)
		return
	}
	a.add(now, e)
}

// request makes r the request for a job, with its limits in the memory of those that r has.
// It leaves HeldBy to the caller.
func (a *asker[T]) request(now int64, e *entry[T], r *backend.Request) {
	l := a.loop
	limits := l.sched.Request(&e.sched, r.Limits)
	*r = backend.Request{} // a literal with values would be made elsewhere and copied here
	r.Limits = limits
	r.Horizon = a.horizon
	r.InTurn = !a.inProcess
	if l.mixed.slower.Load() {
		a.reach(now, r)
	}
	if left := l.sched.Deadline(&e.sched) - now; left < int64(r.Horizon) {
		r.Horizon = time.Duration(max(left, 0))
	}
	if at := l.sched.NotBefore(&e.sched); at > now {
		r.NotBefore = l.epoch.Add(time.Duration(at))
	}
}

func (a *asker[T]) askNow(now int64, e *entry[T]) {
	r := &a.requests[0]
	a.request(now, e, r)
	limits := r.Limits
	if !a.loop.sched.IsLimit(&e.sched) {
		a.heldBy[0] = e.sched.Key()
		r.HeldBy = a.heldBy[:]
	}
	a.decisions[0] = backend.Decision{}
	err := reserve(a.loop.ctx, a.loop.backend, a.requests[:], a.decisions[:])
	a.note(err)
	a.tell(now, e, limits, &a.decisions[0], err)
}

// tell tells the scheduler what the backend said of a job, for which it was asked for
// these limits.
func (a *asker[T]) tell(now int64, e *entry[T], limits []backend.Limit, d *backend.Decision, err error) {
	l := a.loop
	if e.extra != nil {
		if a.tooLate(now, e, limits, d, err) {
			return
		}
		e.extra.stage = stageWaiting
	}
	switch {
	case err != nil:
		l.sched.Failed(now, &e.sched, now+int64(a.backoff()))
	case d.Err != nil && d.Undecided:
		// What keeps this request from being decided need not keep others.
		l.sched.Refused(now, &e.sched, schedule.Refusal{Until: now + int64(jittered(partRetry)), Held: true})
	case d.Err != nil:
		job := l.lastOf(e)
		l.sched.Rejected(now, &e.sched)
		l.drop(e, job, Failed, d.Err)
	case d.Granted && l.sched.IsDeclined(&e.sched):
		a.declined(now, e, limits, d.Stamp)
	case d.Granted:
		slot := int64(d.Slot.Sub(*l.epoch))
		if len(a.slow) > 0 {
			a.reached(e.sched.Limits(), slot)
		}
		l.sched.Granted(now, &e.sched, slot)
		l.accept(e, slot, d.Stamp)
	case d.Binding >= len(e.sched.Limits()) || d.Binding < 0 && !d.Held:
		// A refusal that no limit explains would be asked for again at once.
		l.sched.Failed(now, &e.sched, now+int64(time.Second))
	default:
		r := schedule.Refusal{
			Binding: d.Binding,
			Until:   max(int64(d.Slot.Sub(*l.epoch)), now+int64(a.respite())),
			Held:    d.Held,
		}
		if !d.Turn.IsZero() && d.Binding >= 0 {
			r.Turn = int64(d.Turn.Sub(*l.epoch))
		}
		l.sched.Refused(now, &e.sched, r)
	}
}

// tooLate ends a job that was canceled while the backend was asked, or got a slot
// after its deadline.
func (a *asker[T]) tooLate(now int64, e *entry[T], limits []backend.Limit, d *backend.Decision, err error) bool {
	l := a.loop
	outcome, why := Canceled, ErrCanceled
	granted := err == nil && d.Granted
	switch {
	case l.isCanceled(e):
	case granted && int64(d.Slot.Sub(*l.epoch)) > l.sched.Deadline(&e.sched):
		outcome, why = Expired, ErrExpired
	default:
		return false
	}
	job := l.lastOf(e)
	l.sched.Rejected(now, &e.sched)
	if granted {
		l.giveBackSoon(spare{limits, d.Stamp})
	}
	l.drop(e, job, outcome, why)
	return true
}

// respite is before when a slot that was refused is not asked for again. A
// backend that names a slot within the horizon could have granted it: to ask
// again at once would be a loop without end. In the time of a round trip the
// slot may have come nearer.
func (a *asker[T]) respite() time.Duration {
	if a.inProcess {
		return a.horizon + 1
	}
	return a.lead() + 2*time.Millisecond
}

// After an error the backend is asked again after a time that doubles from
// firstRetry to lastRetry, less a random part of up to a half.
const (
	firstRetry = 10 * time.Millisecond
	lastRetry  = 500 * time.Millisecond
)

// backoff is how long to leave a backend alone that has failed.
func (a *asker[T]) backoff() time.Duration {
	delay := lastRetry
	if shift := a.failures - 1; shift < 10 {
		delay = min(firstRetry<<shift, lastRetry)
	}
	return jittered(delay)
}

func jittered(d time.Duration) time.Duration { return d - rand.N(d/2) }

// note keeps count of failures, and makes known when they begin and end.
func (a *asker[T]) note(err error) {
	l := a.loop
	switch {
	case err != nil:
		a.failures++
		if a.failures > 1 || l.ctx.Err() != nil {
			return
		}
		l.away.Store(&Away{Since: time.Now(), Err: err})
		l.logSoon(slog.LevelWarn, "dispatcher: the backend fails, jobs wait", slog.Any("error", err))
	case a.failures == 0:
		return
	default:
		l.away.Store(nil)
		l.logSoon(slog.LevelInfo, "dispatcher: the backend is back", slog.Int("failures", a.failures))
		a.failures = 0
	}
	if e := &l.cfg.Events; err != nil && e.BackendDown != nil || err == nil && e.BackendUp != nil {
		l.reports.add(func() { l.tellBackend(l.contexts.events, err) })
	}
}

// noteSome logs, once a minute, that a part of the backend fails: jobs that are
// under limits which it keeps wait, others go on.
func (a *asker[T]) noteSome(now int64, err error) {
	if err == nil || a.someAt > 0 && now-a.someAt < int64(time.Minute) {
		return
	}
	a.someAt = now
	a.loop.logSoon(slog.LevelWarn, "dispatcher: a part of the backend fails, jobs wait for it", slog.Any("error", err))
}
