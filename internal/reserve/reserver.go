// Package reserve asks a backend for the slots of jobs that a scheduler has taken: one job at a time
// and at once if the backend is in this process, else in batches, which are on their way while the
// caller goes on. It gives back slots that are not used, backs off while the backend is unavailable,
// and keeps a server that hangs from holding up those that answer.
package reserve

import (
	"context"
	"log/slog"
	"math"
	"slices"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/guard"
	"github.com/freqlimit/dispatcher/internal/roundtrip"
	"github.com/freqlimit/dispatcher/internal/schedule"
)

// Owner is the goroutine that schedules. A [Reserver] calls its methods from that goroutine, except
// Answered, GivenBack and Log, which it may call from any.
type Owner interface {
	// Now is the present instant of the scheduler.
	Now() int64

	// IsCanceled reports whether a job has been canceled, and Canceled ends such a job.
	IsCanceled(j *schedule.Job) bool
	Canceled(j *schedule.Job)

	// Expired ends a job that can't get a slot before its deadline, and Rejected one whose limits
	// the backend rejects. The scheduler has let go of the job, and its slot has been given back.
	Expired(j *schedule.Job)
	Rejected(j *schedule.Job, err error)

	// Granted makes a job start at its slot, which the scheduler knows. The token is needed to
	// give the slot back.
	Granted(j *schedule.Job, slot, token int64)

	// Answered makes the owner call [Reserver.Answered], and GivenBack makes it call
	// [Reserver.GivenBack].
	Answered(b *Batch)
	GivenBack(slots []Slot)

	// Outage reports that the backend is unavailable or, if err is nil, that it has recovered after
	// this number of failures.
	Outage(err error, failures int)

	// Number returns the number by which a journal keeps a job. It is called only if the backend is
	// one.
	Number(j *schedule.Job) int64

	// Log writes a line without waiting for the Logger.
	Log(level slog.Level, text string, attrs ...slog.Attr)
}

// Config configures a [Reserver]. All fields except Horizon are required.
type Config struct {
	Backend   backend.Backend
	Traits    backend.Traits // of the backend
	Scheduler *schedule.Scheduler
	Owner     Owner
	Epoch     time.Time // instant 0 of the scheduler
	MemberID  uint32    // identifies this process to a backend that others use too
	Mixed     *Mixed

	// Horizon is how far ahead of time a slot may be taken. 0: it follows the round trips.
	Horizon time.Duration

	// Run is the context of calls made by the goroutine that schedules, and Asking the context of
	// all other calls.
	Run, Asking context.Context

	// Go calls f in a goroutine. The owner waits for it to end.
	Go func(f func() error)
}

// Reserver asks a backend for slots. Only the goroutine that schedules may use it.
type Reserver struct {
	cfg      Config
	sched    *schedule.Scheduler
	owner    Owner
	horizon  time.Duration // of the requests
	adjusted int64         // when the horizon was last adjusted

	// Scratch of askNow.
	heldBy    [1]string
	requests  [1]backend.Request
	decisions [1]backend.Decision

	shards  []*shard            // exactly one if the backend is not a Sharder
	batches []*Batch            // sent and not answered
	trip    roundtrip.Estimator // how long a batch takes; used if Config.Horizon is 0

	failures int   // in a row
	someAt   int64 // when a part of the backend was last reported to fail

	slow map[string]putOff // limits that other programs may use at shorter intervals
}

// New returns a Reserver, and tells the scheduler how far to look ahead.
func New(cfg Config) *Reserver {
	r := &Reserver{cfg: cfg, sched: cfg.Scheduler, owner: cfg.Owner, horizon: cfg.Horizon}
	if cfg.Traits.Sharder == nil {
		r.shards = []*shard{{}}
	}
	if r.horizon == 0 {
		r.horizon = r.trip.Horizon()
	}
	r.sched.SetLookahead(int64(r.horizon), int64(r.lead()))
	return r
}

