package dispatcher_test

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/gcra"
)

// Trap 25: a job that the backend refuses at the head of its key, again and
// again, holds up no other key.
func TestTrap25RefusedHeadBlocksNobody(t *testing.T) {
	inEachOrder(t, func(t *testing.T, order dispatcher.Order) {
		b := inMemory()
		s := open(t, b, config{Workers: 1, Order: order}, nil)
		shut := limit("shut", every(time.Second))
		for range 5 {
			nextSlot(t, b, shut) // another process takes what the schedule counts on
			s.submit("refused", "refused", shut)
		}
		for i := range 50 {
			s.submit(named("key", i), "job", limit("shared", perSecond(10)))
		}
		s.drain()
		if got := s.startsOf("job"); len(got) != 50 || got[49] != 4900*time.Millisecond {
			t.Errorf("the other keys start at %v, want 0.1 s apart", got)
		}
		if got := s.startsOf("refused"); len(got) != 5 || got[0] != 5*time.Second || got[4] != 9*time.Second {
			t.Errorf("the refused ones start at %v, want from 5s to 9s", got)
		}
	})
}

// Trap 26: jobs that fall due while all workers are busy do not burst out when
// the workers come free.
func TestTrap26NoBurstBehindBusyWorkers(t *testing.T) {
	inEachOrder(t, func(t *testing.T, order dispatcher.Order) {
		s := open(t, inMemory(), config{Workers: 4, Order: order}, func(_ context.Context, j job) error {
			if j.Payload == "long" {
				time.Sleep(time.Minute)
			}
			return nil
		})
		for range 4 {
			s.submit("long", "long")
		}
		synctest.Wait()
		for i := range 30 {
			s.submit(named("key", i%3), "job", limit("shared", perSecond(10)), limit(named("key", i%3), perSecond(5)))
		}
		s.drain()
		for i, at := range s.startsOf("job") {
			if want := time.Minute + time.Duration(i)*100*time.Millisecond; at != want {
				t.Errorf("start %d behind the busy workers is at %v, want %v", i, at, want)
			}
		}
	})
}

// Trap 26: when workers are what is scarce, starts are as far apart as the limit
// says, each time again.
func TestTrap26WorkersAreScarce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{Workers: 2, Params: perSecond(10)}, func(context.Context, job) error {
			time.Sleep(10 * time.Second)
			return nil
		})
		for range 6 {
			s.submit("key", "job")
		}
		s.drain()
		s.wantStarts("job",
			0, 100*time.Millisecond,
			10*time.Second, 10100*time.Millisecond,
			20*time.Second, 20100*time.Millisecond)
	})
}

// Trap 27: intervals that are no whole number of nanoseconds round up, also over
// many starts, and a rate of millions keeps its windows.
func TestTrap27Rounding(t *testing.T) {
	for _, params := range []gcra.FreqLimitParams{
		{Limit: 30, Period: time.Second},
		{Limit: 7, Period: time.Second, Burst: 3},
		{Limit: 3, Period: 10 * time.Nanosecond},
		{Limit: 999_999_937, Period: time.Second},
		{Limit: 1, Period: 24 * time.Hour},
	} {
		t.Run(params.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t, inMemory(), config{Params: params}, nil)
				for range 100 {
					s.submit("key", "job")
				}
				s.drain()
				burst := max(params.Burst, 1)
				for i, st := range s.starts {
					due := time.Duration(i-burst+1) * params.Interval()
					if exact := params.Period * time.Duration(max(i-burst+1, 0)); st.at*time.Duration(params.Limit) < exact {
						t.Errorf("start %d is at %v, want %v/%d at the earliest", i, st.at, exact, params.Limit)
					}
					if want := max(due, 0); st.at != want {
						t.Errorf("start %d is at %v, want %v", i, st.at, want)
					}
				}
			})
		})
	}
}

// Trap 28: after minutes in which nothing could start, the slots that were missed
// are not made up, and nothing is frozen. What stalls here is the workers, or a
// backend that does not answer; internal/schedule has the stalled clock.
func TestTrap28StallIsNotMadeUp(t *testing.T) {
	const stall = 5 * time.Minute
	// The slots from number n on are 0.1 s apart, as if the stall had not been.
	wantSteadyFrom := func(t *testing.T, s *stage, n int) {
		t.Helper()
		jobs := s.starts[n:]
		for i, st := range jobs {
			if got, want := st.Slot().Sub(jobs[0].Slot()), time.Duration(i)*100*time.Millisecond; got != want {
				t.Fatalf("slot %d after the stall is %v after the first, want %v", i, got, want)
			}
		}
	}
	t.Run("workers", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := open(t, inMemory(), config{Workers: 1}, func(_ context.Context, j job) error {
				if j.Payload == "stall" {
					time.Sleep(stall)
				}
				return nil
			})
			for i := range 100 {
				s.submit("key", "job", limit("key", perSecond(10)))
				if i == 20 {
					s.submit("key", "stall")
				}
			}
			s.drain()
			if got, want := s.starts[22].at, 2*time.Second+stall; got != want {
				t.Errorf("the first start after the stall is at %v, want %v", got, want)
			}
			wantSteadyFrom(t, s, 22)
		})
	})
	t.Run("backend", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			calls := 0
			b := &remote{inner: inMemory(), trip: 2 * time.Millisecond, fault: func(context.Context) error {
				if calls++; calls == 21 {
					time.Sleep(stall)
				}
				return nil
			}}
			s := open(t, b, config{}, nil)
			for range 100 {
				s.submit("key", "job", limit("key", perSecond(10)))
			}
			s.drain()
			at := s.startsOf("job")
			if at[20] < stall || at[19] > 3*time.Second {
				t.Fatalf("starts 19 and 20 are at %v and %v, want the stall in between", at[19], at[20])
			}
			wantSteadyFrom(t, s, 20)
		})
	})
}

