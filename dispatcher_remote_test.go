package dispatcher_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/memory"
	"github.com/freqlimit/dispatcher/gcra"
)

// A backend behind a network, with round trips shorter than the horizon: the
// shared limit gives out every slot, in order for each key, and none is early.
func TestRemoteLosesNoSlot(t *testing.T) {
	inEachOrder(t, func(t *testing.T, order dispatcher.Order) {
		b := &remote{inner: inMemory(), trip: 2 * time.Millisecond}
		s := open(t, b, config{Order: order}, nil)
		shared := limit("shared", perSecond(30))
		const keys, each = 60, 5
		for i := range keys * each {
			key := named("key", i%keys)
			s.submit(key, fmt.Sprint(i), shared, limit(key, perSecond(1)))
		}
		s.drain()
		// The first slots are a trip late: none had been taken ahead.
		for i, slot := range s.slots()[shared] {
			want := time.Millisecond + time.Duration(i)*shared.Params.Interval()
			if got := slot.Sub(s.begin); got != want {
				t.Fatalf("slot %d of the shared limit is at %v, want %v", i, got, want)
			}
		}
		wantOrderOfKeys(t, s)
	})
}

// wantOrderOfKeys wants jobs with increasing numbers as payloads to have got
// their slots in that order, each key for itself.
func wantOrderOfKeys(t *testing.T, s *stage) {
	t.Helper()
	starts := slices.Clone(s.starts)
	slices.SortStableFunc(starts, func(a, b start) int { return a.Slot().Compare(b.Slot()) })
	last := map[string]int{}
	for _, st := range starts {
		var i int
		if _, err := fmt.Sscan(st.Payload, &i); err != nil {
			t.Fatal(err)
		}
		if before, ok := last[st.Key]; ok && i < before {
			t.Errorf("job %d of %q starts after job %d", i, st.Key, before)
		}
		last[st.Key] = i
	}
}

// A batch that is on its way holds up no job that has no limits.
func TestRemoteJobsWithoutLimitsDoNotWaitForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &remote{inner: inMemory(), trip: time.Hour}
		s := open(t, b, config{}, nil)
		s.submit("limited", "limited", limit("limited", perSecond(1)))
		synctest.Wait()
		s.submit("free", "free")
		s.drain()
		s.wantStarts("free", 0)
		s.wantStarts("limited", time.Hour)
	})
}

// Jobs that come while a batch is on its way are asked for together.
func TestRemoteAsksForBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		b := &remote{inner: inMemory(), trip: time.Second, change: func(reqs []backend.Request, _ []backend.Decision) {
			sizes = append(sizes, len(reqs))
		}}
		s := open(t, b, config{Workers: 100}, nil)
		s.submit("key", "job", limit("key", perSecond(1)))
		synctest.Wait()
		for i := range 50 {
			s.submit(named("key", i), "job", limit(named("key", i), perSecond(1)))
		}
		s.drain()
		if want := []int{1, 50}; !slices.Equal(sizes, want) {
			t.Errorf("the batches are of %v requests, want %v", sizes, want)
		}
	})
}

// A job that the backend will never grant fails with the backend's error. It
// charges nothing, keeps no worker, and the jobs behind it go on.
func TestRemoteDecisionErr(t *testing.T) {
	errNever := errors.New("never")
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		b := &remote{inner: inMemory(), change: func(reqs []backend.Request, ds []backend.Decision) {
			for i, req := range reqs {
				if req.Limits[0].Key == "cursed" {
					asked++
					ds[i] = backend.Decision{Binding: -1, Err: errNever}
				}
			}
		}}
		s := open(t, b, config{Workers: 1}, nil)
		for i := range 5 {
			s.submit("key", named("cursed", i), limit("cursed", perSecond(1)))
			s.submit("key", named("good", i), limit("good", perSecond(1)))
		}
		s.drain()
		for i := range 5 {
			if r := s.outcomeOf(named("cursed", i)); r.Outcome != dispatcher.Failed || !errors.Is(r.Err, errNever) || !r.Job.Slot().IsZero() {
				t.Errorf("outcome: %v, %v, slot %v, want failed, %v and no slot", r.Outcome, r.Err, r.Job.Slot(), errNever)
			}
			s.wantStarts(named("good", i), time.Duration(i)*time.Second)
		}
		if asked != 5 {
			t.Errorf("the backend was asked %d times for 5 jobs that it will never grant, want 5", asked)
		}
	})
}

