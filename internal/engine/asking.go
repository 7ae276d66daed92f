package engine

import (
	"log/slog"
	"time"

	"github.com/freqlimit/dispatcher/internal/reserve"
	"github.com/freqlimit/dispatcher/internal/schedule"
)

// newReserver returns the loop's Reserver.
func (l *loop) newReserver() *reserve.Reserver {
	e := l.e
	horizon := e.cfg.Horizon
	if horizon == 0 && e.traits.InProcess {
		horizon = HorizonInProcess
	}
	return reserve.New(reserve.Config{
		Backend:   e.cfg.Backend,
		Traits:    e.traits,
		Scheduler: l.sched,
		Owner:     (*reserveOwner)(l),
		Epoch:     *e.epoch,
		MemberID:  e.member,
		Mixed:     &e.mixed,
		Horizon:   horizon,
		Run:       l.ctx,
		Asking:    e.contexts.asking,
		Go:        l.group.Go,
	})
}

// reserveOwner implements [reserve.Owner] for the loop.
type reserveOwner loop

func (o *reserveOwner) Now() int64 { return o.e.Now() }

func (o *reserveOwner) IsCanceled(j *schedule.Job) bool { return o.e.owner.IsCanceled(j) }

func (o *reserveOwner) Canceled(j *schedule.Job) { (*loop)(o).end(j, Canceled, nil) }

func (o *reserveOwner) Expired(j *schedule.Job) { (*loop)(o).end(j, Expired, nil) }

func (o *reserveOwner) Rejected(j *schedule.Job, err error) { (*loop)(o).end(j, Rejected, err) }

func (o *reserveOwner) Granted(j *schedule.Job, slot, token int64) {
	(*loop)(o).awaitSlot(j, slot, token)
}

func (o *reserveOwner) Number(j *schedule.Job) int64 { return o.e.owner.Number(j) }

func (o *reserveOwner) Answered(b *reserve.Batch) {
	o.e.mu.Lock()
	o.e.inbox.answered = append(o.e.inbox.answered, b)
	o.e.mu.Unlock()
	o.e.signal()
}

func (o *reserveOwner) GivenBack(slots []reserve.Slot) {
	o.e.do(func(l *loop, now int64) { l.reserver.GivenBack(now, slots) })
}

func (o *reserveOwner) Outage(err error, failures int) {
	e := o.e
	if err == nil {
		e.outage.Store(nil)
		e.LogSoon(slog.LevelInfo, "dispatcher: backend recovered", slog.Int("failures", failures))
	} else {
		e.outage.Store(&Outage{Since: time.Now(), Err: err})
		e.LogSoon(slog.LevelWarn, "dispatcher: backend unavailable, jobs are waiting", slog.Any("error", err))
	}
	e.Report(func() { e.owner.BackendChanged(e.contexts.Events, err) })
}

func (o *reserveOwner) Log(level slog.Level, text string, attrs ...slog.Attr) {
	o.e.LogSoon(level, text, attrs...)
}
