package dispatcher_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
)

// Guarantee 5: jobs of one key and one priority get their slots in the order of
// submission, whatever limits each of them is under and however long it takes.
func TestGuarantee5OrderPerKeyAndPriority(t *testing.T) {
	inEachOrder(t, func(t *testing.T, order dispatcher.Order) {
		random := rand.New(rand.NewPCG(5, uint64(order)))
		s := open(t, inMemory(), config{Workers: 6, Order: order}, func(context.Context, job) error {
			time.Sleep(rand.N(200 * time.Millisecond))
			return nil
		})
		type lane struct {
			key      string
			priority int
		}
		want := map[lane][]string{}
		for i := range 600 {
			j := job{
				Key:      named("key", random.IntN(8)),
				Payload:  fmt.Sprint(i),
				Priority: random.IntN(3) - 1,
				Limits:   []dispatcher.Limit{limit("shared", perSecond(30))},
			}
			if random.IntN(2) == 0 {
				j.Limits = append(j.Limits, limit(named("topic", random.IntN(5)), perSecond(5)))
			}
			s.submitJob(j)
			want[lane{j.Key, j.Priority}] = append(want[lane{j.Key, j.Priority}], j.Payload)
			if i%100 == 0 {
				time.Sleep(time.Second)
			}
		}
		s.drain()
		got, last := map[lane][]string{}, map[lane]time.Time{}
		slices.SortStableFunc(s.starts, func(a, b start) int { return a.Slot().Compare(b.Slot()) })
		for _, st := range s.starts {
			l := lane{st.Key, st.Priority}
			got[l] = append(got[l], st.Payload)
			if st.Slot().Before(last[l]) {
				t.Errorf("job %s of %v has its slot before the one ahead of it", st.Payload, l)
			}
			last[l] = st.Slot()
		}
		for l := range want {
			if !slices.Equal(got[l], want[l]) {
				t.Errorf("the slots of %v are in the order %v, want %v", l, got[l], want[l])
			}
		}
	})
}

// Guarantee 5: a job whose own limit is open does not start before the one ahead
// of it, whose slot is taken and lies ahead.
func TestGuarantee5JobAheadHasALaterSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ms = time.Millisecond
		s := open(t, inMemory(), config{}, nil)
		s.submit("key", "1", limit("a", every(4*ms)))
		s.submit("key", "2", limit("a", every(4*ms)))
		s.submit("key", "3", limit("b", every(10*ms)))
		s.submit("key", "4")
		synctest.Wait()
		s.submit("other", "other", limit("b", every(10*ms)))
		s.drain()
		s.wantStarts("1", 0)
		s.wantStarts("2", 4*ms)
		s.wantStarts("3", 4*ms)
		s.wantStarts("4", 4*ms)
		s.wantStarts("other", 14*ms)
	})
}

// Guarantee 5: a job that waits for the slot of the one ahead has that as its own
// slot at all of its limits: nobody else gets there too soon after it.
func TestGuarantee5WaitingForTheJobAheadChargesItsRealSlot(t *testing.T) {
	inEachBackend(t, func(t *testing.T, b backend.Backend) {
		const ms = time.Millisecond
		s := open(t, b, config{}, nil)
		a, shared := limit("a", every(4*ms)), limit("shared", every(10*ms))
		s.submit("key", "1", a)
		s.submit("key", "2", a)
		s.submit("key", "3", shared)
		synctest.Wait()
		s.submit("other", "other", shared)
		s.drain() // checks the windows of each limit
		ahead, behind := s.outcomeOf("2").Job.Slot(), s.outcomeOf("3").Job.Slot()
		if behind.Before(ahead) {
			t.Errorf("the slot of job 3 is %v before the slot of job 2", ahead.Sub(behind))
		}
		if d := s.outcomeOf("other").Job.Slot().Sub(behind).Abs(); d < 10*ms {
			t.Errorf("two slots of a limit of one in 10ms are %v apart", d)
		}
	})
}

// Guarantee 5: two jobs that are both told to come back later, and so overlap,
// run again in their order, ahead of those behind them.
func TestGuarantee5RetriesKeepTheirOrder(t *testing.T) {
	for _, told := range []struct {
		name  string
		takes map[string]time.Duration // by payload, at the first attempt
	}{
		{"first to last", map[string]time.Duration{"A": 150 * time.Millisecond, "B": 150 * time.Millisecond}},
		{"last to first", map[string]time.Duration{"A": 180 * time.Millisecond, "B": 10 * time.Millisecond}},
	} {
		t.Run(told.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t, inMemory(), config{Params: perSecond(10)}, func(_ context.Context, j job) error {
					if takes, ok := told.takes[j.Payload]; ok && j.Attempt() == 1 {
						time.Sleep(takes)
						return dispatcher.RetryAfter(time.Second, nil)
					}
					return nil
				})
				s.submit("key", "A")
				s.submit("key", "B")
				time.Sleep(190 * time.Millisecond) // both have been told
				s.submit("key", "C")
				s.drain()
				s.wantOrder("A", "B", "A", "B", "C")
			})
		})
	}
}

