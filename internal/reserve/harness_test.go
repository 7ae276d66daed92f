package reserve

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/schedule"
)

// owner is a goroutine that schedules, in a time that tests set. It is its backend too, whose answers
// tests script.
type owner struct {
	now     int64
	sched   *schedule.Scheduler
	r       *Reserver
	decide  func(req *backend.Request) backend.Decision // nil: the backend fails
	batches []*Batch                                    // whose answers have come
	onTheir []func() error                              // way: calls to the backend that it has not got

	granted  map[*schedule.Job]int64 // slots
	ended    map[*schedule.Job]string
	canceled map[*schedule.Job]bool
	released []int64 // tokens
	outages  []error
	asked    [][]backend.Request
}

// newOwner returns an owner with so many workers, and a backend in another process that keeps limits
// as one.
func newOwner(t *testing.T, workers int) *owner {
	o := &owner{
		sched:   schedule.New(schedule.Config{Workers: workers, Shared: true}),
		granted: make(map[*schedule.Job]int64), ended: make(map[*schedule.Job]string), canceled: make(map[*schedule.Job]bool),
	}
	o.r = New(Config{
		Backend: o, Traits: o.Traits(), Scheduler: o.sched, Owner: o, Epoch: epoch, MemberID: 1, Mixed: &Mixed{},
		Run: t.Context(), Asking: t.Context(),
		Go: func(f func() error) { o.onTheir = append(o.onTheir, f) },
	})
	return o
}

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

var perSecond = gcra.PerSecond(1)

// submit submits a job of a key under one limit of the same name, 1/s.
func (o *owner) submit(key string) *schedule.Job {
	j := &schedule.Job{Arrival: o.now}
	o.sched.Submit(o.now, j, key, 0, []backend.Limit{{Key: key, Params: perSecond}})
	return j
}

// step asks for all jobs that may start.
func (o *owner) step() {
	for j, ask := o.sched.Next(o.now); j != nil; j, ask = o.sched.Next(o.now) {
		if ask {
			o.r.Ask(o.now, j)
		}
	}
	o.r.Flush()
}

// arrive makes the calls that are on their way, and takes in the answers.
func (o *owner) arrive() {
	calls := o.onTheir
	o.onTheir = nil
	for _, call := range calls {
		_ = call()
	}
	batches := o.batches
	o.batches = nil
	for _, b := range batches {
		o.r.Answered(o.now, b)
	}
}

func (o *owner) Now() int64                          { return o.now }
func (o *owner) IsCanceled(j *schedule.Job) bool     { return o.canceled[j] }
func (o *owner) Canceled(j *schedule.Job)            { o.ended[j] = "canceled" }
func (o *owner) Expired(j *schedule.Job)             { o.ended[j] = "expired" }
func (o *owner) Rejected(j *schedule.Job, err error) { o.ended[j] = err.Error() }
func (o *owner) Granted(j *schedule.Job, slot, _ int64) {
	j.SetState(schedule.StateScheduled)
	o.granted[j] = slot
}

func (o *owner) Answered(b *Batch)                    { o.batches = append(o.batches, b) }
func (o *owner) GivenBack(slots []Slot)               { o.r.GivenBack(o.now, slots) }
func (o *owner) Outage(err error, _ int)              { o.outages = append(o.outages, err) }
func (o *owner) Log(slog.Level, string, ...slog.Attr) {}
func (o *owner) Number(*schedule.Job) int64           { return 0 }

// Reserve implements [backend.Backend].
func (o *owner) Reserve(_ context.Context, requests []backend.Request, decisions []backend.Decision) error {
	o.asked = append(o.asked, requests)
	if o.decide == nil {
		return context.DeadlineExceeded
	}
	for i := range requests {
		decisions[i] = o.decide(&requests[i])
	}
	return nil
}

// Release implements [backend.Releaser].
func (o *owner) Release(_ context.Context, _ []backend.Limit, token int64) error {
	o.released = append(o.released, token)
	return nil
}

func (o *owner) Hold(context.Context, string, time.Duration) error { return nil }
func (o *owner) Clear(context.Context) error                       { return nil }

// grant grants a slot at once, with token 7.
func grant(o *owner) func(*backend.Request) backend.Decision {
	return func(*backend.Request) backend.Decision {
		return backend.Decision{Granted: true, Slot: epoch.Add(time.Duration(o.now)), Token: 7}
	}
}

func (o *owner) Traits() backend.Traits { return backend.Traits{Releaser: o} }
