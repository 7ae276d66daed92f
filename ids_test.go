package dispatcher_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
)

// An ID is taken while its job waits, runs or waits to run again, and free when it
// has ended: for Events.Done already.
func TestIDIsTakenUntilTheEnd(t *testing.T) {
	inEachBackend(t, func(t *testing.T, b backend.Backend) {
		var s *stage
		again := job{Key: "chat", Payload: "reused", ID: "42"}
		s = prepare(t, b, config{Retry: steady(2), Events: whenDone(func(r result) {
			if r.Job.Payload == "first" {
				s.submitJob(again)
			}
		})}, func(_ context.Context, j job) error {
			time.Sleep(10 * time.Second)
			if j.Payload == "first" {
				return errFailed
			}
			return nil
		})
		taken := func(when string) {
			t.Helper()
			err := s.SubmitJob(context.Background(), job{Key: "other", Payload: when, ID: "42"})
			dup, ok := errors.AsType[*dispatcher.DuplicateError](err)
			if !ok || dup.ID != "42" || !errors.Is(err, dispatcher.ErrDuplicate) {
				t.Errorf("SubmitJob() of a job that %s = %v, want a DuplicateError", when, err)
			}
		}
		s.submitJob(job{Key: "chat", Payload: "first", ID: "42"})
		taken("waits")
		s.run()
		time.Sleep(5 * time.Second)
		taken("runs")
		time.Sleep(5500 * time.Millisecond)
		taken("waits to run again")
		time.Sleep(time.Minute)
		s.drain()
		if r := s.outcomeOf("reused"); r.Outcome != dispatcher.Succeeded {
			t.Errorf("the job that uses the ID again has %v, want succeeded", r.Outcome)
		}
	})
}

// With Replace the newest payload wins: it goes into the job that waits, and behind
// one that runs.
func TestReplace(t *testing.T) {
	inEachBackend(t, func(t *testing.T, b backend.Backend) {
		s := open(t, b, config{Serial: true}, func(context.Context, job) error {
			time.Sleep(10 * time.Second)
			return nil
		})
		edit := func(text string) *dispatcher.Handle[string] {
			return s.track(job{Key: "chat", Payload: text, ID: "message", OnDuplicate: dispatcher.ReplacePayload})
		}
		running := edit("v1")
		time.Sleep(time.Second)
		waiting := edit("v2")
		if running == waiting {
			t.Error("the edit of a job that runs has its handle, want one of its own")
		}
		for i := range 100 {
			if h := edit(named("v3.", i)); h != waiting {
				t.Fatal("the edit of a job that waits has a handle of its own, want that job's")
			}
		}
		edit("v4")
		s.drain()
		s.wantOrder("v1", "v4")
		if r, _ := waiting.Result(); r.Job.Payload != "v4" || r.Outcome != dispatcher.Succeeded {
			t.Errorf("the handle has %q, %v, want v4, succeeded", r.Job.Payload, r.Outcome)
		}
		if got := s.Stats(); got.Replaced != 101 || got.Submitted != 2 {
			t.Errorf("Stats() = %+v, want 101 replaced and 2 submitted", got)
		}
	})
}

// Of a submission that is refused nothing is left, an ID neither.
func TestRefusedIDIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, inMemory(), config{Capacity: 1}, nil)
		s.submit("chat", "fills it")
		refused := job{Key: "chat", Payload: "refused", ID: "x"}
		if err := s.SubmitJob(context.Background(), refused); !errors.Is(err, dispatcher.ErrFull) {
			t.Fatalf("SubmitJob() = %v, want ErrFull", err)
		}
		s.run()
		time.Sleep(time.Second)
		s.submitJob(refused)
		s.drain()
	})
}

// An ID is taken while a job with it waits or runs, in whatever order those end that
// came with ReplacePayload while others ran.
func TestIDOfSeveralThatRun(t *testing.T) {
	ends := [][]string{{"a", "b", "c"}, {"a", "c", "b"}, {"b", "a", "c"}, {"b", "c", "a"}, {"c", "a", "b"}, {"c", "b", "a"}}
	for _, order := range ends {
		synctest.Test(t, func(t *testing.T) {
			goOn := map[string]chan struct{}{"a": make(chan struct{}), "b": make(chan struct{}), "c": make(chan struct{})}
			s := open(t, inMemory(), config{}, func(_ context.Context, j job) error {
				if wait := goOn[j.Payload]; wait != nil {
					<-wait
				}
				return nil
			})
			named := func(payload string, o dispatcher.OnDuplicate) job {
				return job{Key: "chat", Payload: payload, ID: "status", OnDuplicate: o}
			}
			for _, payload := range []string{"a", "b", "c"} {
				s.submitJob(named(payload, dispatcher.ReplacePayload))
				synctest.Wait() // it runs
			}
			for _, payload := range order {
				if err := s.SubmitJob(t.Context(), named("early", dispatcher.RejectDuplicate)); !errors.Is(err, dispatcher.ErrDuplicate) {
					t.Errorf("SubmitJob() before %s has ended, of %q = %v, want %v", payload, order, err, dispatcher.ErrDuplicate)
				}
				close(goOn[payload])
				synctest.Wait()
			}
			s.submitJob(named("after", dispatcher.RejectDuplicate))
			s.drain()
			s.wantOrder("a", "b", "c", "after")
		})
	}
}
