package dispatcher_test

import (
	"context"
	"math"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
)

// A job that the backend is asked for beyond the horizon, beside others, is canceled
// on its way.
func TestCancelOfASpareJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, &remote{inner: inMemory(), trip: 20 * time.Millisecond}, config{}, nil)
		x := limit("x", perSecond(1))
		s.submit("a", "a", x)
		h := s.track(job{Key: "b", Payload: "b0", Limits: []dispatcher.Limit{x}})
		s.submit("b", "b1", x)
		s.run()
		time.Sleep(5 * time.Millisecond) // the batch with its spare job is on its way
		h.Cancel()
		s.drain()
		s.wantOrder("a", "b1")
	})
}

// Events.Done cancels the job that it is told of, which has ended: nothing happens.
func TestCancelOfAJobThatEnds(t *testing.T) {
	costly := limit("x", perSecond(10))
	costly.Params.Burst, costly.Cost = 5, 5
	for name, j := range map[string]job{
		"succeeds": {Key: "a"},
		"expires":  {Key: "paused", Deadline: time.Now()},
		"rejected": {Key: "a", Limits: []dispatcher.Limit{costly}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var h *dispatcher.Handle[string]
				s := prepare(t, inMemory(), config{Events: whenDone(func(r result) {
					if r.Job.Payload == "" && h.Cancel() {
						t.Errorf("Cancel() = true for a job that has ended as %v", r.Outcome)
					}
				})}, nil)
				s.PauseKey("paused")
				h = s.track(j)
				s.submit("a", "after", limit("x", perSecond(1)))
				if err := s.SetParams("x", perSecond(1)); err != nil {
					t.Fatal(err)
				}
				s.run()
				time.Sleep(time.Second)
				s.drain()
			})
		})
	}
}

// A deadline at the end of time does not keep the loop awake: in a bubble time would
// stand still.
func TestFarDates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{}, nil)
		far := time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
		s.submitJob(job{Key: "a", Payload: "deadline", Deadline: far})
		s.submitJob(job{Key: "a", Payload: "date", NotBefore: far, Deadline: far})
		time.Sleep(time.Hour)
		s.wantStarts("deadline", 0)
		s.cut()
	})
}

// A payload is not put into a job that has been canceled.
func TestReplaceOfACanceledJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, inMemory(), config{}, nil)
		edit := func(text string) job {
			return job{Key: "a", Payload: text, ID: "m", OnDuplicate: dispatcher.ReplacePayload}
		}
		s.track(edit("old")).Cancel()
		s.submitJob(edit("new"))
		s.run()
		s.drain()
		s.wantOrder("new")
	})
}

// A payload doesn't go into a job that is being dropped: each accepted payload is in a result.
func TestReplaceWhileItEnds(t *testing.T) {
	for round := range 500 {
		d, err := dispatcher.New(inMemory(), func(context.Context, job) error { return nil }, config{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		var done sync.WaitGroup
		done.Go(func() { _ = d.Run(ctx) })
		track := func(n int) *dispatcher.Handle[string] {
			h, err := d.Track(ctx, job{
				Key: "a", Payload: named("", n), ID: "m", OnDuplicate: dispatcher.ReplacePayload, NotBefore: time.Now().Add(time.Hour),
			})
			if err != nil {
				t.Fatal(err)
			}
			return h
		}
		h := track(0)
		runtime.Gosched()
		done.Go(func() { _, _ = d.Drop(ctx, "a") })
		n := 1
		for track(n) == h {
			n++
		}
		r, err := h.Wait(ctx)
		if want := named("", n-1); err != nil || r.Job.Payload != want {
			t.Errorf("round %d: the job ends with %q, %v, want what was accepted last, %q", round, r.Job.Payload, err, want)
		}
		stop()
		done.Wait()
	}
}

// While a job waits to be retried, serial jobs of its key wait too, whatever their priority.
func TestSerialRetryAndPriorities(t *testing.T) {
	for p := range 3 {
		synctest.Test(t, func(t *testing.T) {
			s := open(t, inMemory(), config{Serial: true, Retry: steady(3)}, func(_ context.Context, j job) error {
				if j.Payload == "first" && j.Attempt() == 1 {
					return errFailed
				}
				return nil
			})
			s.submitJob(job{Key: "a", Payload: "first"})
			time.Sleep(time.Millisecond)
			s.submitJob(job{Key: "a", Payload: "second", Priority: p - 1})
			s.drain()
			s.wantOrder("first", "first", "second")
		})
	}
}

// slowRelease takes its time to take slots back.
type slowRelease struct{ *remote }

func (b *slowRelease) Release(_ context.Context, l []backend.Limit, stamp int64) error {
	time.Sleep(time.Second)
	return b.inner.Release(context.Background(), l, stamp)
}

// Slots of canceled jobs are given back while the scheduling goes on.
func TestCancelDoesNotHoldUpOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &slowRelease{&remote{inner: inMemory(), trip: 50 * time.Millisecond}}
		s := open(t, b, config{Workers: 100, Horizon: time.Second}, nil)
		var handles []*dispatcher.Handle[string]
		for i := range 60 {
			handles = append(handles, s.track(job{Key: named("k", i), Payload: "c", Limits: []dispatcher.Limit{limit("x", perSecond(100))}}))
		}
		time.Sleep(100 * time.Millisecond)
		for _, h := range handles {
			h.Cancel()
		}
		s.submit("free", "free")
		s.drain()
		s.wantStarts("free", 100*time.Millisecond)
	})
}

