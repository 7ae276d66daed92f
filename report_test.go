package dispatcher_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
)

// endings are the ways in which many jobs end that no worker has. Each submits the jobs, whose
// keys are paused or held by a limit, and ends them a second later.
var endings = map[string]func(s *stage){
	"expired": func(s *stage) {
		s.PauseKey("many")
		for range 1000 {
			s.submitJob(job{Key: "many", Deadline: s.begin.Add(time.Second)})
		}
		time.Sleep(time.Second)
	},
	"canceled": func(s *stage) {
		s.PauseKey("many")
		var handles []*dispatcher.Handle[string]
		for range 1000 {
			handles = append(handles, s.track(job{Key: "many"}))
		}
		time.Sleep(time.Second)
		for _, h := range handles {
			h.Cancel()
		}
	},
	"dropped": func(s *stage) {
		s.PauseKey("many")
		for range 1000 {
			s.submit("many", "")
		}
		time.Sleep(time.Second)
		if _, err := s.Drop(context.Background(), "many"); err != nil {
			s.t.Errorf("Drop() = %v, want nil", err)
		}
	},
	"rejected": func(s *stage) {
		costly := limit("costly", perSecond(10))
		costly.Params.Burst, costly.Cost = 2, 2
		s.PauseKey("many")
		for range 1000 {
			s.submit("many", "", costly)
		}
		time.Sleep(time.Second)
		if err := s.SetParams("costly", perSecond(10)); err != nil {
			s.t.Errorf("SetParams() = %v, want nil", err)
		}
		s.ResumeKey("many")
	},
}

// No start is late because of a callback: a thousand jobs end that no worker has, Done takes 10 ms
// for each, and meanwhile jobs of another key start at once, those without a limit and those with.
func TestSlowDoneDelaysNoStart(t *testing.T) {
	for name, end := range endings {
		t.Run(name, func(t *testing.T) {
			inEachBackend(t, func(t *testing.T, b backend.Backend) {
				var told atomic.Int64
				s := open(t, b, config{Events: whenDone(func(r result) {
					if r.Job.Key == "many" {
						time.Sleep(10 * time.Millisecond)
						told.Add(1)
					}
				})}, nil)
				end(s)
				at := time.Since(s.begin)
				for i := range 50 {
					s.submit("free", named("free", i))
					s.submit("limited", named("limited", i), limit("limited", perSecond(10)))
					time.Sleep(100 * time.Millisecond)
				}
				if n := told.Load(); n > 600 {
					t.Errorf("Done was called %d times in 5 s, want some left", n)
				}
				s.drain()
				for i := range 50 {
					s.wantStarts(named("free", i), at+time.Duration(i)*100*time.Millisecond)
					s.wantNear(named("limited", i), at+time.Duration(i)*100*time.Millisecond)
				}
				if n := told.Load(); n != 1000 {
					t.Errorf("Done was called for %d of 1000 jobs when Shutdown returned", n)
				}
			})
		})
	}
}

// The same for BackendDown and BackendUp: other jobs start, and as soon as the backend answers again,
// those that waited for it.
func TestSlowBackendEventsDelayNoStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		b := &remote{inner: inMemory(), fault: func(context.Context) error {
			if away.Load() {
				return errors.New("away")
			}
			return nil
		}}
		var calls []string
		slow := events{
			BackendDown: func(context.Context, error) { time.Sleep(time.Minute); calls = append(calls, "down") },
			BackendUp:   func(context.Context) { time.Sleep(time.Minute); calls = append(calls, "up") },
		}
		s := open(t, b, config{Events: slow}, nil)
		away.Store(true)
		s.submit("limited", "limited", limit("limited", perSecond(10)))
		time.Sleep(10 * time.Second)
		s.submit("free", "free")
		time.Sleep(10 * time.Second)
		away.Store(false)
		s.drain()
		s.wantStarts("free", 10*time.Second)
		if at := s.startsOf("limited"); len(at) != 1 || at[0] < 20*time.Second || at[0] > 21*time.Second {
			t.Errorf("the limited job starts at %v, want within 1s of 20s", at)
		}
		if fmt.Sprint(calls) != "[down up]" {
			t.Errorf("the backend is reported as %v when Shutdown returns, want down and up", calls)
		}
	})
}

// Every outcome is reported once, whatever Done does, in the order in which the jobs ended; the
// handle has the result too, and before Done is called.
func TestReportsOfMisbehavingDone(t *testing.T) {
	for name, misbehave := range map[string]func(){
		"returns": func() {}, "panics": func() { panic("on purpose") }, "exits": runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				handles := map[string]*dispatcher.Handle[string]{}
				s := prepare(t, inMemory(), config{Events: whenDone(func(r result) {
					if got, ended := handles[r.Job.Payload].Result(); !ended || got.Outcome != r.Outcome {
						t.Errorf("the handle of %q has %v, %v in Done, want %v", r.Job.Payload, got.Outcome, ended, r.Outcome)
					}
					misbehave()
				})}, nil)
				s.PauseKey("paused")
				for i := range 100 {
					name := named("job", i)
					deadline := s.begin.Add(time.Duration(i) * time.Millisecond)
					handles[name] = s.track(job{Key: "paused", Payload: name, Deadline: deadline})
				}
				s.run()
				time.Sleep(50*time.Millisecond + 1)
				synctest.Wait()
				s.cut()
				for i, r := range s.results {
					want := dispatcher.Expired
					if i > 50 {
						want = dispatcher.Dropped
					}
					if r.Outcome != want || i <= 50 && r.Job.Payload != named("job", i) {
						t.Errorf("report %d is %q, %v, want %v", i, r.Job.Payload, r.Outcome, want)
					}
				}
			})
		})
	}
}

// WaitIdle waits until Done has been called for what has ended, and for what Done submits.
func TestWaitIdleWaitsForReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s *stage
		s = prepare(t, inMemory(), config{Events: whenDone(func(r result) {
			time.Sleep(time.Second)
			if r.Job.Payload == "canceled" {
				s.submit("key", "submitted by Done")
			}
		})}, nil)
		s.track(job{Key: "key", Payload: "canceled"}).Cancel()
		s.run()
		if err := s.WaitIdle(t.Context()); err != nil {
			t.Errorf("WaitIdle() = %v, want nil", err)
		}
		if n := len(s.results); n != 2 || time.Since(s.begin) != 2*time.Second {
			t.Errorf("WaitIdle returns after %v and %d reports, want 2s and 2", time.Since(s.begin), n)
		}
		s.drain()
	})
}
