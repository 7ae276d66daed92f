package dispatcher_test

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/backendtest"
	"github.com/freqlimit/dispatcher/gcra"
)

// Guarantee 1, in virtual time: with a worker free, every job starts at its slot
// to the nanosecond, which is the instant that its limit allows.
func TestGuarantee1NeverEarly(t *testing.T) {
	for _, horizon := range []time.Duration{1, 5 * time.Millisecond, time.Second} {
		t.Run(fmt.Sprint("horizon=", horizon), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				params := gcra.FreqLimitParams{Limit: 7, Period: time.Second}
				s := open(t, inMemory(), config{Workers: 100, Horizon: horizon, Params: params}, nil)
				for i := range 70 {
					s.submit("key", named("", i))
				}
				s.drain()
				for i, st := range s.starts {
					want := time.Duration(i) * params.Interval()
					if st.at != want || !st.Slot().Equal(s.begin.Add(want)) {
						t.Errorf("job %d starts at %v with its slot at %v, want both at %v", i, st.at, st.Slot().Sub(s.begin), want)
					}
				}
			})
		})
	}
}

// Guarantee 1, trap 27, in real time, with real timers: at 1000 per second none
// of 300 starts is early, by its own slot or counted from the first one.
func TestGuarantee1NeverEarlyInRealTime(t *testing.T) {
	const jobs = 300
	s := open(t, inMemory(), config{Params: perSecond(1000)}, nil)
	for i := range jobs {
		s.submit("key", named("", i))
	}
	s.drain()
	first := s.results[0].Job.Slot()
	for _, r := range s.results {
		if r.Started.Before(r.Job.Slot()) {
			t.Errorf("job %s starts %v before its slot", r.Job.Payload, r.Job.Slot().Sub(r.Started))
		}
		if r.Job.Slot().Before(first) {
			first = r.Job.Slot()
		}
	}
	for _, st := range s.starts {
		var i int
		_, _ = fmt.Sscan(st.Payload, &i)
		if due, at := first.Add(time.Duration(i)*time.Millisecond), s.begin.Add(st.at); at.Before(due) {
			t.Errorf("job %d starts %v before %d intervals have passed", i, due.Sub(at), i)
		}
	}
}

// Guarantee 2, trap 13: several dispatchers, one of them as if behind a network,
// and a FreqLimit share one backend. Together they keep each limit.
func TestGuarantee2NeverOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var (
			random = rand.New(rand.NewPCG(2, 13))
			shared = limit("shared", gcra.FreqLimitParams{Limit: 30, Period: time.Second, Burst: 5})
			b      = inMemory()
			far    = &remote{inner: b, trip: 2 * time.Millisecond}
			work   = func(context.Context, job) error { time.Sleep(50 * time.Millisecond); return nil }
			stages = []*stage{
				open(t, b, config{Workers: 3}, work),
				open(t, b, config{Workers: 10, Order: dispatcher.FIFO, Serial: true}, work),
				open(t, b, config{Workers: 10, Order: dispatcher.Backlog, Horizon: 50 * time.Millisecond}, nil),
				open(t, far, config{Workers: 5}, work),
			}
		)
		for i := range 800 {
			key := named("key", random.IntN(20))
			group := limit(named("group", random.IntN(3)), gcra.FreqLimitParams{Limit: 120, Period: time.Minute, Burst: 10})
			group.Cost = 1 + random.IntN(3)
			s := stages[i%len(stages)]
			s.submit(key, named("", i), shared, limit(key, perSecond(1)), group)
		}
		f, err := dispatcher.NewFreqLimit(b, shared.Params)
		if err != nil {
			t.Fatal(err)
		}
		var (
			mu    sync.Mutex // guards slots
			slots []time.Time
			wg    sync.WaitGroup
		)
		for range 4 {
			wg.Go(func() {
				for range 30 {
					if err := f.Wait(t.Context(), shared.Key); err != nil {
						t.Errorf("Wait() = %v, want nil", err)
					}
					mu.Lock()
					slots = append(slots, time.Now())
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		var starts []start
		for _, s := range stages {
			s.drain()
			starts = append(starts, s.starts...)
		}
		merged := slotsOf(starts)
		merged[shared] = append(merged[shared], slots...)
		if got := len(merged[shared]); got != 800+120 {
			t.Errorf("%d slots under the shared limit, want %d", got, 800+120)
		}
		wantWindows(t, merged)
	})
}

// The check of Guarantee 2 finds a limit that is broken.
func TestGuarantee2CheckFindsOneTooMany(t *testing.T) {
	now := time.Now()
	slots := []time.Time{now, now.Add(time.Second), now.Add(2*time.Second - 1)}
	if err := backendtest.CheckWindows(slots, perSecond(1), 0); err == nil {
		t.Error("CheckWindows() of two slots within less than an interval = nil, want an error")
	}
}

// Guarantee 3, trap 25: what can't start holds up nothing that can.
func TestGuarantee3WorkConserving(t *testing.T) {
	inEachOrder(t, func(t *testing.T, order dispatcher.Order) {
		s := open(t, inMemory(), config{Workers: 2, Order: order}, nil)
		for i := range 100 {
			for range 2 {
				s.submitJob(job{
					Key: named("slow", i), Payload: "slow", Priority: 5,
					Limits: []dispatcher.Limit{limit(named("slow", i), every(time.Hour)), limit("shared", perSecond(1000))},
				})
			}
		}
		time.Sleep(time.Second)
		s.submit("quick", "quick", limit("shared", perSecond(1000)))
		s.submit("free", "free")
		synctest.Wait()
		s.wantStarts("quick", time.Second)
		s.wantStarts("free", time.Second)
		s.drain()
		if got, want := s.last(), time.Hour+99*time.Millisecond; got != want {
			t.Errorf("the last of the slow jobs starts at %v, want %v", got, want)
		}
	})
}

// Guarantee 3: as long as there are keys that may start, a shared limit gives out
// every slot that it has.
func TestGuarantee3SharedLimitIsUsedUp(t *testing.T) {
	inEachOrder(t, func(t *testing.T, order dispatcher.Order) {
		s := open(t, inMemory(), config{Workers: 5, Order: order}, nil)
		shared := limit("shared", perSecond(30))
		for i := range 60 {
			key := named("key", i)
			for range 5 {
				s.submit(key, "job", shared, limit(key, perSecond(1)))
			}
		}
		s.drain()
		for i, st := range s.starts {
			if want := time.Duration(i) * shared.Params.Interval(); st.at != want {
				t.Fatalf("start %d is at %v, want %v", i, st.at, want)
			}
		}
	})
}

// Guarantee 6: Submit doesn't wait for the network, a worker or a limit. It refuses a job that it
// can't accept with a typed error.
func TestGuarantee6SubmitDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs := &remote{inner: inMemory(), fault: func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}}
		const capacity, workers = 1000, 4
		s := open(t, hangs, config{Workers: workers, Capacity: capacity}, func(ctx context.Context, _ job) error {
			<-ctx.Done()
			return nil
		})
		for range workers {
			s.submit("stuck", "stuck")
		}
		synctest.Wait()
		for i := range capacity {
			s.submit(named("key", i%7), "waits", limit(named("key", i%7), perSecond(1)))
			if i == 10 {
				synctest.Wait()
			}
		}

		err := s.Submit(t.Context(), "key", "one too many")
		var full *dispatcher.FullError
		if !errors.Is(err, dispatcher.ErrFull) || !errors.As(err, &full) || full.Capacity != capacity {
			t.Errorf("Submit() to a full dispatcher = %v, want a FullError with Capacity %d", err, capacity)
		}
		done, stop := context.WithCancel(t.Context())
		stop()
		if err := s.Shutdown(done); err == nil {
			t.Error("Shutdown() of a stuck dispatcher = nil, want an error")
		}
		if err := s.Submit(t.Context(), "key", "too late"); !errors.Is(err, dispatcher.ErrClosed) {
			t.Errorf("Submit() to a closed dispatcher = %v, want ErrClosed", err)
		}
		if passed := time.Since(s.begin); passed != 0 {
			t.Errorf("all this took %v, want no time", passed)
		}
		s.cut()
	})
}

