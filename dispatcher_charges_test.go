package dispatcher_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/memory"
	"github.com/freqlimit/dispatcher/gcra"
)

// Guarantee 4: jobs that still wait when Run ends have charged nothing, on none
// of their limits.
func TestGuarantee4WaitingJobsChargeNothing(t *testing.T) {
	inEachOrder(t, func(t *testing.T, order dispatcher.Order) {
		b := inMemory()
		s := open(t, b, config{Order: order}, nil)
		shared := limit("shared", perSecond(10))
		for i := range 50 {
			s.submit(named("key", i%5), "job", shared, limit(named("key", i%5), every(time.Minute)))
		}
		time.Sleep(10 * time.Second)
		s.cut()
		if got := len(s.starts); got != 5 {
			t.Fatalf("%d jobs have started, want 5", got)
		}
		wantNextSlot(t, b, shared, 0)
		for i := range 5 {
			wantNextSlot(t, b, limit(named("key", i), every(time.Minute)), 50*time.Second+time.Duration(i)*100*time.Millisecond)
		}
	})
}

// Guarantee 4: a job whose slot was taken ahead of time, and that Run's end
// keeps from starting, gives the slot back.
func TestGuarantee4TakenSlotIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inMemory()
		s := open(t, b, config{Horizon: 5 * time.Millisecond}, nil)
		shared, own := limit("shared", every(4*time.Millisecond)), limit("own", every(3*time.Millisecond))
		s.submit("key", "starts", shared)
		s.submit("key", "dropped", shared, own)
		time.Sleep(time.Millisecond)
		s.cut()
		s.wantStarts("starts", 0)
		s.wantStarts("dropped")
		wantNextSlot(t, b, shared, 3*time.Millisecond)
		wantNextSlot(t, b, own, 0)
	})
}

// Guarantee 4: the same when several slots of one limit were taken ahead of time.
func TestGuarantee4TakenSlotsAreGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inMemory()
		s := open(t, b, config{}, nil)
		l := limit("key", perSecond(1000))
		for range 10 {
			s.submit("key", "job", l)
		}
		synctest.Wait()
		s.cut()
		s.wantStarts("job", 0)
		wantNextSlot(t, b, l, time.Millisecond)
	})
}

// Guarantee 4: the same if the context of Run ends between the taking of a slot
// and the start, when a worker has the job already.
func TestGuarantee4SlotIsGivenBackByTheWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &ending{Backend: inMemory()}
		s := prepare(t, b, config{}, nil)
		l := limit("key", every(time.Hour))
		s.submit("key", "dropped", l)
		b.end = func() { s.stop(errEnough) }
		s.run()
		synctest.Wait()
		s.cut()
		s.wantStarts("dropped")
		if slot := s.outcomeOf("dropped").Job.Slot(); !slot.IsZero() {
			t.Errorf("the dropped job has its slot at %v, want none", slot)
		}
		wantNextSlot(t, b.Backend, l, 0)
	})
}

// ending is a backend that ends something as soon as it has granted a slot.
type ending struct {
	*memory.Backend
	end func()
}

func (b *ending) Reserve(ctx context.Context, reqs []backend.Request, ds []backend.Decision) error {
	err := b.Backend.Reserve(ctx, reqs, ds)
	b.end()
	return err
}

// Guarantee 4: an answer that is on its way at the end of Run is waited for, and what it grants
// is given back, whether or not the backend minds its ctx.
func TestGuarantee4LateAnswerIsGivenBack(t *testing.T) {
	for _, deaf := range []bool{true, false} {
		t.Run(fmt.Sprint("deaf=", deaf), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				inner := inMemory()
				s := open(t, &giver{remote{inner: inner, trip: 2 * time.Millisecond, deaf: deaf}}, config{}, nil)
				l := limit("key", every(time.Hour))
				s.submit("key", "dropped", l)
				time.Sleep(1500 * time.Microsecond)
				s.cut()
				s.wantStarts("dropped")
				wantNextSlot(t, inner, l, 0)
			})
		})
	}
}