// lead is how long before a slot the backend is asked for it. One that takes a
// round trip is asked early, for all slots up to the horizon at once.
func (r *Reserver) lead() time.Duration {
	if r.cfg.Traits.InProcess {
		return r.horizon
	}
	return max(min(r.horizon/2+r.trip.Mean()/2, r.horizon), 1)
}

// adjust sets the horizon from the round trips and from what other members need. The instant at
// which it ends never moves back: the scheduler has decided up to there, so it would ask for slots
// beyond it, be refused, and ask again at once.
func (r *Reserver) adjust(now int64) {
	if r.cfg.Horizon == 0 && !r.cfg.Traits.InProcess {
		r.horizon = max(r.trip.Horizon(), r.horizon-time.Duration(now-r.adjusted))
		r.adjusted = now
		r.sched.SetLookahead(int64(r.horizon), int64(r.lead()))
	}
}

// Ask asks for a job that the scheduler has taken: at once, or with the next [Reserver.Flush].
func (r *Reserver) Ask(now int64, j *schedule.Job) {
	j.SetState(schedule.StateAsking)
	if r.cfg.Traits.InProcess {
		r.askNow(now, j)
		return
	}
	r.add(now, j)
}

// request sets req to the request for a job, and reuses the memory of req.Limits. The caller sets
// HeldBy.
func (r *Reserver) request(now int64, j *schedule.Job, req *backend.Request) {
	limits := r.sched.Request(j, req.Limits)
	*req = backend.Request{} // a literal with values would be made elsewhere and copied here
	req.Limits = limits
	req.Horizon = r.horizon
	if !r.cfg.Traits.InProcess {
		req.MemberID, req.MinHorizon = r.cfg.MemberID, min(r.trip.OwnHorizon(), r.horizon)
		req.BusiestLimit = r.sched.BusiestLimit(j)
	}
	if r.cfg.Mixed.slower.Load() {
		r.lengthenHorizon(now, req)
	}
	if r.cfg.Traits.Journal != nil {
		req.Job = r.owner.Number(j)
	}
	if left := r.sched.Deadline(j) - now; left < int64(req.Horizon) {
		req.Horizon = time.Duration(max(left, 0))
	}
	if at := r.sched.NotBefore(j); at > now {
		req.NotBefore = r.cfg.Epoch.Add(time.Duration(at))
	}
}

func (r *Reserver) askNow(now int64, j *schedule.Job) {
	req := &r.requests[0]
	r.request(now, j, req)
	limits := req.Limits
	if !r.sched.IsLimit(j) {
		r.heldBy[0] = j.Key()
		req.HeldBy = r.heldBy[:]
	}
	r.decisions[0] = backend.Decision{}
	err := guard.Reserve(r.cfg.Run, r.cfg.Backend, r.requests[:], r.decisions[:])
	r.note(err)
	r.apply(now, j, limits, &r.decisions[0], err)
}

// apply passes the backend's decision on a job to the scheduler. The limits are those of the
// request.
func (r *Reserver) apply(now int64, j *schedule.Job, limits []backend.Limit, d *backend.Decision, err error) {
	if r.endTooLate(now, j, limits, d, err) {
		return
	}
	j.SetState(schedule.StateWaiting)
	switch {
	case err != nil:
		r.sched.Failed(now, j, now+int64(r.backoff()))
	case d.Err != nil && d.Undecided:
		// Other requests may still be decided.
		retry := partRetry
		if d.Err == errLate {
			retry = lateRetry
		}
		r.sched.Refused(now, j, schedule.Refusal{Until: now + int64(jittered(retry)), Held: true})
	case d.Err != nil:
		r.sched.Rejected(now, j)
		r.owner.Rejected(j, d.Err)
	case d.Granted && r.sched.IsDeclined(j):
		r.sched.Declined(now, j)
		r.GiveBack(Slot{limits, d.Token})
	case d.Granted:
		r.granted(now, j, int64(d.Slot.Sub(r.cfg.Epoch)), d.Token)
	case d.Binding >= len(j.Limits()) || d.Binding < 0 && !d.Held:
		// A refusal that no limit explains would be asked for again at once.
		r.sched.Failed(now, j, now+int64(time.Second))
	default:
		r.refused(now, j, d)
	}
}

