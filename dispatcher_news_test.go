package dispatcher_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/memory"
)

// book takes the next slot of a limit, however far ahead, and returns its stamp.
func book(t *testing.T, b *memory.Backend, l dispatcher.Limit) int64 {
	t.Helper()
	var d [1]backend.Decision
	err := b.Reserve(t.Context(), []backend.Request{{Limits: []dispatcher.Limit{l}, Horizon: backend.Unlimited}}, d[:])
	if err != nil || !d[0].Granted {
		t.Fatalf("Reserve() = %+v, %v, want it granted", d[0], err)
	}
	return d[0].Token
}

// What others of the backend give back, a job that waits gets: it does not wait by what its
// dispatcher knew before.
func TestJobGetsWhatOthersGiveBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, l := inMemory(), limit("key", every(time.Minute))
		book(t, b, l)
		second := book(t, b, l)
		s := open(t, b, config{}, nil)
		s.submit("key", "job", l)
		time.Sleep(10 * time.Second)
		if err := b.Release(t.Context(), []dispatcher.Limit{l}, second); err != nil {
			t.Fatalf("Release() = %v, want nil", err)
		}
		s.drain()
		s.wantNear("job", time.Minute)
	})
}

// A job that one dispatcher cancels leaves its slot to a job of another.
func TestCanceledJobLeavesItsSlotToAnotherDispatcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, l := inMemory(), limit("key", every(700*time.Millisecond))
		first, second := open(t, b, config{Horizon: time.Second}, nil), open(t, b, config{}, nil)
		first.submit("key", "first", l)
		h := first.track(job{Key: "key", Payload: "canceled", Limits: []dispatcher.Limit{l}})
		time.Sleep(100 * time.Millisecond)
		second.submit("other", "second", l)
		synctest.Wait()
		h.Cancel()
		first.drain()
		second.drain()
		second.wantNear("second", 700*time.Millisecond)
	})
}

// When others clear the backend, jobs that wait start at once: those of holds too, and
// whichever of their limits they wait for.
func TestJobsGoOnWhenOthersClear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inMemory()
		a, c, e := limit("a", every(time.Hour)), limit("c", every(2*time.Hour)), limit("e", every(time.Hour))
		for _, l := range []dispatcher.Limit{a, c, e} {
			book(t, b, l)
		}
		for _, key := range []string{"held", "a"} {
			if err := b.Hold(t.Context(), key, 3*time.Hour); err != nil {
				t.Fatalf("Hold() = %v, want nil", err)
			}
		}
		s := open(t, b, config{}, nil)
		s.submit("held", "held")
		s.submit("both", "both", a, c)
		s.submit("one", "one", e)
		s.submit("two", "two", e)
		time.Sleep(10 * time.Second)
		s.wantNear("held")
		if err := b.Clear(t.Context()); err != nil {
			t.Fatalf("Clear() = %v, want nil", err)
		}
		s.drain()
		s.wantNear("held", 10*time.Second)
		s.wantNear("both", 10*time.Second)
		s.wantNear("one", 10*time.Second)
		s.wantNear("two", 10*time.Second+time.Hour)
	})
}

// gifts are ways in which others let the limit that two slots were booked of, the second with
// that stamp, open earlier: at an instant, or soon after.
var gifts = map[string]struct {
	give  func(b *memory.Backend, l dispatcher.Limit, stamp int64) error
	opens time.Duration
}{
	"release": {func(b *memory.Backend, l dispatcher.Limit, stamp int64) error {
		return b.Release(context.Background(), []dispatcher.Limit{l}, stamp)
	}, time.Minute},
	"clear": {func(b *memory.Backend, _ dispatcher.Limit, _ int64) error {
		return b.Clear(context.Background())
	}, 0},
}

// A wait of a FreqLimit gets what others of the backend give back, and ends when they clear it.
func TestWaitGetsWhatOthersGiveBack(t *testing.T) {
	for name, c := range gifts {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, l := inMemory(), limit("key", every(time.Minute))
				book(t, b, l)
				second := book(t, b, l)
				f, err := dispatcher.NewFreqLimit(b, l.Params)
				if err != nil {
					t.Fatal(err)
				}
				begin, ends := time.Now(), make(chan time.Duration, 2)
				for range 2 {
					go func() {
						if err := f.Wait(t.Context(), "key"); err != nil {
							t.Errorf("Wait() = %v, want nil", err)
						}
						ends <- time.Since(begin)
					}()
				}
				time.Sleep(10 * time.Second)
				if err := c.give(b, l, second); err != nil {
					t.Fatal(err)
				}
				for i := range 2 {
					got, want := <-ends, max(c.opens, 10*time.Second)+time.Duration(i)*time.Minute
					if got < want || got > want+20*time.Millisecond {
						t.Errorf("wait %d ends after %v, want %v", i, got, want)
					}
				}
			})
		})
	}
}

// newsy is a backend behind a network that tells its news at once.
type newsy struct{ giver }

func (n *newsy) Watch(f func(backend.Change)) (stop func()) { return n.inner.Watch(f) }

// An answer that was on its way when the limit opened earlier is not what a job goes by: the
// news has overtaken it.
func TestNewsOvertakesTheAnswerForAJob(t *testing.T) {
	for name, c := range gifts {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, l := &newsy{giver{remote{inner: inMemory(), trip: 100 * time.Millisecond}}}, limit("key", every(time.Minute))
				book(t, b.inner, l)
				second := book(t, b.inner, l)
				s := open(t, b, config{}, nil)
				synctest.Wait()
				s.submit("job", "job", l)
				time.Sleep(70 * time.Millisecond) // it is decided, and the answer on its way
				if err := c.give(b.inner, l, second); err != nil {
					t.Fatal(err)
				}
				s.drain()
				if at := s.startsOf("job")[0]; at < c.opens || at > c.opens+500*time.Millisecond {
					t.Errorf("the job starts at %v, want %v", at, c.opens)
				}
			})
		})
	}
}

