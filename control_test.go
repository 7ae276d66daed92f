package dispatcher_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
)

// While all is paused nothing starts; then each limit goes on at its pace, and what it
// missed is not made up for.
func TestPause(t *testing.T) {
	inEachBackend(t, func(t *testing.T, b backend.Backend) {
		s := prepare(t, b, config{Params: perSecond(1)}, nil)
		s.Pause()
		s.run()
		for i := range 4 {
			s.submit("chat", named("m", i))
		}
		time.Sleep(10 * time.Second)
		s.Resume()
		time.Sleep(1500 * time.Millisecond)
		s.Pause()
		time.Sleep(10 * time.Second)
		s.Resume()
		s.drain()
		for i, at := range []time.Duration{10000, 11000, 21500, 22500} {
			s.wantNear(named("m", i), at*time.Millisecond)
		}
	})
}

// A key is paused while it is held: neither end opens it before the other.
func TestPauseKeyWhileItIsHeld(t *testing.T) {
	inEachBackend(t, func(t *testing.T, b backend.Backend) {
		s := open(t, b, config{}, nil)
		for _, key := range []string{"long pause", "long hold", "other"} {
			s.submit(key, "before")
		}
		time.Sleep(time.Second)
		for key, d := range map[string]time.Duration{"long pause": 5 * time.Second, "long hold": 20 * time.Second} {
			if err := s.Hold(context.Background(), key, d); err != nil {
				t.Fatal(err)
			}
			s.PauseKey(key)
			s.submit(key, key)
		}
		s.submit("other", "other")
		time.Sleep(10 * time.Second)
		s.ResumeKey("long pause")
		s.ResumeKey("long hold")
		s.ResumeKey("never paused")
		s.drain()
		s.wantNear("long pause", 11*time.Second)
		s.wantNear("long hold", 21*time.Second)
		s.wantNear("other", time.Second)
	})
}

// Drop ends what waits of a key, in whatever state, in order; others stay.
func TestDrop(t *testing.T) {
	inEachBackend(t, func(t *testing.T, b backend.Backend) {
		s := prepare(t, b, config{Params: perSecond(1)}, nil)
		for i := range 4 {
			s.submit("chat", named("m", i))
			s.submit("other", named("o", i))
		}
		s.submitJob(job{Key: "chat", Payload: "dated", NotBefore: s.begin.Add(time.Hour)})
		s.submitJob(job{Key: "chat", Payload: "urgent", Priority: 1})
		s.run()
		time.Sleep(500 * time.Millisecond)
		dropped, err := s.Drop(context.Background(), "chat")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, j := range dropped {
			got = append(got, j.Payload)
		}
		if want := []string{"m0", "m1", "m2", "m3", "dated"}; !slices.Equal(got, want) {
			t.Errorf("dropped %q, want %q", got, want)
		}
		synctest.Wait() // until they are reported
		for _, payload := range []string{"m2", "dated"} {
			if r := s.outcomeOf(payload); r.Outcome != dispatcher.Dropped || !errors.Is(r.Err, dispatcher.ErrDropped) {
				t.Errorf("outcome of %q: %v, %v, want dropped", payload, r.Outcome, r.Err)
			}
		}
		s.submit("chat", "new")
		s.drain()
		s.wantNear("new", time.Second)
		s.wantNear("o3", 3*time.Second)
		if _, err := s.Drop(context.Background(), "chat"); !errors.Is(err, dispatcher.ErrClosed) {
			t.Errorf("Drop() after Run = %v, want ErrClosed", err)
		}
	})
}

// Trap 9: a limit that is raised is faster at once; one that is lowered under debt pays
// for what was used up, and lets no burst through. Jobs to come are under the new params
// whatever they bring, until it is taken back.
func TestTrap9SetParams(t *testing.T) {
	inEachBackend(t, func(t *testing.T, b backend.Backend) {
		s := open(t, b, config{Params: every(10 * time.Second)}, nil)
		set := func(key string, p gcra.FreqLimitParams) {
			t.Helper()
			if err := s.SetParams(key, p); err != nil {
				t.Errorf("SetParams(%q) = %v", key, err)
			}
		}
		for i := range 4 {
			s.submit("raised", named("r", i))
		}
		time.Sleep(time.Second)
		set("raised", perSecond(1))
		s.submit("raised", "r4")
		time.Sleep(time.Minute)
		s.wantNear("r1", 1900*time.Millisecond) // 9/10 of an interval were left
		s.wantNear("r3", 3900*time.Millisecond)
		s.wantNear("r4", 4900*time.Millisecond)

		burst := limit("lowered", gcra.FreqLimitParams{Limit: 10, Period: time.Second, Burst: 10})
		begin := time.Since(s.begin)
		for i := range 12 {
			s.submit("lowered", named("l", i), burst)
		}
		time.Sleep(50 * time.Millisecond)
		set("lowered", perSecond(1))
		s.submit("lowered", "l12", burst)
		time.Sleep(time.Minute)
		// Ten were let through at once; 9.5 intervals of them were left to pay for.
		s.wantNear("l10", begin+9550*time.Millisecond)
		s.wantNear("l11", begin+10550*time.Millisecond)
		s.wantNear("l12", begin+11550*time.Millisecond)

		set("raised", gcra.FreqLimitParams{})
		begin = time.Since(s.begin)
		s.submit("raised", "own 1")
		s.submit("raised", "own 2")
		s.drainLoosely()
		s.wantNear("own 2", begin+10*time.Second)
	})
}

