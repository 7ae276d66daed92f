package freqlimit_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/backendtest"
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/seeds"
)

// Trap 11: five wait for slots at 0, 100, 200, 300 and 400 ms. Whichever leaves, and
// whenever, the others go on as if it had never been there.
func TestTrap11Cancel(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name string
		who  string
		when time.Duration
		want []string
	}{
		{"at the head", "b", 50 * ms, []string{"a", "c", "d", "e"}},
		{"at the head, whose slot is taken", "b", 97 * ms, []string{"a", "c", "d", "e"}},
		{"in the middle", "c", 50 * ms, []string{"a", "b", "d", "e"}},
		{"in the middle, once it is the head", "c", 150 * ms, []string{"a", "b", "d", "e"}},
		{"at the tail", "e", 50 * ms, []string{"a", "b", "c", "d"}},
		{"at the tail, whose slot is taken", "e", 398 * ms, []string{"a", "b", "c", "d"}},
		{"long after it was let through", "a", 50 * ms, []string{"a", "b", "c", "d", "e"}},
		{"two of them", "bd", 50 * ms, []string{"a", "c", "e"}},
		{"the one with the slot and the one that gets it", "bc", 97 * ms, []string{"a", "d", "e"}},
		{"all", "abcde", 97 * ms, []string{"a"}},
	} {
		for _, repeat := range []int{1, 2} {
			t.Run(fmt.Sprint(c.name, "/times=", repeat), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					q := newQueue(t, inMemory(), perSecond(10))
					cancel := map[rune]func(){}
					for _, name := range "abcde" {
						cancel[name] = q.join("key", string(name))
					}
					time.Sleep(c.when)
					for range repeat {
						for _, who := range c.who {
							cancel[who]()
						}
						synctest.Wait()
					}
					// One more: it gets the slot after the last, no other.
					time.Sleep(time.Microsecond)
					q.join("key", "last")
					var at []time.Duration
					for i := range c.want {
						at = append(at, time.Duration(i)*100*ms)
					}
					q.want(append(c.want, "last"), append(at, time.Duration(len(c.want))*100*ms)...)
					wantNextSlot(t, q.Backend(), "key", perSecond(10), 100*ms)
				})
			})
		}
	}
}

// Trap 11: at a rate at which several slots are taken ahead of time, those behind
// the one that leaves move up by one each.
func TestTrap11CancelAmongSeveralSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ms = time.Millisecond
		q := newQueue(t, inMemory(), perSecond(500))
		cancel := map[rune]func(){}
		for _, name := range "abcdefgh" {
			cancel[name] = q.join("key", string(name))
		}
		time.Sleep(ms) // b has 2 ms, c 4 ms, d 6 ms
		cancel['b']()
		synctest.Wait()
		cancel['d']()
		q.want([]string{"a", "c", "e", "f", "g", "h"}, 0, 2*ms, 4*ms, 6*ms, 8*ms, 10*ms)
	})
}

// Trap 11: when all leave who hold slots within one horizon, in whatever order,
// the backend has them all back.
func TestTrap11CancelAllWithinAHorizon(t *testing.T) {
	for name, order := range map[string][]int{
		"first to last": {1, 2, 3, 4, 5, 6, 7},
		"last to first": {7, 6, 5, 4, 3, 2, 1},
		"criss-cross":   {4, 1, 6, 2, 7, 5, 3},
	} {
		for _, together := range []bool{false, true} {
			t.Run(fmt.Sprint(name, "/together=", together), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					q := newQueue(t, inMemory(), perSecond(1000))
					var cancels []func()
					for i := range 8 {
						cancels = append(cancels, q.join("key", named("", i)))
					}
					for _, i := range order {
						cancels[i]()
						if !together {
							synctest.Wait()
						}
					}
					q.want([]string{"0"}, 0)
					cancels[0]()
					wantNextSlot(t, q.Backend(), "key", perSecond(1000), time.Millisecond)
				})
			})
		}
	}
}

