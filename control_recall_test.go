package dispatcher_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/memory"
)

// throng is a handler that takes a second, and counts how many run at once.
type throng struct{ runs, most atomic.Int64 }

func (c *throng) handle(context.Context, job) error {
	n := c.runs.Add(1)
	c.most.Store(max(c.most.Load(), n))
	time.Sleep(time.Second)
	c.runs.Add(-1)
	return nil
}

func (c *throng) wantMost(t *testing.T, want int64) {
	t.Helper()
	if got := c.most.Swap(0); got != want {
		t.Errorf("%d jobs ran at once, want %d", got, want)
	}
}

// With fewer workers, jobs that have slots ahead of time wait again. With more, they start
// at once: no slot is lost.
func TestSetWorkersTakesSlotsBack(t *testing.T) {
	const jobs, at = 50, 10 * time.Second
	for name, limits := range map[string][]dispatcher.Limit{
		"without limits": {},
		"under a limit":  {limit("L", burst(jobs, time.Hour))},
	} {
		for when, early := range map[string]time.Duration{"with slots": 3 * time.Millisecond, "asking": 9500 * time.Microsecond} {
			t.Run(name+"/"+when, func(t *testing.T) {
				onReleasers(t, func(t *testing.T, b backend.Backend, _ *memory.Backend) {
					var c throng
					s := open(t, b, config{Workers: 100, Horizon: 20 * time.Millisecond}, c.handle)
					for i := range jobs {
						s.submitJob(job{
							Key: named("key", i%7), Payload: named("", i), Limits: limits,
							NotBefore: s.begin.Add(at),
						})
					}
					time.Sleep(at - early)
					if err := s.SetWorkers(1); err != nil {
						t.Fatal(err)
					}
					time.Sleep(5 * time.Second)
					c.wantMost(t, 1)
					if got := s.Stats(); got.Waiting+got.Running+int(got.Succeeded) != jobs || got.Running != 1 {
						t.Errorf("Stats() = %+v, want 1 of %d jobs to run", got, jobs)
					}
					if err := s.SetWorkers(100); err != nil {
						t.Fatal(err)
					}
					time.Sleep(2 * time.Second)
					if got := s.Stats(); got.Succeeded != jobs {
						t.Errorf("%d jobs are done, want all %d", got.Succeeded, jobs)
					}
					s.drain()
					if got, want := s.order()[:5], []string{"0", "1", "2", "3", "4"}; !slices.Equal(got, want) {
						t.Errorf("%q start first, want %q", got, want)
					}
				})
			})
		}
	}
}

// interrupted has jobs of some keys start under a limit, while interrupt is called after
// so long; each slot is as far from the last one as the limit says, except for one gap.
func interrupted(t *testing.T, b backend.Backend, order dispatcher.Order, after time.Duration, interrupt func(s *stage)) []string {
	t.Helper()
	const jobs, interval = 40, 2 * time.Millisecond
	shared := limit("shared", every(interval))
	s := prepare(t, b, config{Order: order, Horizon: 20 * time.Millisecond, Workers: jobs}, nil)
	for i := range jobs {
		key, priority := laneOf(i)
		s.submitJob(job{
			Key: named("key", key), Payload: named("", i), Priority: priority,
			Limits: []dispatcher.Limit{shared},
		})
	}
	s.run()
	time.Sleep(after)
	synctest.Wait()
	interrupt(s)
	s.drain()
	gaps := 0
	slots := s.slots()[shared]
	for i, slot := range slots[1:] {
		if slot.Sub(slots[i]) > interval {
			gaps++
		}
	}
	if gaps > 1 {
		t.Errorf("slots are lost: there are %d gaps", gaps)
	}
	return s.order()
}

// laneOf tells the jobs of interrupted that have one key and one priority from others.
func laneOf(i int) (key, priority int) { return i * i % 5, i % 9 / 8 }

// wantLanesInOrder wants the numbered jobs of each lane to have started in their order.
func wantLanesInOrder(t *testing.T, order []string) {
	t.Helper()
	last := map[[2]int]int{}
	for _, payload := range order {
		i, err := strconv.Atoi(payload)
		if err != nil {
			t.Fatal(err)
		}
		key, priority := laneOf(i)
		lane := [2]int{key, priority}
		if last[lane] > i {
			t.Errorf("job %d starts after job %d, of the same key and priority", i, last[lane])
		}
		last[lane] = i
	}
}

