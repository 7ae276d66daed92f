package dispatcher_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
)

// plain is a codec that can't decode "bad".
var plain = dispatcher.Codec[string]{
	Encode: func(p string) ([]byte, error) { return []byte(p), nil },
	Decode: func(data []byte, _ int) (string, error) {
		if string(data) == "bad" {
			panic("bad")
		}
		return string(data), nil
	},
}

// Dropping the last jobs of the journal leaves nothing to load.
func TestDropOfLastUnloadedJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, newDisk().open(), config{Resident: 1}, nil)
		s.Pause()
		s.submit("b", "b")
		for i := range 3 {
			s.submit("a", fmt.Sprint(i))
		}
		if jobs, err := s.Drop(t.Context(), "a"); len(jobs) != 3 || err != nil {
			t.Errorf("Drop() = %v, %v, want 3 jobs", jobs, err)
		}
		s.Resume()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := s.WaitIdle(ctx); err != nil {
			t.Errorf("WaitIdle() = %v, want nil", err)
			s.stop(errEnough)
			return
		}
		s.drain()
	})
}

// A setting that could not be written is written once the journal works again.
func TestSettingIsKeptAfterAFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		j := d.open()
		s := open(t, j, config{}, nil)
		time.Sleep(time.Second)
		j.fails(errFailed)
		s.PauseKey("a")
		time.Sleep(time.Second)
		j.fails(nil)
		time.Sleep(time.Second)
		s.drain()
		if len(d.settings) != 1 {
			t.Errorf("%d settings are kept, want 1", len(d.settings))
		}
	})
}

// A job that is written after Run has returned is kept, and its handle says so.
func TestTrackWhileRunStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newDisk().open()
		s := open(t, j, config{Resident: 1}, nil)
		s.Pause()
		s.submit("key", "a")
		s.submit("key", "b")
		time.Sleep(time.Second)
		j.takes = func() time.Duration { return time.Minute }
		tracked := make(chan *dispatcher.Handle[string])
		go func() {
			h, err := s.Track(t.Context(), job{Key: "key", Payload: "c"})
			if err != nil {
				t.Errorf("Track() = %v, want nil", err)
			}
			tracked <- h
		}()
		time.Sleep(time.Second)
		s.stop(errEnough)
		<-s.ended
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if r, err := (<-tracked).Wait(ctx); r.Outcome != dispatcher.Kept || err != nil {
			t.Errorf("Wait() = %v, %v, want kept", r.Outcome, err)
		}
	})
}

// A job that was left in the journal and can't be decoded later ends for its handle too.
func TestHandleOfJobThatCannotBeDecoded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, newDisk().open(), config{Resident: 1, Codec: plain}, nil)
		s.Pause()
		s.submit("key", "a")
		h, err := s.Track(t.Context(), job{Key: "key", Payload: "bad", ID: "bad"})
		if err != nil {
			t.Fatal(err)
		}
		s.Resume()
		s.drain()
		if r, ok := h.Result(); !ok || r.Outcome != dispatcher.Failed {
			t.Errorf("Result() = %v, %v, want failed", r.Outcome, ok)
		}
	})
}

// A slot that Pause gives back is no loss of its job.
func TestPausedJobIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		first := open(t, d.open(), config{Horizon: time.Second, AtMostOnce: true}, nil)
		first.submit("key", "a", limit("key", every(time.Second)))
		first.submit("key", "b", limit("key", every(time.Second)))
		time.Sleep(500 * time.Millisecond)
		first.Pause()
		time.Sleep(time.Second)
		first.stop(errEnough)
		<-first.ended
		for _, k := range d.jobs {
			if k.Claimed {
				t.Errorf("%s is claimed after Run, want it to wait", k.Payload)
			}
		}
	})
}

