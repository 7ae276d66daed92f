package freqlimit_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/freqlimit"
	"github.com/freqlimit/dispatcher/internal/seeds"
)

// counting is a remote backend that takes slots back, and counts the calls.
type counting struct {
	giver
	calls *atomic.Int64
}

func (c *counting) Reserve(ctx context.Context, reqs []backend.Request, ds []backend.Decision) error {
	c.calls.Add(1)
	return c.giver.Reserve(ctx, reqs, ds)
}

// Those who wait for one key behind a network have its whole rate, at far fewer calls than
// slots, however long the way is; also if they share it with other processes.
func TestTakesSlotsAhead(t *testing.T) {
	for _, c := range []struct {
		trip      time.Duration
		processes int
		calls     float64 // a slot, at most
	}{
		{10 * time.Millisecond, 1, 0.6},
		{50 * time.Millisecond, 1, 0.2},
		{200 * time.Millisecond, 1, 0.1},
		{50 * time.Millisecond, 16, 2},
	} {
		t.Run(fmt.Sprint(c.processes, " at ", c.trip), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const rate, waiters, length = 100, 64, 20 * time.Second
				inner, calls := inMemory(), &atomic.Int64{}
				var mu sync.Mutex
				starts := 0
				var all sync.WaitGroup
				ctx, cancel := context.WithCancel(t.Context())
				for range c.processes {
					f, err := freqlimit.New(&counting{giver{remote{inner: inner, trip: c.trip}}, calls}, perSecond(rate))
					if err != nil {
						t.Fatal(err)
					}
					for range waiters {
						all.Go(func() {
							for f.Wait(ctx, "key") == nil {
								mu.Lock()
								starts++
								mu.Unlock()
							}
						})
					}
				}
				time.Sleep(length)
				cancel()
				all.Wait()
				if want := rate * int(length/time.Second) * 95 / 100; starts < want {
					t.Errorf("%d starts in %v, want at least %d", starts, length, want)
				}
				if got := float64(calls.Load()) / float64(starts); got > c.calls {
					t.Errorf("%.2f calls a start, want at most %v", got, c.calls)
				}
			})
		})
	}
}

// Whatever was taken ahead for those who then go is used by those who stay, or given back: at
// the end the limit is as if only the starts had been.
func TestLosesNoSlotTakenAhead(t *testing.T) {
	for _, r := range seeds.First(t, 20) {
		synctest.Test(t, func(t *testing.T) {
			inner := inMemory()
			b := &giver{remote{inner: inner, trip: 50 * time.Millisecond, deaf: true}}
			f, err := freqlimit.New(b, perSecond(100))
			if err != nil {
				t.Fatal(err)
			}
			var starts atomic.Int64
			var all sync.WaitGroup
			var ends [100]time.Duration // 0: it has gone
			begin := time.Now()
			for i := range ends {
				ctx, cancel := context.WithCancel(t.Context())
				if r.IntN(2) == 0 {
					time.AfterFunc(time.Duration(r.IntN(int(time.Second))), cancel)
				}
				all.Go(func() {
					defer cancel()
					if f.Wait(ctx, "key") == nil {
						starts.Add(1)
						ends[i] = time.Since(begin)
					}
				})
				synctest.Wait()
			}
			all.Wait()
			took := time.Since(begin)
			time.Sleep(time.Second) // what is given back has arrived
			if got, most := took, time.Duration(starts.Load())*10*time.Millisecond+400*time.Millisecond; got > most {
				t.Errorf("%d starts took %v, want at most %v: slots were lost", starts.Load(), got, most)
			}
			if got := slices.DeleteFunc(ends[:], func(d time.Duration) bool { return d == 0 }); !slices.IsSorted(got) {
				t.Errorf("waits end at %v, want them in the order in which they began", got)
			}
		})
	}
}
