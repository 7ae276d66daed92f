package dispatcher_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
)

// payloads returns the payloads of all starts, in order.
func (s *stage) payloads() (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.starts {
		all = append(all, st.Payload)
	}
	return all
}

func (s *stage) wantPayloads(want ...string) {
	s.t.Helper()
	if got := s.payloads(); !slices.Equal(got, want) {
		s.t.Errorf("starts = %q, want %q", got, want)
	}
}

// A job that was accepted by a process that never ran it runs in the next one, once.
func TestKeptJobRunsInTheNextProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		first := prepare(t, d.open(), config{}, nil)
		for _, p := range []string{"a", "b", "c"} {
			first.submit("key", p, limit("key", perSecond(1)))
		}
		second := open(t, d.open(), config{}, nil)
		time.Sleep(time.Minute)
		second.wantPayloads("a", "b", "c")
		if len(d.jobs) != 0 {
			t.Errorf("the journal keeps %d jobs after all have ended, want 0", len(d.jobs))
		}
		second.drain()
		third := open(t, d.open(), config{}, nil)
		third.drain()
		third.wantPayloads()
	})
}

// Stopping keeps what has not run, and the next process counts no loss.
func TestStopKeepsJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		first := open(t, d.open(), config{Workers: 2}, func(ctx context.Context, j job) error {
			<-ctx.Done()
			return ctx.Err()
		})
		for i := range 10 {
			first.submit("key", fmt.Sprint(i))
		}
		time.Sleep(time.Second)
		first.stop(errEnough)
		err := <-first.ended
		if stop, ok := errors.AsType[*dispatcher.StopError](err); !ok || stop.Kept != 10 || stop.Dropped != 0 {
			t.Errorf("Run() = %v, want 10 jobs kept", err)
		}
		if len(first.results) != 0 {
			t.Errorf("results = %+v, want none", first.results)
		}
		second := open(t, d.open(), config{Workers: 1}, nil)
		time.Sleep(time.Minute)
		second.wantPayloads("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
		for _, st := range second.starts {
			if want := map[bool]int{true: 2, false: 1}[st.Payload < "2"]; st.Attempt() != want {
				t.Errorf("Attempt() of %s = %d, want %d", st.Payload, st.Attempt(), want)
			}
		}
		second.drain()
	})
}

// A job that its process has when it is killed runs again; with AtMostOnce it is uncertain; and one that was lost
// three times is dead.
func TestKilledProcess(t *testing.T) {
	hang := func(ctx context.Context, _ job) error {
		<-ctx.Done()
		return nil
	}
	lose := func(t *testing.T, d *disk) {
		j := d.open()
		s := open(t, j, config{Workers: 1}, hang)
		time.Sleep(time.Second)
		j.kill()
		s.stop(errEnough)
		<-s.ended
		if got := s.payloads(); len(got) != 1 || got[0] != "claimed" {
			t.Errorf("starts = %q, want the first job", got)
		}
	}
	submit := func(t *testing.T, d *disk) {
		s := prepare(t, d.open(), config{}, nil)
		s.submit("key", "claimed")
		s.submit("key", "waits")
	}
	t.Run("at least once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := newDisk()
			submit(t, d)
			lose(t, d)
			lose(t, d)
			s := open(t, d.open(), config{Workers: 1}, nil)
			time.Sleep(time.Second)
			s.wantPayloads("claimed", "waits")
			s.drain()
		})
	})
	t.Run("poison", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := newDisk()
			submit(t, d)
			lose(t, d)
			lose(t, d)
			lose(t, d)
			s := open(t, d.open(), config{Workers: 1}, nil)
			time.Sleep(time.Second)
			s.wantPayloads("waits")
			s.drain()
			if r := s.results[0]; r.Outcome != dispatcher.Failed || !errors.Is(r.Err, dispatcher.ErrLost) || len(d.dead) != 1 {
				t.Errorf("result = %v, %v, %d dead jobs, want failed, %v and 1", r.Outcome, r.Err, len(d.dead), dispatcher.ErrLost)
			}
		})
	})
	t.Run("at most once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := newDisk()
			submit(t, d)
			lose(t, d)
			s := open(t, d.open(), config{Workers: 1, AtMostOnce: true}, nil)
			time.Sleep(time.Second)
			s.wantPayloads("waits")
			s.drain()
			if r := s.results[0]; r.Outcome != dispatcher.Uncertain || !errors.Is(r.Err, dispatcher.ErrUncertain) {
				t.Errorf("result = %v, %v, want uncertain", r.Outcome, r.Err)
			}
		})
	})
}