// The answer is not waited for long: a stop comes to an end.
func TestAnswerThatDoesNotComeAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, &giver{remote{inner: inMemory(), trip: time.Minute}}, config{}, nil)
		s.submit("key", "dropped", limit("key", every(time.Hour)))
		time.Sleep(10 * time.Millisecond)
		began := time.Now()
		s.cut()
		if took := time.Since(began); took != time.Second {
			t.Errorf("Run ends %v after its context, want 1s", took)
		}
	})
}

// Guarantee 4: no limit is charged for more than the horizon ahead, however many
// jobs wait for it.
func TestGuarantee4NothingBeyondTheHorizon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const horizon = 20 * time.Millisecond
		b := &watched{Backend: inMemory()}
		s := open(t, b, config{Horizon: horizon}, nil)
		shared := limit("shared", perSecond(100))
		for i := range 500 {
			s.submit(named("key", i%10), "job", shared, limit(named("key", i%10), perSecond(20)))
		}
		s.drain()
		if got := time.Duration(b.furthest.Load()); got > horizon {
			t.Errorf("a slot was taken %v ahead, want %v at most", got, horizon)
		}
	})
}

// Guarantee 4: while no worker is free, nothing is charged.
func TestGuarantee4NothingWithoutAWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &watched{Backend: inMemory()}
		s := open(t, b, config{Workers: 2}, func(context.Context, job) error {
			time.Sleep(time.Hour)
			return nil
		})
		for range 10 {
			s.submit("key", "job", limit("key", perSecond(1)))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := b.granted.Load(); got != 2 {
			t.Errorf("with 2 workers, both busy, %d slots were taken, want 2", got)
		}
		s.cut()
	})
}

// Guarantee 4, trap 7: a job that one limit refuses charges none of the others.
func TestGuarantee4RefusedJobChargesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inMemory()
		shut, other := limit("shut", every(time.Hour)), limit("other", every(time.Minute))
		nextSlot(t, b, shut) // another process was here
		s := open(t, b, config{}, nil)
		s.submit("key", "job", other, shut)
		time.Sleep(time.Second)
		wantNextSlot(t, b, other, 0)
		s.drain()
		s.wantStarts("job", time.Hour)
	})
}

// Guarantee 4, trap 6: a job that can never run charges nothing, not even where
// it could.
func TestGuarantee4InvalidJobChargesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inMemory()
		s := open(t, b, config{}, nil)
		fine := limit("fine", gcra.FreqLimitParams{Limit: 1, Period: time.Minute, Burst: 2})
		costly := limit("costly", gcra.FreqLimitParams{Limit: 1, Period: time.Minute, Burst: 2})
		costly.Cost = 3
		for _, c := range []struct {
			limits []dispatcher.Limit
			want   error
		}{
			{[]dispatcher.Limit{fine, costly}, gcra.ErrCost},
			{[]dispatcher.Limit{fine, limit("bad", gcra.FreqLimitParams{Limit: -1, Period: time.Second})}, gcra.ErrParams},
			{[]dispatcher.Limit{fine, fine}, backend.ErrSameKey},
		} {
			err := s.SubmitJob(t.Context(), job{Key: "key", Limits: c.limits})
			if !errors.Is(err, backend.ErrLimit) || !errors.Is(err, c.want) {
				t.Errorf("SubmitJob() with limits %v = %v, want ErrLimit and %v", c.limits, err, c.want)
			}
		}
		if got := s.Stats().Submitted; got != 0 {
			t.Errorf("Stats().Submitted = %d, want 0", got)
		}
		s.drain()
		fine.Cost = 2
		wantNextSlot(t, b, fine, 0)
	})
}

// watched is a backend that looks at what it grants.
type watched struct {
	*memory.Backend
	granted  atomic.Int64
	furthest atomic.Int64 // nanoseconds ahead of now
}

func (w *watched) Reserve(ctx context.Context, reqs []backend.Request, ds []backend.Decision) error {
	err := w.Backend.Reserve(ctx, reqs, ds)
	for _, d := range ds[:len(reqs)] {
		if d.Granted {
			w.granted.Add(1)
			w.furthest.Store(max(w.furthest.Load(), int64(time.Until(d.Slot))))
		}
	}
	return err
}
