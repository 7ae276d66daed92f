package dispatcher_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
)

// A job without limits costs nothing but its place in a queue.
func TestPlainJobsNeedNoMemory(t *testing.T) {
	d, err := dispatcher.New(inMemory(), func(context.Context, dispatcher.Job[int]) error { return nil }, dispatcher.Config[int]{})
	if err != nil {
		t.Fatal(err)
	}
	ran := make(chan error, 1)
	go func() { ran <- d.Run(context.Background()) }()
	const jobs = 10_000
	per := testing.AllocsPerRun(10, func() {
		for i := range jobs {
			if err := d.Submit(context.Background(), "key", i); err != nil {
				t.Fatal(err)
			}
		}
	})
	if per > jobs/10 {
		t.Errorf("%d jobs took %.0f allocations, want at most one for each 10", jobs, per)
	}
	if err := d.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := <-ran; err != nil {
		t.Fatal(err)
	}
}

// However many fast jobs of a key wait, others get what they would get without them:
// another key its turn, a job with limits or a higher priority its own.
func TestPlainJobsHoldUpNobody(t *testing.T) {
	for _, other := range []job{
		{Key: "other", Payload: "other"},
		{Key: "other", Payload: "other", Limits: []dispatcher.Limit{limit("other", perSecond(1))}},
		{Key: "key", Payload: "other", Priority: 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := open(t, inMemory(), config{Workers: 3}, func(context.Context, job) error {
				time.Sleep(time.Second)
				return nil
			})
			for i := range 300 {
				s.submit("key", named("", i))
			}
			time.Sleep(time.Second / 2)
			s.submitJob(other)
			s.drain()
			if got := s.startsOf("other"); len(got) != 1 || got[0] > 2*time.Second {
				t.Errorf("key %q, priority %d: starts at %v, want at most 2s", other.Key, other.Priority, got)
			}
			wantAbout(t, "the last start", s.last(), 100*time.Second)
		})
	}
}

// A fast job that is told to come again later is overtaken by none of its key.
func TestPlainJobsWaitForTheirFirst(t *testing.T) {
	inEachBackend(t, func(t *testing.T, b backend.Backend) {
		s := open(t, b, config{Workers: 1}, func(_ context.Context, j job) error {
			if j.Payload == "3" && j.Attempt() < 3 {
				return dispatcher.RetryAfter(time.Minute, nil)
			}
			return nil
		})
		var want []string
		for i := range 300 {
			s.submit("key", named("", i))
			want = append(want, named("", i))
		}
		s.drain()
		s.wantOrder(slices.Insert(want, 3, "3", "3")...)
		s.wantNear("3", 0, time.Minute, 2*time.Minute)
		s.wantNear("4", 2*time.Minute)
	})
}

// Jobs that run when the fast path is closed keep their workers, and come back
// before those that were submitted after them.
func TestPlainJobsThatRunOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{Workers: 4}, func(_ context.Context, j job) error {
			time.Sleep(10 * time.Second)
			if (j.Payload == "1" || j.Payload == "2") && j.Attempt() == 1 {
				return dispatcher.RetryAfter(time.Minute, nil)
			}
			return nil
		})
		s.submitJob(job{Key: "key", Payload: "not plain", Priority: 1})
		time.Sleep(10 * time.Second) // and all that follow are
		for i := range 6 {
			s.submit("key", named("", i))
			synctest.Wait()
		}
		want := []dispatcher.KeyLoad{{Key: "key", Waiting: 2, Running: 4}}
		if got, err := s.Busiest(t.Context(), 10); err != nil || !slices.Equal(got, want) {
			t.Errorf("Busiest() = %+v, %v, want %+v", got, err, want)
		}
		if got := s.Stats(); got.Waiting != 2 || got.Running != 4 {
			t.Errorf("Stats() = %+v, want 2 waiting and 4 running", got)
		}
		s.submit("other", "other", limit("other", perSecond(1)))
		s.drain()
		s.wantStarts("other", 20*time.Second)
		s.wantStarts("1", 10*time.Second, 80*time.Second)
		s.wantStarts("2", 10*time.Second, 80*time.Second)
		order := s.order()
		for _, payload := range []string{"4", "5"} {
			at, first := s.startsOf(payload), slices.Index(order[7:], "1")
			if at[0] > 20*time.Second && slices.Index(order[7:], payload) < first {
				t.Errorf("the order is %q: %q overtakes what was told off", order, payload)
			}
		}
	})
}

// Capacity is exact, also where workers are slow to say what they have taken.
func TestPlainJobsFillTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{Workers: 3, Capacity: 10}, func(context.Context, job) error {
			time.Sleep(time.Second)
			return nil
		})
		for range 3 {
			s.submit("key", "runs")
		}
		synctest.Wait()
		for round := range 5 {
			free := 10
			if round > 0 {
				free = 3
			}
			for i := range free {
				if err := s.Submit(t.Context(), "key", "waits"); err != nil {
					t.Fatalf("round %d: submission %d of %d: %v", round, i, free, err)
				}
			}
			if got := s.Stats(); got.Waiting != 10 || got.Running != 3 {
				t.Errorf("Stats() = %+v, want 10 waiting and 3 running", got)
			}
			for _, key := range []string{"key", "other"} {
				if err := s.Submit(t.Context(), key, "too many"); err == nil {
					t.Fatalf("round %d: key %q is accepted, want ErrFull", round, key)
				}
			}
			time.Sleep(time.Second)
			synctest.Wait()
		}
		s.drain()
	})
}