// A dispatcher that is closed replaces no payload.
func TestReplacePayloadAfterShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, newDisk().open(), config{}, nil)
		s.PauseKey("key")
		s.submitJob(job{Key: "key", Payload: "a", ID: "a"})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		s.Shutdown(ctx)
		for _, on := range []dispatcher.OnDuplicate{dispatcher.RejectDuplicate, dispatcher.ReplacePayload} {
			if err := s.SubmitJob(t.Context(), job{Key: "key", Payload: "b", ID: "a", OnDuplicate: on}); !errors.Is(err, dispatcher.ErrClosed) {
				t.Errorf("SubmitJob() = %v, want %v", err, dispatcher.ErrClosed)
			}
		}
		s.ResumeKey("key")
		s.drain()
		s.wantPayloads("a")
	})
}

// SubmitAll writes each job soon, also if the next one comes late or never.
func TestSubmitAllOfSlowJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, newDisk().open(), config{}, nil)
		n, err := s.SubmitAll(t.Context(), func(yield func(job) bool) {
			for i := range 3 {
				if !yield(job{Key: "key", Payload: fmt.Sprint(i)}) {
					return
				}
			}
			time.Sleep(time.Hour)
			s.wantPayloads("0", "1", "2")
		})
		if n != 3 || err != nil {
			t.Errorf("SubmitAll() = %d, %v, want 3", n, err)
		}
		func() {
			defer func() { recover() }()
			s.SubmitAll(t.Context(), func(yield func(job) bool) {
				yield(job{Key: "key", Payload: "3"})
				yield(job{Key: "key", Payload: "4"})
				panic("no more")
			})
		}()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown() = %v, want nil", err)
			s.stop(errEnough)
		}
		if got := s.Stats().Waiting; got != 0 {
			t.Errorf("Stats().Waiting = %d, want 0", got)
		}
	})
}

// A job that was refused because the answer of the journal was lost can be submitted again.
func TestSubmitAgainAfterALostAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		j := d.open()
		prepare(t, j, config{}, nil).submit("key", "old")
		j = d.open()
		s := prepare(t, j, config{}, nil)
		calls := 0
		j.loses = func() bool { calls++; return calls == 2 } // Find comes first
		again := job{Key: "key", Payload: "a", ID: "a"}
		if err := s.SubmitJob(t.Context(), again); !errors.Is(err, errLost) {
			t.Errorf("SubmitJob() = %v, want %v", err, errLost)
		}
		j.loses = nil
		s.submitJob(again)
		s.run()
		s.drain()
		s.wantPayloads("old", "a")
	})
}

// The payload of a job that only a newer process can read is not replaced.
func TestReplacePayloadOfNewerVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		newer := plain
		newer.Version = 1
		prepare(t, d.open(), config{Codec: newer}, nil).submitJob(job{Key: "key", Payload: "new", ID: "a"})
		s := open(t, d.open(), config{Codec: plain, Resident: 1}, nil)
		s.PauseKey("key")
		s.submit("key", "b")
		s.submit("key", "c")
		time.Sleep(time.Second)
		done := make(chan error, 1)
		go func() {
			done <- s.SubmitJob(t.Context(), job{Key: "key", Payload: "d", ID: "a", OnDuplicate: dispatcher.ReplacePayload})
		}()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("SubmitJob() = %v, want nil", err)
			}
		case <-time.After(time.Minute):
			t.Error("SubmitJob() has not returned after a minute")
			panic("spins")
		}
		s.ResumeKey("key")
		s.Shutdown(t.Context())
		s.wantPayloads("b", "c", "d")
		if len(d.jobs) != 1 || string(d.jobs[1].Payload) != "new" {
			t.Errorf("the journal keeps %v, want the newer job", d.jobs)
		}
	})
}

// A job that Load was about to pass on when it was dropped does not run.
func TestDropWhileLoadReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		prepare(t, d.open(), config{}, nil).submit("a", "a")
		j := d.open()
		s := prepare(t, j, config{}, nil)
		var calls atomic.Int64
		j.takes = func() time.Duration {
			if calls.Add(1) == 2 { // the answer for Load
				return time.Second
			}
			return time.Millisecond
		}
		s.run()
		time.Sleep(10 * time.Millisecond)
		if jobs, err := s.Drop(t.Context(), "a"); len(jobs) != 1 || err != nil {
			t.Errorf("Drop() = %v, %v, want one job", jobs, err)
		}
		s.drain()
		s.wantPayloads()
	})
}