// Trap 30: an event that panics, or ends its goroutine, changes no outcome.
func TestTrap30BadEvents(t *testing.T) {
	panics := func() { panic("on purpose") }
	retried := func(f func()) events {
		return events{Retried: func(context.Context, job, error, time.Duration) { f() }}
	}
	done := func(f func()) events { return whenDone(func(result) { f() }) }
	for name, e := range map[string]events{
		"goexit in Retried": retried(runtime.Goexit), "goexit in Done": done(runtime.Goexit),
		"panic in Retried": retried(panics), "panic in Done": done(panics),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t, inMemory(), config{Retry: steady(3), Events: e}, func(_ context.Context, j job) error {
					if j.Attempt() == 1 {
						return errFailed
					}
					return nil
				})
				h := s.track(job{Key: "a", Payload: "a"})
				s.drain()
				if r, _ := h.Result(); r.Outcome != dispatcher.Succeeded || r.Job.Attempt() != 2 {
					t.Errorf("the job has %v at attempt %d, want succeeded at 2", r.Outcome, r.Job.Attempt())
				}
			})
		})
	}
}

// An ID stays taken while one of several jobs with it runs.
func TestIDIsTakenWhileAnOlderRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{}, func(_ context.Context, j job) error {
			if j.Payload == "old" {
				time.Sleep(time.Hour)
			}
			return nil
		})
		s.submitJob(job{Key: "a", Payload: "old", ID: "m"})
		time.Sleep(time.Second)
		s.submitJob(job{Key: "a", Payload: "new", ID: "m", OnDuplicate: dispatcher.ReplacePayload})
		time.Sleep(time.Second)
		third := job{Key: "a", Payload: "third", ID: "m"}
		if err := s.SubmitJob(context.Background(), third); err == nil {
			t.Error("a job is accepted although one with its ID runs")
		}
		time.Sleep(time.Hour)
		s.submitJob(third)
		s.drain()
	})
}

// However long the policy lets the time grow, it does not overflow.
func TestRetryDelayDoesNotOverflow(t *testing.T) {
	for _, r := range []dispatcher.Retry{{Max: math.MaxInt64}, {Initial: math.MaxInt64}, {Multiplier: math.Inf(1)}} {
		for n := 1; n < 60; n++ {
			if d := r.Delay(n); d <= 0 {
				t.Fatalf("%+v.Delay(%d) = %v, want it above 0", r, n, d)
			}
		}
	}
}

// What comes after Run, and who no longer waits for it to be idle, is not kept.
func TestNothingIsKeptOfCommands(t *testing.T) {
	inUse := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{}, nil)
		s.Pause()
		s.submit("a", "a")
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		before := inUse()
		for range 20_000 {
			if err := s.WaitIdle(ended); err == nil {
				t.Fatal("WaitIdle() = nil while a job waits")
			}
			synctest.Wait()
		}
		if kept := inUse() - before; kept > 1<<20 {
			t.Errorf("%d bytes are kept of WaitIdles", kept)
		}
		s.Resume()
		s.drain()
		before = inUse()
		for range 50_000 {
			s.Pause()
			_ = s.Hold(context.Background(), "k", 0)
		}
		if kept := inUse() - before; kept > 1<<20 {
			t.Errorf("%d bytes are kept of commands after Run", kept)
		}
		runtime.KeepAlive(s)
	})
}