// Trap 11: with answers that take unequally long, nobody is let through after
// one that came later, even if a slot is passed on to one that is asking.
func TestTrap11CancelWithUnequalLatencies(t *testing.T) {
	const ms = time.Millisecond
	for _, trips := range [][]time.Duration{
		{0, 0, 20 * ms},
		{0, 0, 20 * ms, 10 * ms, 0},
		{0, 20 * ms, 0, 3 * ms},
		{5 * ms, 0, 20 * ms, 0, 20 * ms},
	} {
		t.Run(fmt.Sprint(trips), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &uneven{giver: giver{remote{inner: inMemory()}}, trips: trips}
				q := newQueue(t, b, perSecond(1000))
				var cancels []func()
				for i := range 5 {
					cancels = append(cancels, q.join("key", named("", i)))
				}
				cancels[1]() // may be too late
				q.wg.Wait()
				names, at := q.passed()
				last := time.Duration(0)
				for _, name := range []string{"0", "2", "3", "4"} {
					i := slices.Index(names, name)
					if i < 0 || at[i] < last {
						t.Fatalf("let through: %q at %v, want 0, 2, 3 and 4, none before one that came earlier", names, at)
					}
					last = at[i]
				}
			})
		})
	}
}

// uneven is a backend whose first answers take so long, and the others no time.
type uneven struct {
	giver
	mu    sync.Mutex // guards trips
	trips []time.Duration
}

func (u *uneven) Reserve(ctx context.Context, reqs []backend.Request, ds []backend.Decision) error {
	u.mu.Lock()
	trip := time.Duration(0)
	if len(u.trips) > 0 {
		trip, u.trips = u.trips[0], u.trips[1:]
	}
	u.mu.Unlock()
	err := u.giver.Reserve(ctx, reqs, ds)
	time.Sleep(trip)
	return err
}

// Trap 11: a slot that can't be given back any more, since another limiter has a
// later one, is lost and not given out twice.
func TestTrap11CancelWithOthersAtTheBackend(t *testing.T) {
	for _, random := range seeds.First(t, 50) {
		synctest.Test(t, func(t *testing.T) {
			b := inMemory()
			queues := []*queue{newQueue(t, b, perSecond(300)), newQueue(t, b, perSecond(300))}
			for i := range 60 {
				cancel := queues[i%2].join("key", named("", i))
				if random.IntN(3) > 0 {
					time.AfterFunc(time.Duration(random.IntN(20_000))*time.Microsecond, cancel)
				}
				time.Sleep(time.Duration(random.IntN(1000)) * time.Microsecond)
			}
			var slots []time.Time
			for _, q := range queues {
				q.wg.Wait()
				_, at := q.passed()
				for _, at := range at {
					slots = append(slots, q.begin.Add(at))
				}
			}
			if err := backendtest.CheckWindows(slots, perSecond(300), 0); err != nil {
				t.Error(err)
			}
		})
	}
}

// Trap 11: a wait that is cancelled at the very instant of its slot either has
// had it or passes it on. Nobody has it twice, and it is not lost.
func TestTrap11CancelWhileItFires(t *testing.T) {
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			q := newQueue(t, inMemory(), perSecond(10))
			var cancels []func()
			for i := range 4 {
				cancels = append(cancels, q.join("key", named("", i)))
			}
			time.Sleep(100 * time.Millisecond)
			cancels[1]()
			q.wg.Wait()
			names, at := q.passed()
			want := []time.Duration{0, 100 * time.Millisecond, 200 * time.Millisecond, 300 * time.Millisecond}
			if !slices.Equal(at, want[:len(at)]) || len(at) < 3 {
				t.Errorf("let through: %q at %v, want each slot used once", names, at)
			}
		})
	}
}

// Trap 11, in random crowds: who is not cancelled is let through at the same
// instant as in a run in which the cancelled were never there.
func TestTrap11RandomCancels(t *testing.T) {
	for _, random := range seeds.First(t, 150) {
		crowd := drawWaiters(random)
		with := waitAll(t, crowd)
		var stayed []waiter
		for i, w := range crowd {
			if with[i].err == nil {
				w.leaves = 0
				stayed = append(stayed, w)
			}
		}
		without := waitAll(t, stayed)
		var got, want []wait
		for i := range crowd {
			if with[i].err == nil {
				got = append(got, with[i])
			}
		}
		want = append(want, without...)
		if !slices.Equal(got, want) {
			t.Fatalf("let through: %v, want %v, as without those who left", got, want)
		}
	}
}