// Guarantee 6: there is room again as soon as a job has started.
func TestGuarantee6RoomAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{Capacity: 3, Params: perSecond(1)}, nil)
		s.submit("key", "starts at once")
		synctest.Wait()
		for range 3 {
			s.submit("key", "waits")
		}
		for i := range 3 {
			if err := s.Submit(t.Context(), "other", "no room"); !errors.Is(err, dispatcher.ErrFull) {
				t.Errorf("after %d s: Submit() = %v, want ErrFull", i, err)
			}
			time.Sleep(time.Second)
			synctest.Wait()
			s.submit("key", "there is room")
		}
		s.drain()
	})
}

// Guarantee 7: 100,000 jobs that wait, each for a limit of its own, take no
// goroutine.
func TestGuarantee7WaitingIsFree(t *testing.T) {
	t.Run("memory", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { waitingIsFree(t, inMemory(), 100_000) })
	})
	t.Run("remote", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			waitingIsFree(t, &remote{inner: inMemory(), trip: time.Millisecond}, 20_000)
		})
	})
}

func waitingIsFree(t *testing.T, b backend.Backend, jobs int) {
	before := runtime.NumGoroutine()
	s := open(t, b, config{Workers: 8, Capacity: jobs}, nil)
	for range 2 {
		for i := range jobs / 2 {
			s.submit(named("key", i), "job", limit(named("key", i), every(time.Hour)), limit("shared", perSecond(1)))
		}
	}
	time.Sleep(time.Minute)
	synctest.Wait()
	if waiting := s.Stats().Waiting; waiting < jobs-100 {
		t.Fatalf("%d jobs wait, want about %d", waiting, jobs)
	}
	// Those of Run, of the schedule, of the network and of 8 workers.
	if got := runtime.NumGoroutine() - before; got > 11 {
		t.Errorf("%d goroutines for %d waiting jobs, want 11 at most", got, jobs)
	}
	s.cut()
}

// Guarantee 3 for costs and bursts in the billions, such as bytes are: the next
// job waits for its slot, and holds up nobody until then.
func TestGuarantee3CostsInBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{}, nil)
		const giga = 1_000_000_000 >> (2 * (64/bits.UintSize - 1)) // a fourth of that where an int has 32 bits
		bytes := limit("bytes", gcra.FreqLimitParams{Limit: giga, Period: time.Second, Burst: 4 * giga})
		bytes.Cost = 3 * giga
		for range 2 {
			s.submit("key", "job", bytes)
		}
		synctest.Wait()
		s.submit("other", "free")
		if err := s.Shutdown(t.Context()); err != nil { // drain would list each byte
			t.Error(err)
		}
		<-s.ended
		s.stop(nil)
		s.wantStarts("job", 0, 2*time.Second)
		s.wantStarts("free", 0)
	})
}