// Pauses and params that were set hold for the next process too.
func TestSettingsAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		first := open(t, d.open(), config{}, nil)
		first.PauseKey("a")
		first.PauseKey("b")
		first.ResumeKey("b")
		if err := first.SetParams("c", every(time.Hour)); err != nil {
			t.Fatal(err)
		}
		first.stop(errEnough)
		<-first.ended
		second := open(t, d.open(), config{}, nil)
		for _, key := range []string{"a", "b", "c", "c"} {
			second.submit(key, key, limit(key, perSecond(1)))
		}
		time.Sleep(time.Minute)
		if got := second.payloads(); len(got) != 2 || !slices.Contains(got, "b") || !slices.Contains(got, "c") {
			t.Errorf("starts after a minute = %q, want b and c", got)
		}
		second.ResumeKey("a")
		second.drain()
		if at := second.startsOf("c"); len(at) != 2 || at[1]-at[0] < time.Hour-time.Second {
			t.Errorf("starts of c = %v, want them an hour apart", at)
		}
		third := open(t, d.open(), config{}, nil)
		third.submit("a", "a")
		third.drain()
	})
}

// Dead jobs are listed, replayed and dropped, also by another process.
func TestDeadJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDisk()
		first := open(t, d.open(), config{}, func(_ context.Context, j job) error {
			if j.Payload != "good" {
				return errFailed
			}
			return nil
		})
		for _, p := range []string{"bad 1", "good", "bad 2", "bad 3"} {
			first.submitJob(job{Key: "key", Payload: p, Priority: 7, ID: p, Limits: []dispatcher.Limit{limit("l", perSecond(10))}})
		}
		first.drain()
		second := open(t, d.open(), config{}, nil)
		var dead []dispatcher.DeadJob[string]
		for j, err := range second.DeadJobs(ctx) {
			if err != nil {
				t.Fatal(err)
			}
			dead = append(dead, j)
		}
		if len(dead) != 3 || dead[0].Job.Payload != "bad 1" || dead[0].Reason != "failed" || dead[0].Job.Priority != 7 || dead[2].Job.ID != "bad 3" {
			t.Fatalf("DeadJobs() = %+v, want the three bad ones", dead)
		}
		if n, err := second.Replay(ctx, dead[2].Number, dead[0].Number, 1234); n != 2 || err != nil {
			t.Errorf("Replay() = %d, %v, want 2 and nil", n, err)
		}
		if err := second.DropDead(ctx, dead[1].Number, dead[0].Number); err != nil {
			t.Errorf("DropDead() = %v, want nil", err)
		}
		second.drain()
		second.wantPayloads("bad 3", "bad 1")
		if len(d.jobs)+len(d.dead) != 0 {
			t.Errorf("the journal keeps %d jobs and %d dead ones, want none", len(d.jobs), len(d.dead))
		}
	})
}