func (r *Reserver) granted(now int64, j *schedule.Job, slot, token int64) {
	if len(r.slow) > 0 {
		r.noteSlot(j.Limits(), slot)
	}
	r.sched.Granted(now, j, slot)
	r.owner.Granted(j, slot, token)
}

func (r *Reserver) refused(now int64, j *schedule.Job, d *backend.Decision) {
	refusal := schedule.Refusal{
		Binding: d.Binding,
		Until:   max(int64(d.Slot.Sub(r.cfg.Epoch)), now+int64(r.minRetryDelay())),
		Held:    d.Held,
	}
	if d.MinHorizon > 0 {
		r.trip.ObserveReach(d.MinHorizon)
	}
	if !d.RetryAt.IsZero() && d.Binding >= 0 {
		// The limit may be open, but it is another member's turn.
		refusal.Turn = max(r.turn(int64(d.RetryAt.Sub(r.cfg.Epoch))), now+int64(2*time.Millisecond))
		if !d.Held && !d.Slot.After(r.cfg.Epoch.Add(time.Duration(now))) {
			refusal.Until = math.MinInt64 / 2
		}
	}
	r.sched.Refused(now, j, refusal)
}

// turn returns when to ask so that the request reaches the backend at an instant.
func (r *Reserver) turn(at int64) int64 { return at - int64(r.trip.Mean()/2) }

// endTooLate ends a job that was canceled while the backend was asked, or got a slot
// after its deadline.
func (r *Reserver) endTooLate(now int64, j *schedule.Job, limits []backend.Limit, d *backend.Decision, err error) bool {
	granted := err == nil && d.Granted
	canceled := r.owner.IsCanceled(j)
	if !canceled && !(granted && r.sched.Expires(j) && int64(d.Slot.Sub(r.cfg.Epoch)) > r.sched.Deadline(j)) {
		return false
	}
	r.sched.Rejected(now, j)
	if granted {
		r.GiveBack(Slot{limits, d.Token})
	}
	if canceled {
		r.owner.Canceled(j)
	} else {
		r.owner.Expired(j)
	}
	return true
}

// minRetryDelay returns how long to wait before asking again for a slot that was refused. If the
// backend names a slot within the horizon, it could have granted it, so asking again at once might
// loop forever. During a round trip the slot may have come nearer.
func (r *Reserver) minRetryDelay() time.Duration {
	if r.cfg.Traits.InProcess {
		return r.horizon + 1
	}
	return r.lead() + 2*time.Millisecond
}

// TurnGiven notes that the backend has given this member a turn: it should ask for a slot of a limit
// at an instant. tat and interval are the limit's, and reach is how far ahead other members need to ask.
func (r *Reserver) TurnGiven(now int64, key string, at, tat int64, interval, reach time.Duration) {
	r.trip.ObserveReach(reach)
	r.adjust(now)
	r.sched.Turn(now, key, r.turn(at), tat, interval)
}

// InFlight returns the number of batches that have been sent and not answered.
func (r *Reserver) InFlight() int { return len(r.batches) }

// Jobs iterates over the jobs for which the backend is being asked, the latest first.
func (r *Reserver) Jobs(yield func(*schedule.Job) bool) {
	each := func(b *Batch) bool {
		for _, j := range slices.Backward(b.jobs) {
			if j != nil && !yield(j) {
				return false
			}
		}
		return true
	}
	for _, s := range r.shards {
		if s.next != nil && !each(s.next) {
			return
		}
	}
	for _, b := range slices.Backward(r.batches) {
		if !each(b) {
			return
		}
	}
}