// Guarantee 5: with one worker the order can be seen.
func TestGuarantee5OneWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, inMemory(), config{Workers: 1}, nil)
		var want []string
		for i := range 50 {
			s.submit("key", fmt.Sprint(i))
			want = append(want, fmt.Sprint(i))
		}
		s.run()
		s.drain()
		s.wantOrder(want...)
	})
}

// Of the jobs that may start now, one with a higher priority goes first; within
// a priority the order of submission stays.
func TestPriorityGoesFirst(t *testing.T) {
	inEachOrder(t, func(t *testing.T, order dispatcher.Order) {
		s := prepare(t, inMemory(), config{Workers: 1, Order: order}, nil)
		shared := []dispatcher.Limit{limit("shared", perSecond(10))}
		for _, j := range []job{
			{Key: "a", Payload: "a1"},
			{Key: "a", Payload: "a2"},
			{Key: "b", Payload: "low", Priority: -1},
			{Key: "a", Payload: "urgent1", Priority: 9},
			{Key: "a", Payload: "urgent2", Priority: 9},
		} {
			j.Limits = shared
			s.submitJob(j)
		}
		s.run()
		s.drain()
		s.wantOrder("urgent1", "urgent2", "a1", "a2", "low")
	})
}

// A priority reserves nothing: a job of a low one starts while those of a high
// one can't.
func TestPriorityDoesNotHoldUpOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, inMemory(), config{}, nil)
		for range 3 {
			s.submitJob(job{Key: "a", Payload: "high", Priority: 1, Limits: []dispatcher.Limit{limit("a", perSecond(1))}})
		}
		s.submitJob(job{Key: "b", Payload: "low", Priority: -1, Limits: []dispatcher.Limit{limit("b", perSecond(1))}})
		s.run()
		s.drain()
		s.wantStarts("high", 0, time.Second, 2*time.Second)
		s.wantStarts("low", 0)
	})
}

// Guarantee 5 with Serial: handlers of a key run strictly one after another in
// the order of submission, even if one of them runs again in between.
func TestGuarantee5Serial(t *testing.T) {
	for _, horizon := range []time.Duration{1, 50 * time.Millisecond} {
		t.Run(fmt.Sprint("horizon=", horizon), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var running [2]atomic.Int32
				of := map[string]*atomic.Int32{"a": &running[0], "b": &running[1]}
				s := prepare(t, inMemory(), config{Workers: 10, Serial: true, Horizon: horizon, Params: perSecond(20)},
					func(_ context.Context, j job) error {
						if of[j.Key].Add(1) > 1 {
							t.Errorf("job %q of %q runs while another does", j.Payload, j.Key)
						}
						time.Sleep(130 * time.Millisecond)
						of[j.Key].Add(-1)
						if j.Payload == "3" && j.Attempt() < 3 {
							return dispatcher.RetryAfter(time.Second, nil)
						}
						return nil
					})
				for i := range 8 {
					s.submit("a", fmt.Sprint(i))
					s.submit("b", fmt.Sprint(i))
				}
				s.run()
				s.drain()
				for _, key := range []string{"a", "b"} {
					var got []string
					for _, st := range s.starts {
						if st.Key == key {
							got = append(got, st.Payload)
						}
					}
					if want := []string{"0", "1", "2", "3", "3", "3", "4", "5", "6", "7"}; !slices.Equal(got, want) {
						t.Errorf("the order of %q is %v, want %v", key, got, want)
					}
				}
			})
		})
	}
}

// With Serial the priorities of a key are serial too, and other keys go on.
func TestSerialAcrossPriorities(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, inMemory(), config{Workers: 10, Serial: true}, func(context.Context, job) error {
			time.Sleep(time.Second)
			return nil
		})
		s.submitJob(job{Key: "a", Payload: "low"})
		s.submitJob(job{Key: "a", Payload: "high", Priority: 1})
		s.submitJob(job{Key: "b", Payload: "other"})
		s.run()
		s.drain()
		s.wantStarts("high", 0)
		s.wantStarts("low", time.Second)
		s.wantStarts("other", 0)
	})
}

// Without Serial jobs of a key overlap as far as their limits allow.
func TestNotSerialOverlaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{Workers: 10, Params: perSecond(10)}, func(context.Context, job) error {
			time.Sleep(time.Minute)
			return nil
		})
		for range 4 {
			s.submit("a", "job")
		}
		s.drain()
		s.wantStarts("job", 0, 100*time.Millisecond, 200*time.Millisecond, 300*time.Millisecond)
	})
}