// Another process charges the same limit: jobs are granted later than predicted,
// or refused. They keep their order, none is early, and all slots together, those
// of the other process too, obey the limit.
func TestRemoteRival(t *testing.T) {
	for _, horizon := range []time.Duration{dispatcher.DefaultHorizon, time.Second} {
		t.Run(fmt.Sprint("horizon=", horizon), func(t *testing.T) {
			inEachOrder(t, func(t *testing.T, order dispatcher.Order) {
				var (
					inner  = inMemory()
					shared = limit("shared", gcra.FreqLimitParams{Limit: 10, Period: time.Second, Burst: 3})
					own    = limit("key3", perSecond(2))
					rivals = map[dispatcher.Limit][]time.Time{}
					calls  = 0
				)
				b := &remote{inner: inner, trip: 2 * time.Millisecond, fault: func(context.Context) error {
					for _, l := range []dispatcher.Limit{shared, own} {
						if calls++; calls%5 < 2 && calls < 500 {
							rivals[l] = append(rivals[l], nextSlot(t, inner, l))
						}
					}
					return nil
				}}
				s := open(t, b, config{Order: order, Horizon: horizon}, nil)
				const jobs, keys = 200, 6
				for i := range jobs {
					key := named("key", i%keys)
					s.submit(key, fmt.Sprint(i), shared, limit(key, perSecond(2)))
				}
				s.drain()
				wantOrderOfKeys(t, s)
				slots := s.slots()
				// The jobs of a key are asked for one at a time, and the rival comes with
				// two calls of five.
				for _, l := range []dispatcher.Limit{shared, own} {
					if got, want := len(rivals[l]), jobs/keys/5*2; got < want {
						t.Errorf("the rival took %d slots of %q, want %d at least", got, l.Key, want)
					}
					slots[l] = append(slots[l], rivals[l]...)
				}
				wantWindows(t, slots)
				for _, r := range s.results {
					if r.Outcome != dispatcher.Succeeded {
						t.Errorf("outcome of job %s: %v, want %v", r.Job.Payload, r.Outcome, dispatcher.Succeeded)
					}
				}
			})
		})
	}
}

// A backend that refuses and names a slot that it could have granted, as one with
// a clock of its own may, is asked again after a round trip, not in a loop that
// never ends.
func TestRefusalThatNamesNowIsNoLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const skew = 100 * time.Millisecond
		var calls atomic.Int64
		b := &remote{inner: inMemory(), trip: 2 * time.Millisecond}
		s := open(t, b, config{}, nil)
		b.change = func(_ []backend.Request, ds []backend.Decision) {
			calls.Add(1)
			for i := range ds {
				if time.Since(s.begin) < skew {
					ds[i] = backend.Decision{Slot: time.Now(), Binding: 0}
				}
			}
		}
		s.submit("key", "job", limit("other", perSecond(1)))
		s.submit("key", "job", limit("key", perSecond(1)))
		s.drain()
		if got := calls.Load(); got > 60 {
			t.Errorf("the backend was asked %d times in 100ms, want once in 2ms at most", got)
		}
	})
}

// The same in process, where there is no round trip to wait for: time passes
// between the questions.
func TestRefusalThatNamesNowIsNoLoopInProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &refusing{Backend: inMemory(), until: time.Now().Add(time.Microsecond)}
		s := open(t, b, config{}, nil)
		s.submit("key", "job", limit("key", perSecond(1)))
		s.drain()
	})
}

// A refusal that names no limit of the job is no reason to ask without pause.
func TestRefusalWithABindingOutOfRangeIsNoLoop(t *testing.T) {
	for _, binding := range []int{-1, 1, 7} {
		t.Run(fmt.Sprint("binding=", binding), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const outage = 10 * time.Second
				b := &refusing{Backend: inMemory(), until: time.Now().Add(outage), binding: binding, most: 1000}
				s := open(t, b, config{}, nil)
				s.submit("key", "job", limit("key", perSecond(1)))
				s.submit("free", "free")
				s.drain()
				s.wantStarts("free", 0)
				if b.refused > 20 {
					t.Errorf("the backend was asked %d times in 10s, want once a second", b.refused)
				}
				if at := s.last(); at < outage || at > outage+time.Second {
					t.Errorf("the job starts at %v, want within a second from %v on", at, outage)
				}
			})
		})
	}
}

// refusing is an in-process backend that refuses for a while, and names a slot
// that it could have granted.
type refusing struct {
	*memory.Backend
	until   time.Time
	binding int
	most    int // refusals, after which it gives in; 0: any number
	refused int
}

func (r *refusing) Reserve(ctx context.Context, reqs []backend.Request, ds []backend.Decision) error {
	if time.Now().Before(r.until) && (r.most == 0 || r.refused < r.most) {
		r.refused++
		ds[0] = backend.Decision{Slot: time.Now(), Binding: r.binding}
		return nil
	}
	return r.Backend.Reserve(ctx, reqs, ds)
}

// A refusal of a limit that is open, for it is the turn of others, says nothing of its debt:
// in its turn a dispatcher takes all of a burst that is there.
func TestRefusalForTheTurnOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &othersTurn{remote: remote{inner: inMemory(), trip: 2 * time.Millisecond}, until: time.Now().Add(300 * time.Millisecond)}
		s := open(t, b, config{Workers: 100}, nil)
		p := every(time.Second)
		p.Burst = 100
		for i := range 100 {
			s.submit(named("key", i), "job", limit("shared", p))
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := len(s.order()); got != 100 {
			t.Errorf("%d of a burst of 100 have started, want all", got)
		}
		s.drain()
	})
}

// othersTurn refuses all until an instant, although the limits are open.
type othersTurn struct {
	remote
	until time.Time
}

func (o *othersTurn) Reserve(ctx context.Context, reqs []backend.Request, ds []backend.Decision) error {
	if time.Now().After(o.until) {
		return o.remote.Reserve(ctx, reqs, ds)
	}
	for i := range reqs {
		ds[i] = backend.Decision{Slot: time.Now(), RetryAt: o.until, MinHorizon: 40 * time.Millisecond}
	}
	return o.travel(ctx)
}