// waiter comes to a key and, if leaves is not 0, is cancelled then.
type waiter struct {
	name          string
	comes, leaves time.Duration
}

func drawWaiters(random *rand.Rand) []waiter {
	crowd := make([]waiter, 20)
	for i := range crowd {
		w := &crowd[i]
		w.comes = time.Duration(random.IntN(300)) * time.Millisecond
		if random.IntN(2) == 0 {
			// Never at an instant at which others come or slots are.
			w.leaves = w.comes + time.Duration(random.IntN(200_000))*time.Microsecond + 500*time.Nanosecond
		}
	}
	slices.SortFunc(crowd, func(a, b waiter) int { return cmp.Compare(a.comes, b.comes) })
	for i := range crowd {
		crowd[i].name = named("", i)
		crowd[i].comes += time.Duration(i) // one after another
	}
	return crowd
}

// waitAll has a crowd wait at 100 per second, and returns how each fared.
func waitAll(t *testing.T, crowd []waiter) []wait {
	t.Helper()
	fared := make([]wait, len(crowd))
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, inMemory(), perSecond(100))
		for i, w := range crowd {
			q.wg.Go(func() {
				time.Sleep(w.comes)
				ctx := t.Context()
				if w.leaves > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, w.leaves-w.comes)
					defer cancel()
				}
				err := q.Wait(ctx, "key")
				fared[i] = wait{w.name, time.Since(q.begin), err}
			})
		}
		q.wg.Wait()
	})
	return fared
}

// Trap 11 behind a network, with and without the ability to give slots back: in
// whatever way waits are cancelled, the order is kept and no slot is used twice.
func TestTrap11RemoteCancels(t *testing.T) {
	for seed, random := range seeds.First(t, 60) {
		synctest.Test(t, func(t *testing.T) {
			far := remote{inner: inMemory(), trip: time.Duration(random.IntN(20)) * time.Millisecond}
			b := backend.Backend(&far)
			if seed%2 == 0 {
				b = &giver{far}
			}
			q := newQueue(t, b, perSecond(100))
			stayed := map[string]bool{}
			for i := range 30 {
				cancel := q.join("key", named("", i))
				if random.IntN(2) == 0 {
					time.AfterFunc(time.Duration(random.IntN(300))*time.Millisecond, cancel)
				} else {
					stayed[named("", i)] = true
				}
			}
			q.wg.Wait()
			var slots []time.Time
			for _, w := range q.done {
				if w.err != nil && !errors.Is(w.err, context.Canceled) {
					t.Errorf("Wait() = %v, want nil or context.Canceled", w.err)
				}
				if w.err != nil && stayed[w.name] {
					t.Errorf("wait %s, which was not cancelled: %v", w.name, w.err)
				}
				if w.err == nil {
					slots = append(slots, q.begin.Add(w.at))
				}
			}
			// They end at their slots or, with the answer, some time later.
			if err := backendtest.CheckWindows(slots, perSecond(100), far.trip); err != nil {
				t.Error(err)
			}
			names, _ := q.passed()
			for i, name := range names[1:] {
				if len(name) < len(names[i]) || len(name) == len(names[i]) && name < names[i] {
					t.Errorf("%s is let through after %s", name, names[i])
				}
			}
		})
	}
}

// Trap 11: a hundred wait, several of them with slots, and all are canceled at once. The next slot is
// as if they had never been there.
func TestTrap11CancelAll(t *testing.T) {
	burst := func(n int) gcra.FreqLimitParams {
		return gcra.FreqLimitParams{Limit: 1, Period: time.Millisecond, Burst: n}
	}
	for _, n := range []int{1, 2, 3, 30} {
		synctest.Test(t, func(t *testing.T) {
			q := newQueue(t, inMemory(), burst(n))
			ctx, cancel := context.WithCancel(t.Context())
			for range 100 {
				q.wg.Go(func() { _ = q.Wait(ctx, "key") })
			}
			time.Sleep(20*time.Millisecond + 500*time.Microsecond)
			cancel()
			q.wg.Wait()
			wantNextSlot(t, q.Backend(), "key", burst(n), 500*time.Microsecond)
		})
	}
}
