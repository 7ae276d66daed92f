package dispatcher_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/memory"
)

// Each job counts by what it waits for, once, at every moment of a retry after a
// refusal, a pause and a date.
func TestLoad(t *testing.T) {
	inEachBackend(t, func(t *testing.T, b backend.Backend) {
		s := open(t, b, config{Params: perSecond(1), Workers: 2}, func(_ context.Context, job job) error {
			switch {
			case job.Payload == "told off" && job.Attempt() == 1:
				return dispatcher.RetryAfter(5*time.Second, nil)
			case job.Payload == "long":
				time.Sleep(20 * time.Second)
			}
			return nil
		})
		wantLoad := func(want dispatcher.Load) {
			t.Helper()
			synctest.Wait()
			got, err := s.Load(context.Background())
			if err != nil || got != want {
				t.Errorf("Load() = %+v, %v, want %+v", got, err, want)
			}
			if waiting := s.Stats().Waiting; got.Waiting() != waiting {
				t.Errorf("%d jobs wait by Load, %d by Stats", got.Waiting(), waiting)
			}
		}
		wantLoad(dispatcher.Load{})
		s.submit("refused", "told off")
		s.submit("refused", "behind it")
		s.submit("slow", "a")
		time.Sleep(200 * time.Millisecond)
		s.submit("slow", "b")
		s.submit("slow", "c")
		s.submitJob(job{Key: "dated", Payload: "dated", NotBefore: time.Now().Add(4 * time.Second)})
		s.PauseKey("paused")
		s.submit("paused", "paused")
		wantLoad(dispatcher.Load{Held: 2, Limited: 2, Dated: 1, Paused: 1})
		time.Sleep(2500 * time.Millisecond)
		wantLoad(dispatcher.Load{Held: 2, Dated: 1, Paused: 1})
		s.submit("one", "long")
		s.submit("two", "long")
		s.submit("three", "for a worker")
		time.Sleep(6 * time.Second)
		wantLoad(dispatcher.Load{Ready: 4, Paused: 1})
		s.ResumeKey("paused")
		wantLoad(dispatcher.Load{Ready: 5})
		s.drainLoosely()
	})
}

// The busiest keys come first, those with as many by name.
func TestBusiest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, memory.New(memory.Config{}), config{Params: perSecond(1)}, func(context.Context, job) error {
			time.Sleep(30 * time.Second)
			return nil
		})
		for key, n := range map[string]int{"b": 4, "a": 4, "most": 6, "least": 2, "none": 1} {
			for i := range n {
				s.submitJob(job{Key: key, Payload: named(key, i), Priority: i % 2})
			}
		}
		time.Sleep(500 * time.Millisecond)
		for n, want := range map[int][]dispatcher.KeyLoad{
			-1: nil,
			2:  {{Key: "most", Waiting: 5, Running: 1}, {Key: "a", Waiting: 3, Running: 1}},
			9: {
				{Key: "most", Waiting: 5, Running: 1},
				{Key: "a", Waiting: 3, Running: 1},
				{Key: "b", Waiting: 3, Running: 1},
				{Key: "least", Waiting: 1, Running: 1},
			},
		} {
			got, err := s.Busiest(context.Background(), n)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, want) {
				t.Errorf("Busiest(%d) = %+v, want %+v", n, got, want)
			}
		}
		s.drain()
		if _, err := s.Busiest(context.Background(), 1); !errors.Is(err, dispatcher.ErrClosed) {
			t.Errorf("Busiest after Run: %v, want ErrClosed", err)
		}
		if _, err := s.Load(context.Background()); !errors.Is(err, dispatcher.ErrClosed) {
			t.Errorf("Load after Run: %v, want ErrClosed", err)
		}
	})
}