// ErrFull means that the queue is full, not that somebody else has just made room:
// those who submit hold a token each until their job has begun, so that never more
// than Capacity wait.
func TestPlainJobsFindRoom(t *testing.T) {
	const capacity, submitters, jobs = 8, 8, 2000
	tokens := make(chan struct{}, capacity)
	s := open(t, inMemory(), config{Workers: 4, Capacity: capacity}, func(context.Context, job) error {
		<-tokens
		return nil
	})
	var group sync.WaitGroup
	for range submitters {
		group.Go(func() {
			for range jobs {
				tokens <- struct{}{}
				if err := s.Submit(context.Background(), "key", "job"); err != nil {
					t.Error(err)
					<-tokens
				}
			}
		})
	}
	group.Wait()
	s.drain()
}

// When Run's context ends, what waits on the fast path is dropped, each job once.
func TestPlainJobsAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{Workers: 3}, func(ctx context.Context, _ job) error {
			<-ctx.Done()
			return dispatcher.RetryAfter(time.Second, nil)
		})
		for i := range 500 {
			s.submit("key", named("", i))
		}
		synctest.Wait()
		s.cut()
		if got := s.Stats().Dropped; got != 500 {
			t.Errorf("%d jobs were dropped, want all 500", got)
		}
	})
}

// Values of the context of Submit reach the handlers of fast jobs, each its own.
func TestPlainJobsHaveTheirContexts(t *testing.T) {
	type tag struct{}
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{Workers: 1}, func(ctx context.Context, j job) error {
			if got, _ := ctx.Value(tag{}).(string); got != strings.TrimPrefix(j.Payload, "none") {
				t.Errorf("job %q has the value %q", j.Payload, got)
			}
			return nil
		})
		for i := range 10 {
			ctx, payload := context.Background(), "none"
			if i%2 == 0 {
				payload = named("v", i)
				ctx = context.WithValue(ctx, tag{}, payload)
			}
			if err := s.Submit(ctx, "key", payload); err != nil {
				t.Fatal(err)
			}
		}
		s.drain()
	})
}

// Many who submit all kinds of jobs at once, while others meddle: every job ends once,
// and with one worker no two jobs of a producer and key change places.
func TestPlainJobsAmongOthers(t *testing.T) {
	const producers, jobs = 3, 4000
	for _, workers := range []int{1, 8} {
		t.Run(fmt.Sprint(workers, " workers"), func(t *testing.T) {
			var mu sync.Mutex
			seen := map[string]int{} // of a producer and key, the latest job
			ended := make([]atomic.Int32, producers*jobs)
			d, err := dispatcher.New(inMemory(), func(_ context.Context, j dispatcher.Job[int]) error {
				lane := fmt.Sprint(j.Key, j.Payload/jobs)
				if workers == 1 && j.Attempt() == 1 {
					mu.Lock()
					if last, ok := seen[lane]; ok && last > j.Payload {
						t.Errorf("job %d of %q starts after job %d", j.Payload, lane, last)
					}
					seen[lane] = j.Payload
					mu.Unlock()
				}
				switch {
				case j.Payload%997 == 0 && j.Attempt() == 1:
					return dispatcher.RetryAfter(0, nil)
				case j.Payload%499 == 0:
					return errFailed
				case j.Payload%1999 == 0:
					panic("a test")
				}
				ended[j.Payload].Add(1)
				return nil
			}, dispatcher.Config[int]{Workers: workers})
			if err != nil {
				t.Fatal(err)
			}
			ran := make(chan error, 1)
			go func() { ran <- d.Run(context.Background()) }()
			var group sync.WaitGroup
			for p := range producers {
				group.Go(func() {
					for i := range jobs {
						key, limits := "plain", []dispatcher.Limit(nil)
						switch r := rand.N(1000); {
						case r == 0:
							key = "other"
						case r == 1:
							limits = []dispatcher.Limit{limit("wide", perSecond(1_000_000))}
						case r == 2:
							_, _ = d.Load(context.Background())
						case r == 3:
							d.Pause()
							d.Resume()
						case r < 10:
							time.Sleep(time.Millisecond)
						}
						if err := d.SubmitJob(context.Background(), dispatcher.Job[int]{Key: key, Payload: p*jobs + i, Limits: limits}); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			group.Wait()
			if err := d.WaitIdle(context.Background()); err != nil {
				t.Error(err)
			}
			if err := d.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
			if err := <-ran; err != nil {
				t.Error(err)
			}
			succeeded := uint64(0)
			for i := range ended {
				switch n := ended[i].Load(); {
				case n > 1:
					t.Errorf("job %d has run %d times to its end", i, n)
				case n == 1:
					succeeded++
				}
			}
			got := d.Stats()
			if got.Succeeded != succeeded || got.Succeeded+got.Failed+got.Panicked != producers*jobs || got.Waiting != 0 || got.Running != 0 {
				t.Errorf("Stats() = %+v, want %d succeeded, %d in all", got, succeeded, producers*jobs)
			}
		})
	}
}
