package dispatcher_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/memory"
	"github.com/freqlimit/dispatcher/gcra"
)

// onReleasers runs a test on a backend in process and on one behind a network, which
// keep their limits in memory.
func onReleasers(t *testing.T, test func(t *testing.T, b backend.Backend, inner *memory.Backend)) {
	t.Run("in process", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := inMemory()
			test(t, b, b)
		})
	})
	t.Run("remote", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			inner := inMemory()
			test(t, &giver{remote{inner: inner, trip: 2 * time.Millisecond}}, inner)
		})
	})
}

// burst is params of a full burst, and then one event after each interval.
func burst(n int, interval time.Duration) gcra.FreqLimitParams {
	return gcra.FreqLimitParams{Limit: 1, Period: interval, Burst: n}
}

// Guarantee 4, trap 11: the slots of a burst, and of what comes after it, are taken ahead of
// time and all given back, by anybody and in any order.
func TestReleaseAllThatWasTakenAhead(t *testing.T) {
	const at = 500 * time.Millisecond
	for _, p := range []gcra.FreqLimitParams{burst(1, time.Hour), burst(2, time.Hour), burst(3, time.Hour), burst(30, time.Hour), burst(1, time.Millisecond), burst(7, time.Millisecond)} {
		for _, how := range []string{"the first first", "the last first", "in any order", "at the end of Run"} {
			t.Run(fmt.Sprint(p, "/", how), func(t *testing.T) {
				onReleasers(t, func(t *testing.T, b backend.Backend, inner *memory.Backend) {
					s := open(t, b, config{Workers: 100, Horizon: 10 * time.Millisecond}, nil)
					l := limit("L", p)
					var handles []*dispatcher.Handle[string]
					for i := range p.Burst + 3 {
						h, err := s.Track(t.Context(), job{
							Key: named("", i), Payload: "job", Limits: []dispatcher.Limit{l, limit(named("own", i), every(time.Hour))},
							NotBefore: s.begin.Add(at),
						})
						if err != nil {
							t.Fatal(err)
						}
						handles = append(handles, h)
					}
					time.Sleep(at - time.Millisecond)
					synctest.Wait()
					if wait := time.Until(peek(t, inner, l)); wait < time.Millisecond {
						t.Fatalf("the next slot before anything was given back is in %v, want the burst to be taken", wait)
					}
					switch how {
					case "at the end of Run":
						s.cut()
					case "in any order":
						rand.New(rand.NewPCG(4, 4)).Shuffle(len(handles), func(i, j int) { handles[i], handles[j] = handles[j], handles[i] })
					case "the last first":
						slices.Reverse(handles)
					}
					for _, h := range handles {
						h.Cancel()
					}
					time.Sleep(3 * time.Millisecond)
					s.wantStarts("job")
					l.Cost = p.Burst
					wantNextSlot(t, inner, l, 0)
					for i := range handles {
						wantNextSlot(t, inner, limit(named("own", i), every(time.Hour)), 0)
					}
					if how != "at the end of Run" {
						s.drain()
					}
				})
			})
		}
	}
}

// peek returns the next slot of a limit, and takes nothing.
func peek(t *testing.T, b backend.Backend, l dispatcher.Limit) time.Time {
	t.Helper()
	var d [1]backend.Decision
	// A request that can't be granted now: it is a nanosecond early.
	reqs := []backend.Request{{Limits: []dispatcher.Limit{l}, NotBefore: time.Now().Add(1)}}
	if err := b.Reserve(context.Background(), reqs, d[:]); err != nil || d[0].Granted {
		t.Fatalf("Reserve(%q) = %v, %+v, want it refused", l.Key, err, d[0])
	}
	return d[0].Slot
}

// Guarantees 3 and 4, trap 11: what a canceled job gives back goes to a job that waits for it,
// at once if the limit is open then. The dispatcher does not go by its own picture of it.
func TestReleaseServesThoseWhoWait(t *testing.T) {
	for _, n := range []int{1, 2, 3} {
		onReleasers(t, func(t *testing.T, b backend.Backend, _ *memory.Backend) {
			s := open(t, b, config{}, nil)
			l := limit("L", burst(n, time.Hour))
			var taken []*dispatcher.Handle[string]
			for i := range n {
				h, err := s.Track(t.Context(), job{
					Key: named("", i), Payload: "taken", Limits: []dispatcher.Limit{l},
					NotBefore: s.begin.Add(time.Second),
				})
				if err != nil {
					t.Fatal(err)
				}
				taken = append(taken, h)
			}
			time.Sleep(time.Second - 3*time.Millisecond)
			for i := range n {
				s.submit(named("waits", i), "waits", l)
			}
			synctest.Wait()
			for _, h := range taken {
				h.Cancel()
			}
			synctest.Wait()
			time.Sleep(time.Minute)
			synctest.Wait()
			s.wantStarts("taken")
			if got := len(s.startsOf("waits")); got != n {
				t.Errorf("burst %d: %d of the waiting jobs have started, want all", n, got)
			}
			for _, at := range s.startsOf("waits") {
				if late := at - (time.Second - 3*time.Millisecond); late > 4*time.Millisecond {
					t.Errorf("burst %d: a job starts %v after the slot was given back, want two round trips at most", n, late)
				}
			}
			s.cut()
		})
	}
}

// Guarantee 4, trap 9: a worker that has a job whose slot has come gives it back under the
// params that it was taken with, which are not those that the job came with.
func TestReleaseByAWorkerUnderSetParams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &ending{Backend: inMemory()}
		s := open(t, b, config{}, nil)
		b.end = func() { s.stop(errEnough) }
		s.Pause()
		s.submit("key", "dropped", limit("L", every(time.Hour)))
		synctest.Wait()
		l := limit("L", burst(2, time.Minute))
		if err := s.SetParams("L", l.Params); err != nil {
			t.Fatal(err)
		}
		s.Resume()
		synctest.Wait()
		s.cut()
		s.wantStarts("dropped")
		l.Cost = 2
		wantNextSlot(t, b.Backend, l, 0)
	})
}