// While all is paused nothing starts, whatever slots have been taken or are asked for. Then
// all goes on in its order, from one slot to the next.
func TestPauseTakesSlotsBack(t *testing.T) {
	inEachOrder(t, func(t *testing.T, order dispatcher.Order) {
		want := interrupted(t, inMemory(), order, 0, func(*stage) {})
		for _, trip := range []time.Duration{0, 4 * time.Millisecond} {
			for _, after := range []time.Duration{0, 1, 3, 5, 7, 11, 13, 20, 33} {
				b := backend.Backend(inMemory())
				if trip > 0 {
					b = &giver{remote{inner: inMemory(), trip: trip}}
				}
				after = after*time.Millisecond + time.Microsecond
				got := interrupted(t, b, order, after, func(s *stage) {
					s.Pause()
					synctest.Wait()
					before := len(s.order())
					time.Sleep(10 * time.Second)
					if n := len(s.order()) - before; n > 0 {
						t.Errorf("%v: %d jobs start while all is paused, want none", after, n)
					}
					if got := s.Stats(); got.Waiting != 40-before || got.Running != 0 {
						t.Errorf("%v: Stats() = %+v, want %d jobs to wait", after, got, 40-before)
					}
					s.Resume()
				})
				if wantLanesInOrder(t, got); trip == 0 && !slices.Equal(got, want) {
					t.Errorf("%v: the order of starts is\n%q, without a pause\n%q", after, got, want)
				}
			}
		}
	})
}

// All is paused and goes on at once, again and again, while slots are asked for and
// given back. Each job starts once, and in its order.
func TestPauseForAMoment(t *testing.T) {
	inEachOrder(t, func(t *testing.T, order dispatcher.Order) {
		for _, after := range []time.Duration{0, 1, 3, 5, 7, 11, 13, 20, 33} {
			s := open(t, &giver{remote{inner: inMemory(), trip: 4 * time.Millisecond}}, config{Order: order, Horizon: 20 * time.Millisecond}, nil)
			for i := range 40 {
				key, priority := laneOf(i)
				s.submitJob(job{
					Key: named("key", key), Payload: named("", i), Priority: priority,
					Limits: []dispatcher.Limit{limit("shared", every(2*time.Millisecond))},
				})
			}
			time.Sleep(after*time.Millisecond + time.Microsecond)
			for i := range 20 {
				s.Pause()
				s.Resume()
				time.Sleep(time.Duration(i) * 100 * time.Microsecond)
			}
			s.drain()
			wantLanesInOrder(t, s.order())
		}
	})
}