// The same for a wait of a FreqLimit.
func TestNewsOvertakesTheAnswerForAWait(t *testing.T) {
	for name, c := range gifts {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, l := &newsy{giver{remote{inner: inMemory(), trip: 100 * time.Millisecond}}}, limit("key", every(time.Minute))
				f, err := dispatcher.NewFreqLimit(b, l.Params)
				if err != nil {
					t.Fatal(err)
				}
				book(t, b.inner, limit("other", l.Params))
				var waits sync.WaitGroup
				wait := func(key string) {
					if err := f.Wait(t.Context(), key); err != nil {
						t.Errorf("Wait(%q) = %v, want nil", key, err)
					}
				}
				waits.Go(func() { wait("other") })
				time.Sleep(time.Second) // it hears the news by now
				begin := time.Now()
				book(t, b.inner, l)
				second := book(t, b.inner, l)
				waits.Go(func() {
					wait("key")
					if at := time.Since(begin); at < c.opens || at > c.opens+500*time.Millisecond {
						t.Errorf("the wait ends at %v, want %v", at, c.opens)
					}
				})
				time.Sleep(70 * time.Millisecond)
				if err := c.give(b.inner, l, second); err != nil {
					t.Fatal(err)
				}
				waits.Wait()
			})
		})
	}
}

// Two dispatchers that use one key under different params are told so, once a minute, with
// both intervals. A change that is made once is not logged.
func TestMixedParamsAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, fast, slow := inMemory(), &lines{}, &lines{}
		first := open(t, b, config{Logger: fast.logger()}, nil)
		for i := range 3000 {
			first.submit("key", named("fast", i), limit("key", perSecond(30)))
		}
		time.Sleep(time.Second)
		if err := first.SetParams("key", perSecond(25)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if err := first.SetParams("key", perSecond(20)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		fast.want(t, "different params", 0)
		second := open(t, b, config{Logger: slow.logger()}, nil)
		for i := range 10 {
			second.submit("key", named("slow", i), limit("key", perSecond(1)))
		}
		time.Sleep(50 * time.Second)
		slow.want(t, "different params", 1)
		slow.want(t, "key=key", 1)
		fast.want(t, "different params", 1)
		fast.want(t, "50ms", 1)
		fast.want(t, "1s", 1)
		first.stop(errEnough)
		<-first.ended
		second.stop(errEnough)
		<-second.ended
	})
}

// Two programs that use a limit under different params both get on: the one with the longer
// interval at least once in a few of its intervals, and it takes little from the other.
func TestMixedParamsStarveNobody(t *testing.T) {
	for _, trip := range []time.Duration{0, 2 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			inner := inMemory()
			var b backend.Backend = inner
			if trip > 0 {
				b = &remoteWatcher{remote{inner: inner, trip: trip}}
			}
			first, second := open(t, b, config{}, nil), open(t, b, config{}, nil)
			for i := range 3000 {
				first.submit("key", named("fast", i), limit("key", perSecond(30)))
			}
			for i := range 100 {
				second.submit("key", named("slow", i), limit("key", perSecond(1)))
			}
			time.Sleep(time.Minute)
			first.cut()
			second.cut()
			if got, want := len(second.starts), 60/8; got < want {
				t.Errorf("round trip %v: jobs started at 1/s beside others at 30/s in a minute = %d, want %d at least", trip, got, want)
			}
			if got, want := len(first.starts), 900; got < want {
				t.Errorf("round trip %v: jobs started at 30/s beside others at 1/s in a minute = %d, want %d at least", trip, got, want)
			}
			for i := 1; i < len(second.starts); i++ {
				// Three intervals of patience, then the next time that it asks, and the slot: either
				// is put off by what the other has taken, an event and a horizon of 40 ms.
				if gap := second.starts[i].Slot().Sub(second.starts[i-1].Slot()); gap < time.Second || gap > 8*time.Second {
					t.Errorf("round trip %v: slots at 1/s are %v apart, want 1s to 8s", trip, gap)
				}
			}
		})
	}
}

// The same for a FreqLimit beside a dispatcher.
func TestWaitsWithMixedParamsDoNotStarve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inMemory()
		s := open(t, b, config{}, nil)
		for i := range 3000 {
			s.submit("key", named("fast", i), limit("key", perSecond(30)))
		}
		f, err := dispatcher.NewFreqLimit(b, perSecond(1))
		if err != nil {
			t.Fatal(err)
		}
		last := time.Now()
		for range 10 {
			if err := f.Wait(t.Context(), "key"); err != nil {
				t.Fatal(err)
			}
			if gap := time.Since(last); gap > 8*time.Second {
				t.Errorf("a wait at 1/s beside jobs at 30/s took %v, want 8s at most", gap)
			}
			last = time.Now()
		}
		s.cut()
		if got, want := len(s.starts), 15*int(time.Since(s.begin).Seconds()); got < want {
			t.Errorf("jobs started at 30/s beside waits at 1/s in %v = %d, want %d at least", time.Since(s.begin), got, want)
		}
	})
}

// remoteWatcher is a remote backend that tells its news.
type remoteWatcher struct{ remote }

func (b *remoteWatcher) Watch(f func(backend.Change)) (stop func()) {
	return b.inner.Watch(f)
}