// drainLoosely is drain where limits had several params, so that no one window holds.
func (s *stage) drainLoosely() {
	s.t.Helper()
	if err := s.Shutdown(context.Background()); err != nil {
		s.t.Errorf("Shutdown() = %v, want nil", err)
	}
	<-s.ended
	s.stop(nil)
}

// Workers are cut to 1 while 64 jobs run: they go on, and then one runs at a time.
// More again start at once.
func TestSetWorkers(t *testing.T) {
	inEachBackend(t, func(t *testing.T, b backend.Backend) {
		s := open(t, b, config{Workers: 64}, func(context.Context, job) error {
			time.Sleep(10 * time.Second)
			return nil
		})
		for range 64 + 3 + 10 {
			s.submit("chat", "job")
		}
		time.Sleep(time.Second)
		set := func(n int) {
			if err := s.SetWorkers(n); err != nil {
				t.Error(err)
			}
		}
		set(1)
		time.Sleep(35 * time.Second)
		set(10)
		s.drain()
		starts := s.startsOf("job")[64:]
		want := []time.Duration{10, 20, 30, 36, 36, 36, 36, 36, 36, 36, 36, 36, 40}
		for i := range want {
			if (starts[i] - want[i]*time.Second).Abs() > 10*time.Millisecond {
				t.Fatalf("after the first 64, jobs start at %v, want %v s", starts, want)
			}
		}
	})
}

// WaitIdle waits for what waits and runs, even if it was submitted meanwhile; and no longer than
// its context or Run.
func TestWaitIdle(t *testing.T) {
	inEachBackend(t, func(t *testing.T, b backend.Backend) {
		var s *stage
		s = open(t, b, config{}, func(_ context.Context, j job) error {
			time.Sleep(10 * time.Second)
			if j.Payload == "parent" {
				s.submit("chat", "child")
			}
			return nil
		})
		s.submit("chat", "parent")
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.WaitIdle(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("WaitIdle() = %v, want the error of its context", err)
		}
		if err := s.WaitIdle(context.Background()); err != nil {
			t.Errorf("WaitIdle() = %v, want nil", err)
		}
		wantAbout(t, "idle", time.Since(s.begin), 20*time.Second)
		s.drain()
		if err := s.WaitIdle(context.Background()); err != nil {
			t.Errorf("WaitIdle() after Run = %v, want nil", err)
		}
	})
}

// SubmitAll takes no more from its iterator than there is room for.
func TestSubmitAll(t *testing.T) {
	inEachBackend(t, func(t *testing.T, b backend.Backend) {
		s := open(t, b, config{Capacity: 10, Params: perSecond(1)}, nil)
		taken := 0
		jobs := func(yield func(job) bool) {
			for i := range 100 {
				if most := len(s.order()) + 10 + 1; i >= most+1 {
					t.Errorf("job %d is taken while there is room for %d", i, most)
				}
				taken = i + 1
				if !yield(job{Key: "chat", Payload: named("m", i)}) {
					return
				}
			}
		}
		if n, err := s.SubmitAll(context.Background(), jobs); n != 100 || err != nil {
			t.Errorf("SubmitAll() = %d, %v, want 100, nil", n, err)
		}
		wantAbout(t, "all submitted", time.Since(s.begin), 89*time.Second)
		ctx, cancel := context.WithTimeout(context.Background(), 5500*time.Millisecond)
		defer cancel()
		if n, err := s.SubmitAll(ctx, jobs); n != 5 || !errors.Is(err, context.DeadlineExceeded) || taken != 6 {
			t.Errorf("SubmitAll() = %d, %v after %d taken, want 5, the error of its context, after 6", n, err, taken)
		}
		s.drain()
		if n, err := s.SubmitAll(context.Background(), jobs); n != 0 || !errors.Is(err, dispatcher.ErrClosed) {
			t.Errorf("SubmitAll() after Run = %d, %v, want 0, ErrClosed", n, err)
		}
	})
}

// Several that wait for room all get it.
func TestSubmitAllFromMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{Capacity: 3, Workers: 2}, func(context.Context, job) error {
			time.Sleep(time.Second)
			return nil
		})
		done := make(chan int)
		for i := range 8 {
			go func() {
				n, err := s.SubmitAll(context.Background(), slices.Values(slices.Repeat([]job{{Key: named("k", i)}}, 20)))
				if err != nil {
					t.Errorf("SubmitAll() = %v", err)
				}
				done <- n
			}()
		}
		sum := 0
		for range 8 {
			sum += <-done
		}
		s.drain()
		if sum != 160 || s.Stats().Succeeded != 160 {
			t.Errorf("%d jobs were accepted and %d done, want 160", sum, s.Stats().Succeeded)
		}
	})
}