// What is paused is one key: its slots are free for others.
func TestPauseKeyTakesSlotsBack(t *testing.T) {
	onReleasers(t, func(t *testing.T, b backend.Backend, inner *memory.Backend) {
		const at = time.Second
		shared := limit("shared", burst(10, time.Hour))
		own := limit("own", every(time.Hour))
		s := open(t, b, config{Horizon: 20 * time.Millisecond}, nil)
		for i := range 5 {
			s.submitJob(job{
				Key: "paused", Payload: named("p", i), Limits: []dispatcher.Limit{shared},
				NotBefore: s.begin.Add(at),
			})
			s.submitJob(job{
				Key: named("other", i), Payload: named("o", i), Limits: []dispatcher.Limit{shared},
				NotBefore: s.begin.Add(at),
			})
		}
		s.submitJob(job{Key: "paused", Payload: "urgent", Priority: 1, Limits: []dispatcher.Limit{own}, NotBefore: s.begin.Add(at)})
		time.Sleep(at - 4*time.Millisecond)
		s.PauseKey("paused")
		time.Sleep(at)
		if got := len(s.order()); got != 5 {
			t.Errorf("%q have started, want all but those of the key", s.order())
		}
		wantNextSlot(t, inner, own, 0)
		if err := s.SetParams("own", perSecond(1)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		resumed := time.Since(s.begin)
		s.SetWorkers(1) // several would note what starts at one instant in any order
		s.ResumeKey("paused")
		s.drain()
		if got := s.order()[5:]; !slices.Equal(got, []string{"urgent", "p0", "p1", "p2", "p3", "p4"}) {
			t.Errorf("of the key start %q, want all in their order", got)
		}
		for i := range 5 {
			s.wantNear(named("o", i), at)
		}
		s.wantNear("urgent", resumed)
	})
}

// Jobs that wait again can be canceled and dropped, as if they had never had a
// slot. What they would have used, others have.
func TestJobsThatWaitAgainEnd(t *testing.T) {
	for name, early := range map[string]time.Duration{"with slots": 4 * time.Millisecond, "asking": 9500 * time.Microsecond} {
		t.Run(name, func(t *testing.T) {
			onReleasers(t, func(t *testing.T, b backend.Backend, _ *memory.Backend) {
				const at = time.Second
				l := limit("L", burst(1, time.Hour))
				s := open(t, b, config{Horizon: 20 * time.Millisecond, Workers: 10}, nil)
				dated := func(key, payload string, limits ...dispatcher.Limit) *dispatcher.Handle[string] {
					t.Helper()
					return s.track(job{
						Key: key, Payload: payload, Limits: limits,
						ID: payload, NotBefore: s.begin.Add(at), Deadline: s.begin.Add(time.Hour),
					})
				}
				h := dated("a", "canceled", l)
				soon := dated("b", "canceled soon", limit("M", every(time.Hour)))
				dated("c", "dropped", limit("N", every(time.Hour)))
				dated("d", "runs", limit("O", every(time.Hour)))
				time.Sleep(at - early)
				s.Pause()
				soon.Cancel()
				time.Sleep(at)
				if !h.Cancel() {
					t.Error("Cancel() = false, want true")
				}
				dropped, err := s.Drop(t.Context(), "c")
				if err != nil || len(dropped) != 1 {
					t.Errorf("Drop() = %v, want one job", err)
				}
				for _, l := range []dispatcher.Limit{l, limit("M", every(time.Hour)), limit("N", every(time.Hour))} {
					s.submit("next "+l.Key, "next", l)
				}
				s.Resume()
				time.Sleep(10 * time.Millisecond)
				if got := len(s.startsOf("next")); got != 3 {
					t.Errorf("%d jobs have the slots that were given back, want 3", got)
				}
				s.drain()
				for payload, want := range map[string]error{"canceled": dispatcher.ErrCanceled, "canceled soon": dispatcher.ErrCanceled, "dropped": dispatcher.ErrDropped, "runs": nil} {
					if r := s.outcomeOf(payload); !errors.Is(r.Err, want) {
						t.Errorf("%s: %v, %v, want %v", payload, r.Outcome, r.Err, want)
					}
				}
			})
		})
	}
}

// A job whose deadline comes while its slot has been taken back expires.
func TestJobsThatWaitAgainExpire(t *testing.T) {
	onReleasers(t, func(t *testing.T, b backend.Backend, inner *memory.Backend) {
		const at = time.Second
		l := limit("L", every(time.Hour))
		s := open(t, b, config{Horizon: 20 * time.Millisecond}, nil)
		s.submitJob(job{
			Key: "a", Payload: "late", Limits: []dispatcher.Limit{l},
			NotBefore: s.begin.Add(at), Deadline: s.begin.Add(2 * at),
		})
		time.Sleep(at - 4*time.Millisecond)
		s.Pause()
		time.Sleep(2 * at)
		if r := s.outcomeOf("late"); r.Outcome != dispatcher.Expired {
			t.Errorf("outcome: %v, want expired", r.Outcome)
		}
		wantNextSlot(t, inner, l, 0)
		s.Resume()
		s.drain()
	})
}

// A job that has kept its key, and waits again, keeps it again.
func TestJobsThatWaitAgainKeepTheirKey(t *testing.T) {
	for _, serial := range []bool{false, true} {
		onReleasers(t, func(t *testing.T, b backend.Backend, inner *memory.Backend) {
			limits := []dispatcher.Limit{limit("L", every(time.Second))}
			s := open(t, b, config{Horizon: 20 * time.Millisecond, Serial: serial}, func(_ context.Context, j job) error {
				if j.Payload == "first" && j.Attempt() == 1 {
					return dispatcher.RetryAfter(10*time.Second, nil)
				}
				return nil
			})
			s.submit("a", "first", limits...)
			time.Sleep(time.Second / 2)
			s.submitJob(job{Key: "a", Payload: "low", Priority: -1, Limits: []dispatcher.Limit{limit("M", every(time.Millisecond))}})
			s.submit("a", "second", limits...)
			time.Sleep(9500*time.Millisecond - 4*time.Millisecond)
			s.Pause()
			time.Sleep(5 * time.Second)
			nextSlot(t, inner, limits[0]) // so that it waits for the next one
			s.Resume()
			s.drain()
			s.wantNear("first", 0, 16*time.Second-4*time.Millisecond)
			if at := s.startsOf("low")[0]; at < s.startsOf("first")[1] {
				t.Errorf("serial %v: a job of a lower priority starts at %v, before the one that keeps the key", serial, at)
			}
		})
	}
}

// As many jobs are declined as there are too many, however often that is said.
func TestSetWorkersDeclinesNoMoreThanItMust(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c throng
		s := prepare(t, &giver{remote{inner: inMemory(), trip: 10 * time.Millisecond}}, config{Workers: 20}, c.handle)
		for i := range 10 {
			s.submit(named("key", i), named("", i), limit("L", burst(10, time.Hour)))
		}
		s.run()
		time.Sleep(time.Millisecond)
		for range 3 {
			if err := s.SetWorkers(6); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(100 * time.Millisecond)
		got := s.order()
		slices.Sort(got) // they start at one instant
		if want := []string{"0", "1", "2", "3", "4", "5"}; !slices.Equal(got, want) {
			t.Errorf("%q start first, want %q", got, want)
		}
		s.drain()
		c.wantMost(t, 6)
	})
}

// What has not been asked for when all is paused is not asked for then.
func TestPauseSendsNoRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		b := &remote{inner: inMemory(), trip: time.Second, change: func(reqs []backend.Request, _ []backend.Decision) {
			asked.Add(int64(len(reqs)))
		}}
		s := open(t, b, config{Workers: 20}, nil)
		s.submit("first", "job", limit("first", perSecond(1)))
		synctest.Wait()
		for i := range 10 { // they wait for the batch that is on its way
			s.submit(named("key", i), "job", limit(named("key", i), perSecond(1)))
		}
		time.Sleep(time.Millisecond)
		s.Pause()
		time.Sleep(time.Minute)
		if got := asked.Load(); got != 1 {
			t.Errorf("the backend was asked for %d jobs, want 1", got)
		}
		s.Resume()
		s.drain()
	})
}