// A payload that can't be decoded makes its job dead. One of a newer version waits for a process that reads it.
func TestPayloadsOfOtherVersions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		newer := dispatcher.Codec[string]{
			Version: 2,
			Encode:  func(p string) ([]byte, error) { return []byte("v2 " + p), nil },
			Decode: func(data []byte, version int) (string, error) {
				if version < 2 {
					return "old " + string(data), nil
				}
				return string(data), nil
			},
		}
		first := prepare(t, d.open(), config{Codec: newer}, nil)
		first.submit("key", "new")
		second := open(t, d.open(), config{}, nil)
		second.submit("key", "plain")
		second.Shutdown(t.Context())
		second.wantPayloads("plain")
		third := prepare(t, d.open(), config{}, nil)
		third.submit("key", "json")
		fourth := open(t, d.open(), config{Codec: newer}, nil)
		fourth.drain()
		fourth.wantPayloads("v2 new", `old "json"`)

		d.jobs[99] = backend.KeptJob{Number: 99, Key: "key", Payload: []byte("no JSON")}
		fifth := open(t, d.open(), config{}, nil)
		fifth.drain()
		fifth.wantPayloads()
		if len(d.dead) != 1 || len(fifth.results) != 1 || fifth.results[0].Outcome != dispatcher.Failed {
			t.Errorf("%d dead jobs, results %+v, want one that has failed", len(d.dead), fifth.results)
		}
	})
}

// Drop ends jobs that are only in the journal, and leaves those of other keys.
func TestDropOfUnloadedJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		first := open(t, d.open(), config{Resident: 2, Workers: 1}, nil)
		first.PauseKey("a")
		first.PauseKey("b")
		for i := range 10 {
			first.submit("a", fmt.Sprint("a", i))
			first.submit("b", fmt.Sprint("b", i))
		}
		h, err := first.Track(t.Context(), job{Key: "a", Payload: "a10"})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		jobs, err := first.Drop(t.Context(), "a")
		if len(jobs) != 11 || err != nil || jobs[0].Payload != "a0" || jobs[10].Payload != "a10" {
			t.Errorf("Drop() = %v, %v, want the 11 jobs of a", jobs, err)
		}
		if r, err := h.Wait(t.Context()); r.Outcome != dispatcher.Dropped || err != nil {
			t.Errorf("Wait() = %v, %v, want dropped", r.Outcome, err)
		}
		first.ResumeKey("b")
		first.submit("a", "paused")
		first.ResumeKey("a")
		first.drain()
		got := first.payloads() // in a fair order
		slices.Sort(got)
		if want := []string{"b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7", "b8", "b9", "paused"}; !slices.Equal(got, want) {
			t.Errorf("starts = %q, want %q", got, want)
		}
	})
}

// A handle on a job that is only in the journal follows it.
func TestHandleOfUnloadedJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		s := open(t, d.open(), config{Resident: 1, Workers: 1}, nil)
		s.Pause()
		track := func(p string) *dispatcher.Handle[string] {
			h, err := s.Track(t.Context(), job{Key: "key", Payload: p, ID: p})
			if err != nil {
				t.Fatalf("Track(%s) = %v, want nil", p, err)
			}
			return h
		}
		a, b, c, e := track("a"), track("b"), track("c"), track("e")
		if _, err := s.Track(t.Context(), job{Key: "key", ID: "e"}); !errors.Is(err, dispatcher.ErrDuplicate) {
			t.Errorf("Track() of the ID of a job in the journal = %v, want %v", err, dispatcher.ErrDuplicate)
		}
		if err := s.SubmitJob(t.Context(), job{Key: "key", Payload: "e2", ID: "e", OnDuplicate: dispatcher.ReplacePayload}); err != nil {
			t.Errorf("SubmitJob() that replaces = %v, want nil", err)
		}
		if !c.Cancel() {
			t.Error("Cancel() = false, want true")
		}
		if _, err := c.Estimate(t.Context()); err == nil {
			t.Error("Estimate() of a job in the journal = nil, want an error")
		}
		s.Resume()
		for h, want := range map[*dispatcher.Handle[string]]dispatcher.Outcome{
			a: dispatcher.Succeeded, b: dispatcher.Succeeded, c: dispatcher.Canceled, e: dispatcher.Succeeded,
		} {
			if r, err := h.Wait(t.Context()); r.Outcome != want || err != nil {
				t.Errorf("Wait() = %v, %v, want %v", r.Outcome, err, want)
			}
		}
		s.drain()
		s.wantPayloads("a", "b", "e2")
	})
}

