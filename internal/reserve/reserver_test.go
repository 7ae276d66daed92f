package reserve

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/schedule"
)

// The horizon shrinks no faster than time passes.
func TestHorizonShrinks(t *testing.T) {
	r := newOwner(t, 1).r
	r.horizon = time.Second
	for _, c := range []struct{ now, want time.Duration }{
		{0, time.Second},
		{100 * time.Millisecond, 900 * time.Millisecond},
		{900 * time.Millisecond, 100 * time.Millisecond},
		{time.Hour, 40 * time.Millisecond},
	} {
		if r.adjust(int64(c.now)); r.horizon != c.want {
			t.Errorf("the horizon at %v is %v, want %v", c.now, r.horizon, c.want)
		}
	}
}

func TestGranted(t *testing.T) {
	o := newOwner(t, 1)
	j := o.submit("a")
	o.step()
	if j.State() != schedule.StateAsking {
		t.Errorf("state while the backend is asked = %d, want %d", j.State(), schedule.StateAsking)
	}
	o.decide = grant(o)
	o.arrive()
	if slot, ok := o.granted[j]; !ok || slot != 0 || j.State() != schedule.StateScheduled {
		t.Errorf("granted = %t, slot %d, state %d; want true, 0, %d", ok, slot, j.State(), schedule.StateScheduled)
	}
}

// A job that ends while the backend is asked about it has its slot given back.
func TestEndedWhileAsked(t *testing.T) {
	for _, c := range []struct {
		want string
		end  func(o *owner, j *schedule.Job)
	}{
		{"canceled", func(o *owner, j *schedule.Job) { o.canceled[j] = true }},
		{"expired", func(o *owner, _ *schedule.Job) { o.now = int64(2 * time.Second) }},
	} {
		o := newOwner(t, 1)
		j := &schedule.Job{}
		o.sched.SubmitDated(0, j, "a", 0, []backend.Limit{{Key: "a", Params: perSecond}}, schedule.Dates{Deadline: int64(time.Second)})
		o.step()
		c.end(o, j)
		o.decide = grant(o)
		o.arrive()
		o.arrive() // the slot that is given back
		if o.ended[j] != c.want || len(o.granted) > 0 || !slices.Equal(o.released, []int64{7}) {
			t.Errorf("ended %q, granted %v, released %v; want %q, none, [7]", o.ended[j], o.granted, o.released, c.want)
		}
		if o.sched.Waiting() != 0 || o.sched.Idle() != 1 {
			t.Errorf("%s: %d jobs wait, %d workers are free; want 0, 1", c.want, o.sched.Waiting(), o.sched.Idle())
		}
	}
}

func TestRejected(t *testing.T) {
	o := newOwner(t, 1)
	j := o.submit("a")
	o.decide = func(*backend.Request) backend.Decision { return backend.Decision{Err: errors.New("no such limit")} }
	o.step()
	o.arrive()
	if o.ended[j] != "no such limit" || o.sched.Waiting() != 0 {
		t.Errorf("ended %q, %d jobs wait; want the backend's error, 0", o.ended[j], o.sched.Waiting())
	}
}

// An outage begins with the first failure and ends with the first answer, and jobs wait meanwhile.
func TestOutage(t *testing.T) {
	o := newOwner(t, 1)
	j := o.submit("a")
	for range 3 {
		o.step()
		o.arrive()
		o.now += int64(time.Second)
	}
	o.decide = grant(o)
	o.step()
	o.arrive()
	if len(o.outages) != 2 || o.outages[0] == nil || o.outages[1] != nil {
		t.Errorf("outages = %v, want one that begins and ends", o.outages)
	}
	if _, ok := o.granted[j]; !ok {
		t.Error("the job has no slot after the outage")
	}
}

// While a batch is on its way the next one is collected, and goes when its answer has come.
func TestBatches(t *testing.T) {
	o := newOwner(t, 10)
	o.decide = grant(o)
	o.submit("a")
	o.step()
	o.submit("b")
	o.submit("c")
	o.step()
	o.arrive()
	o.step()
	o.arrive()
	var sizes []int
	for _, requests := range o.asked {
		sizes = append(sizes, len(requests))
	}
	if !slices.Equal(sizes, []int{1, 2}) {
		t.Errorf("batches have %v requests, want [1 2]", sizes)
	}
}

// A job that is declined before its request is sent waits again at once; one that is declined later
// waits again when the answer has come, and its slot is given back.
func TestDecline(t *testing.T) {
	o := newOwner(t, 10)
	o.decide = grant(o)
	sent := o.submit("a")
	o.step()
	collected := o.submit("b")
	o.step()
	if n := o.r.Decline(o.now, 10, func(*schedule.Job) bool { return true }); n != 2 {
		t.Fatalf("Decline = %d, want 2", n)
	}
	if sent.State() != schedule.StateAsking || collected.State() != schedule.StateWaiting {
		t.Errorf("states = %d, %d, want %d, %d", sent.State(), collected.State(), schedule.StateAsking, schedule.StateWaiting)
	}
	o.arrive()
	o.arrive()
	if sent.State() != schedule.StateWaiting || !slices.Equal(o.released, []int64{7}) || len(o.granted) > 0 {
		t.Errorf("state %d, released %v, granted %v; want %d, [7], none", sent.State(), o.released, o.granted, schedule.StateWaiting)
	}
}