// A limit that is wider than the workers are costs next to nothing, however long jobs wait
// for a worker; one that keeps the workers idle costs what raising it gains, to within the
// time that a handler takes for each job and twice for each worker.
func TestBottlenecksAreNotTheWorkers(t *testing.T) {
	const jobs, workers, takes = 160, 16, time.Second
	const within = (jobs + 2*workers) * takes
	for _, perSecondAll := range []int{1_000_000, 16, 8, 2} {
		synctest.Test(t, func(t *testing.T) {
			starts := make(chan time.Duration, jobs)
			begin := time.Now()
			s := prepare(t, memory.New(memory.Config{}), config{Workers: workers}, func(context.Context, job) error {
				starts <- time.Since(begin)
				time.Sleep(takes)
				return nil
			})
			for i := range jobs {
				s.submit(named("key", i), "", limit("all", perSecond(perSecondAll)))
			}
			s.run()
			if err := s.WaitIdle(context.Background()); err != nil {
				t.Fatal(err)
			}
			var gained time.Duration // workers alone would let 16 jobs start each second
			for i := range jobs {
				gained += <-starts - time.Duration(i/workers)*takes
			}
			limits, err := s.Bottlenecks(context.Background(), 1)
			if err != nil {
				t.Fatal(err)
			}
			var lost time.Duration
			for _, b := range limits {
				lost = b.Lost
			}
			if (lost-gained).Abs() > within || perSecondAll == 1_000_000 && lost > jobs*time.Millisecond {
				t.Errorf("a limit of %d/s has cost %v, want %v, which is gained without it", perSecondAll, lost, gained)
			}
			s.drain()
		})
	}
}

// What a campaign has waited for is told by limit: the limit of the bot, of which all
// wait, and those of the chats that got more messages than they may.
func TestBottlenecks(t *testing.T) {
	inEachBackend(t, func(t *testing.T, b backend.Backend) {
		bot := limit("bot", perSecond(10))
		s := prepare(t, b, config{}, nil)
		for i := range 20 {
			key := named("chat", i)
			s.submit(key, "first", bot, limit(key, perSecond(1)))
		}
		for range 2 {
			s.submit("chat0", "more", bot, limit("chat0", every(5*time.Second)))
		}
		wantLost := func(n int, want ...dispatcher.Bottleneck) {
			t.Helper()
			limits, err := s.Bottlenecks(context.Background(), n)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.EqualFunc(limits, want, func(got, want dispatcher.Bottleneck) bool {
				return got.Key == want.Key && got.Params.String() == want.Params.String() && (got.Lost-want.Lost).Abs() < 50*time.Millisecond
			}) {
				t.Errorf("Bottlenecks(%d) = %v, want %v", n, limits, want)
			}
		}
		s.run()
		wantLost(10)
		time.Sleep(time.Minute)
		// 0.1 + ... + 1.9 s for the bot; for the chat 5 s from its first slot, twice.
		ofBot := dispatcher.Bottleneck{Key: "bot", Params: bot.Params, Lost: 19 * time.Second}
		ofChat := dispatcher.Bottleneck{Key: "chat0", Params: every(5 * time.Second), Lost: 10 * time.Second}
		wantLost(10, ofBot, ofChat)
		wantLost(1, ofBot)
		wantLost(0)
		wantLost(-1)
		s.drain()
		if _, err := s.Bottlenecks(context.Background(), 1); !errors.Is(err, dispatcher.ErrClosed) {
			t.Errorf("Bottlenecks() after Run = %v, want ErrClosed", err)
		}
	})
}

// What one caller does to its list is nothing to another, though both had one look.
func TestBusiestIsTheCallersOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, inMemory(), config{Params: every(time.Hour)}, nil)
		for range 2 {
			s.submit("chat", "")
		}
		lists := make(chan []dispatcher.KeyLoad, 2)
		for range 2 {
			go func() {
				busiest, err := s.Busiest(t.Context(), 1)
				if err != nil {
					t.Error(err)
				}
				lists <- busiest
			}()
		}
		synctest.Wait() // both wait for Run
		s.run()
		a, b := <-lists, <-lists
		clear(a)
		if len(b) != 1 || b[0].Key != "chat" {
			t.Errorf("Busiest() = %v after another caller has cleared its list, want the key chat", b)
		}
		s.drain()
	})
}