// SubmitAll writes many jobs at once, in their order, and tells exactly how many were accepted.
func TestSubmitAllOfKeptJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		j := d.open()
		s := prepare(t, j, config{Workers: 1, Capacity: 3000}, nil)
		jobs := func(n int) iter.Seq[job] {
			return func(yield func(job) bool) {
				for i := range n {
					x := job{Key: "key", Payload: fmt.Sprint(i)}
					if i%1000 == 5 {
						x.ID = x.Payload
					}
					if !yield(x) {
						return
					}
				}
			}
		}
		begin := time.Now()
		if n, err := s.SubmitAll(t.Context(), jobs(2500)); n != 2500 || err != nil || time.Since(begin) > 100*time.Millisecond {
			t.Errorf("SubmitAll() = %d, %v after %v, want 2500 at once", n, err, time.Since(begin))
		}
		if n, err := s.SubmitAll(t.Context(), jobs(10)); n != 5 || !errors.Is(err, dispatcher.ErrDuplicate) {
			t.Errorf("SubmitAll() with an ID that is taken = %d, %v, want 5 and %v", n, err, dispatcher.ErrDuplicate)
		}
		j.fails(errFailed)
		if n, err := s.SubmitAll(t.Context(), jobs(5)); n != 0 || !errors.Is(err, errFailed) {
			t.Errorf("SubmitAll() while the journal fails = %d, %v, want 0 and its error", n, err)
		}
		j.fails(nil)
		if got := s.Stats().Waiting; got != 2505 {
			t.Errorf("Stats().Waiting = %d, want 2505", got)
		}
		s.run()
		var all sync.WaitGroup
		all.Go(func() {
			if n, err := s.SubmitAll(t.Context(), jobs(4)); n != 4 || err != nil {
				t.Errorf("SubmitAll() = %d, %v, want 4", n, err)
			}
		})
		all.Wait()
		s.drain()
		if got := s.payloads(); len(got) != 2509 || got[0] != "0" || got[2499] != "2499" || got[2504] != "4" {
			t.Errorf("%d starts, want 2509 in order", len(got))
		}
	})
}

// A full queue of kept jobs makes SubmitAll wait, and Submit fail.
func TestCapacityOfKeptJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, newDisk().open(), config{Capacity: 3, Params: perSecond(1)}, nil)
		n, err := s.SubmitAll(t.Context(), func(yield func(job) bool) {
			for i := range 10 {
				if !yield(job{Key: "key", Payload: fmt.Sprint(i)}) {
					return
				}
			}
		})
		if n != 10 || err != nil {
			t.Errorf("SubmitAll() = %d, %v, want 10 and nil", n, err)
		}
		if err := s.Submit(t.Context(), "key", "more"); !errors.Is(err, dispatcher.ErrFull) {
			t.Errorf("Submit() = %v, want %v", err, dispatcher.ErrFull)
		}
		s.drain()
	})
}

// Shutdown before Run waits for jobs that an earlier process has left, and for none if there are none.
func TestShutdownBeforeRunOfKeptJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		empty := prepare(t, d.open(), config{}, nil)
		if err := empty.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown() with an empty journal = %v, want nil", err)
		}
		prepare(t, d.open(), config{}, nil).submit("key", "a")
		s := prepare(t, d.open(), config{}, nil)
		go func() {
			time.Sleep(time.Second)
			s.run()
		}()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown() = %v, want nil", err)
		}
		s.wantPayloads("a")
		<-s.ended
		s.stop(nil)
	})
}