// Drop goes by the submission, also where a job has waited for its date.
func TestDropOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{}, nil)
		s.PauseKey("chat")
		s.submitJob(job{Key: "chat", Payload: "m0", NotBefore: s.begin.Add(time.Second)})
		for i := range 4 {
			time.Sleep(time.Millisecond)
			s.submitJob(job{Key: "chat", Payload: named("m", i+1), Priority: i % 2})
		}
		time.Sleep(2 * time.Second)
		jobs, err := s.Drop(t.Context(), "chat")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, j := range jobs {
			got = append(got, j.Payload)
		}
		if want := []string{"m0", "m1", "m2", "m3", "m4"}; !slices.Equal(got, want) {
			t.Errorf("Drop() = %q, want %q", got, want)
		}
		s.drain()
	})
}

// With the zero params the jobs that wait have their own again, those that were
// submitted before SetParams and those that came after.
func TestUnsetParams(t *testing.T) {
	inEachBackend(t, func(t *testing.T, b backend.Backend) {
		s := open(t, b, config{Params: perSecond(10)}, nil)
		set := func(p gcra.FreqLimitParams) {
			if err := s.SetParams("chat", p); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		for i := range 5 {
			s.submit("chat", named("before", i))
		}
		set(every(time.Hour))
		set(every(2 * time.Hour))
		for i := range 5 {
			s.submit("chat", named("after", i))
		}
		synctest.Wait()
		time.Sleep(time.Second)
		set(gcra.FreqLimitParams{})
		s.drainLoosely()
		if at := s.last(); at > 3*time.Second {
			t.Errorf("the last of 10 jobs at 10/s, which were slowed down for a second, starts at %v", at)
		}
	})
}

// It is not idle while there is what a handler has submitted that has ended, also if the
// loop hears of the end first: here an event holds that up.
func TestWaitIdleForWhatAHandlerHasSubmitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s *stage
		cfg := config{Events: whenDone(func(r result) {
			if r.Job.Payload == "canceled" {
				time.Sleep(5 * time.Millisecond)
			}
		})}
		s = open(t, inMemory(), cfg, func(_ context.Context, j job) error {
			switch j.Payload {
			case "first":
				time.Sleep(10 * time.Millisecond)
				s.submitJob(job{Key: "chat", Payload: "second", Priority: 1})
			case "second":
				time.Sleep(time.Minute)
			}
			return nil
		})
		s.PauseKey("paused")
		h := s.track(job{Key: "paused", Payload: "canceled"})
		s.submitJob(job{Key: "chat", Payload: "first", Priority: 1})
		time.Sleep(9 * time.Millisecond)
		h.Cancel()
		if err := s.WaitIdle(t.Context()); err != nil {
			t.Fatal(err)
		}
		if st := s.Stats(); st.Waiting+st.Running > 0 || st.Succeeded != 2 {
			t.Errorf("Stats() after WaitIdle = %+v, want both to have ended", st)
		}
		s.drain()
	})
}

// Any number of calls of WaitIdle return, also if the contexts of others have ended.
func TestManyWaitIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := open(t, inMemory(), config{}, func(context.Context, job) error { <-release; return nil })
		s.submit("k", "m")
		const waiters = 1000
		ctx, stop := context.WithCancel(t.Context())
		var idle, canceled atomic.Int32
		for range waiters {
			go func() {
				if err := s.WaitIdle(ctx); errors.Is(err, context.Canceled) {
					canceled.Add(1)
				}
			}()
			go func() {
				if err := s.WaitIdle(t.Context()); err == nil {
					idle.Add(1)
				}
			}()
		}
		wantWaiters := func(wantCanceled, wantIdle int32) {
			t.Helper()
			synctest.Wait()
			if canceled.Load() != wantCanceled || idle.Load() != wantIdle {
				t.Errorf("%d waits have been canceled and %d have ended, want %d and %d",
					canceled.Load(), idle.Load(), wantCanceled, wantIdle)
			}
		}
		wantWaiters(0, 0)
		stop()
		wantWaiters(waiters, 0)
		close(release)
		wantWaiters(waiters, waiters)
		s.drain()
	})
}

// Jobs that the scheduler has found unable to meet their deadlines are reported, though
// nothing else is left to do and more of them have been found than are told at a time.
func TestExpiredAreReportedAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const jobs = 256
		s := prepare(t, inMemory(), config{}, nil)
		x := []dispatcher.Limit{{Key: "x", Params: perSecond(1)}}
		s.submitJob(job{Key: "k", Limits: x})
		for range jobs {
			// The slot is a nanosecond too late, and within the horizon of the deadline.
			s.submitJob(job{Key: "k", Limits: x, Deadline: time.Now().Add(time.Second - 1)})
		}
		s.run()
		s.drain()
		if got := s.Stats(); got.Expired != jobs || got.Succeeded != 1 {
			t.Errorf("Stats() = %+v, want %d expired", got, jobs)
		}
	})
}