// Trap 29: many keys with one job each, and one key with many jobs, run to their
// end, and what they held is free again while the dispatcher goes on. The
// benchmarks have a million.
func TestTrap29ManyJobs(t *testing.T) {
	const jobs = 50_000
	type payload struct {
		id int
		_  [24]byte // no tiny object: that may share its memory with a key
	}
	for _, shape := range []struct {
		name string
		key  func(i int) string
	}{
		{"50,000 keys with 1 job", strconv.Itoa},
		{"1 key with 50,000 jobs", func(int) string { return "key" }},
	} {
		t.Run(shape.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var done int // guarded by there being one worker
				d, err := dispatcher.New(inMemory(), func(_ context.Context, j dispatcher.Job[*payload]) error {
					if j.Payload.id != done {
						return fmt.Errorf("job %d is number %d", j.Payload.id, done)
					}
					done++
					return nil
				}, dispatcher.Config[*payload]{
					Workers: 1,
					Limits: func(key string, _ *payload) []dispatcher.Limit {
						return []dispatcher.Limit{limit("shared", perSecond(1000)), limit(key, perSecond(1000))}
					},
				})
				if err != nil {
					t.Fatal(err)
				}
				ended := make(chan error, 1)
				go func() { ended <- d.Run(context.Background()) }()
				var payloads []weak.Pointer[payload]
				for i := range jobs {
					p := &payload{id: i}
					payloads = append(payloads, weak.Make(p))
					if err := d.Submit(context.Background(), shape.key(i), p); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(jobs * time.Millisecond)
				synctest.Wait()
				if got := d.Stats(); got.Succeeded != jobs {
					t.Errorf("Stats() = %+v, want %d succeeded", got, jobs)
				}
				runtime.GC()
				held := 0
				for _, p := range payloads {
					if p.Value() != nil {
						held++
					}
				}
				if held > 10 {
					t.Errorf("the payloads of %d jobs are still held after the last one has ended", held)
				}
				if err := d.Shutdown(context.Background()); err != nil {
					t.Error(err)
				}
				<-ended
			})
		})
	}
}

// Trap 32: a job that is submitted to a dispatcher that has long had nothing to do
// starts at once.
func TestTrap32SubmitToIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{Workers: 1, Params: perSecond(1)}, nil)
		var want []time.Duration
		for i := range 20 {
			time.Sleep(time.Hour)
			s.submit("key", "job")
			want = append(want, time.Duration(i+1)*time.Hour)
		}
		s.drain()
		s.wantStarts("job", want...)
	})
}

// Trap 32: the end of the last handler wakes up who waits for a worker, and the
// end of a serial job who waits for its key.
func TestTrap32LastWorkerFinishing(t *testing.T) {
	for _, serial := range []bool{false, true} {
		t.Run(fmt.Sprint("serial=", serial), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t, inMemory(), config{Workers: 1, Serial: serial}, func(context.Context, job) error {
					time.Sleep(time.Hour)
					return nil
				})
				for range 3 {
					s.submit("key", "job")
				}
				s.drain()
				s.wantStarts("job", 0, time.Hour, 2*time.Hour)
			})
		})
	}
}

// Trap 32: a key that was held comes back by itself, at once and not later.
func TestTrap32HeldKeyComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{}, nil)
		if err := s.Hold(t.Context(), "key", time.Hour); err != nil {
			t.Fatal(err)
		}
		s.submit("key", "without limits")
		s.submit("other", "under its limit", limit("key", perSecond(1)))
		s.drain()
		s.wantStarts("without limits", time.Hour)
		s.wantStarts("under its limit", time.Hour)
	})
}

// Trap 32: with nothing but Submit to wake it up, from many goroutines, no job
// is left behind.
func TestTrap32NoLostWakeUp(t *testing.T) {
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			s := open(t, inMemory(), config{Workers: 2}, nil)
			for i := range 8 {
				go s.submit(named("key", i), "job")
			}
			synctest.Wait()
			if got := len(s.startsOf("job")); got != 8 {
				t.Errorf("%d of 8 jobs have started when everything rests", got)
			}
			s.drain()
		})
	}
}
