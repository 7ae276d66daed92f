package dispatcher_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
)

// track submits a job and returns its handle.
func (s *stage) track(j job) *dispatcher.Handle[string] {
	s.t.Helper()
	h, err := s.Track(context.Background(), j)
	if err != nil {
		s.t.Fatalf("Track(%q) = %v, want nil", j.Payload, err)
	}
	return h
}

// Trap 11: jobs are canceled at the head, in the middle and at the tail of a lane,
// twice, and before Run. The others take their slots: there is no hole.
func TestTrap11CancelLeavesNoHole(t *testing.T) {
	inEachBackend(t, func(t *testing.T, b backend.Backend) {
		s := prepare(t, b, config{Params: perSecond(1)}, nil)
		var handles []*dispatcher.Handle[string]
		for i := range 10 {
			handles = append(handles, s.track(job{Key: "chat", Payload: named("m", i)}))
		}
		if !handles[3].Cancel() {
			t.Error("Cancel() before Run = false, want true")
		}
		s.run()
		time.Sleep(500 * time.Millisecond)
		for _, i := range []int{1, 5, 9} { // the head, the middle, the tail
			if !handles[i].Cancel() {
				t.Errorf("Cancel() of job %d = false, want true", i)
			}
			if handles[i].Cancel() {
				t.Errorf("second Cancel() of job %d = true, want false", i)
			}
		}
		if handles[0].Cancel() {
			t.Error("Cancel() of a job that has ended = true, want false")
		}
		s.drain()
		for at, i := range []int{0, 2, 4, 6, 7, 8} {
			s.wantNear(named("m", i), time.Duration(at)*time.Second)
			if r, ended := handles[i].Result(); !ended || r.Outcome != dispatcher.Succeeded {
				t.Errorf("Result() of job %d = %v, %v, want succeeded", i, r.Outcome, ended)
			}
		}
		for _, i := range []int{1, 3, 5, 9} {
			r := s.outcomeOf(named("m", i))
			if r.Outcome != dispatcher.Canceled || !errors.Is(r.Err, dispatcher.ErrCanceled) {
				t.Errorf("outcome of job %d: %v, %v, want canceled", i, r.Outcome, r.Err)
			}
			select {
			case <-handles[i].Done():
			default:
				t.Errorf("Done() of job %d is open, want closed", i)
			}
		}
		if got := s.Stats().Canceled; got != 4 {
			t.Errorf("Stats().Canceled = %d, want 4", got)
		}
	})
}

// Trap 11: a job is canceled at every instant around its start. It starts or it is
// canceled, never both, and the next one starts at its slot or, if that was free in
// time, takes over the canceled one's.
func TestTrap11CancelWhileItStarts(t *testing.T) {
	inEachBackend(t, func(t *testing.T, b backend.Backend) {
		s := open(t, b, config{Params: perSecond(1)}, nil)
		for i := range 120 {
			key := named("chat", i)
			s.submit(key, key+" first")
			h := s.track(job{Key: key, Payload: key + " canceled"})
			s.submit(key, key+" next")
			time.AfterFunc(time.Second-60*time.Millisecond+time.Duration(i)*time.Millisecond, func() { h.Cancel() })
		}
		s.drain()
		early := 0
		for i := range 120 {
			key := named("chat", i)
			started := len(s.startsOf(key + " canceled"))
			outcome := s.outcomeOf(key + " canceled").Outcome
			if (outcome == dispatcher.Canceled) != (started == 0) {
				t.Errorf("%s: %d starts and %v, want one start or canceled", key, started, outcome)
			}
			next := s.startsOf(key + " next")[0]
			if next < time.Second {
				t.Errorf("%s: the next starts at %v, want no sooner than 1s", key, next)
			}
			if next < 1500*time.Millisecond {
				early++
			}
		}
		if early < 40 || early > 119 {
			t.Errorf("%d canceled jobs left their slots to the next ones, want those that were canceled in time", early)
		}
	})
}

// To cancel a job that runs ends its handler's context, and it is not retried.
func TestCancelWhileItRuns(t *testing.T) {
	inEachBackend(t, func(t *testing.T, b backend.Backend) {
		s := open(t, b, config{Retry: dispatcher.Retry{MaxAttempts: 5}}, func(ctx context.Context, j job) error {
			<-ctx.Done()
			if !errors.Is(context.Cause(ctx), dispatcher.ErrCanceled) {
				t.Errorf("the cause of %q is %v, want ErrCanceled", j.Payload, context.Cause(ctx))
			}
			if j.Payload == "done anyway" {
				return nil
			}
			return ctx.Err()
		})
		stopped := s.track(job{Key: "a", Payload: "stopped"})
		anyway := s.track(job{Key: "b", Payload: "done anyway"})
		time.Sleep(time.Second)
		stopped.Cancel()
		anyway.Cancel()
		s.drain()
		if r := s.outcomeOf("stopped"); r.Outcome != dispatcher.Canceled || !errors.Is(r.Err, context.Canceled) {
			t.Errorf("outcome: %v, %v, want canceled, with the handler's error", r.Outcome, r.Err)
		}
		if r := s.outcomeOf("done anyway"); r.Outcome != dispatcher.Succeeded {
			t.Errorf("outcome: %v, want succeeded", r.Outcome)
		}
	})
}

// A job that waits to run again, in its queue or beside it, can be canceled too.
func TestCancelBetweenRuns(t *testing.T) {
	for _, again := range []error{dispatcher.RetryAfter(10*time.Second, nil), dispatcher.Snooze(10 * time.Second), errFailed} {
		for _, serial := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				cfg := config{Serial: serial, Retry: dispatcher.Retry{MaxAttempts: 2, Initial: 10 * time.Second, Jitter: -1}}
				s := open(t, inMemory(), cfg, func(_ context.Context, j job) error {
					if j.Payload == "again" {
						return again
					}
					return nil
				})
				h := s.track(job{Key: "chat", Payload: "again"})
				s.submit("chat", "behind it")
				time.Sleep(time.Second)
				h.Cancel()
				r, err := h.Wait(context.Background())
				if err != nil || r.Outcome != dispatcher.Canceled || r.Job.Attempt() != 1 {
					t.Errorf("%v, serial %v: Wait() = %v at attempt %d, %v, want canceled at 1", again, serial, r.Outcome, r.Job.Attempt(), err)
				}
				s.drain()
				s.wantStarts("again", 0)
			})
		}
	}
}

// Wait returns the result, or the error of its context, which leaves the job alone.
func TestHandleWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{}, func(context.Context, job) error {
			time.Sleep(10 * time.Second)
			return errFailed
		})
		h := s.track(job{Key: "chat", Payload: "slow"})
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := h.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait() = %v, want the error of its context", err)
		}
		if _, ended := h.Result(); ended {
			t.Error("Result() says that the job has ended")
		}
		r, err := h.Wait(context.Background())
		if err != nil || r.Outcome != dispatcher.Failed || !errors.Is(r.Err, errFailed) {
			t.Errorf("Wait() = %+v, %v, want failed with %v", r, err, errFailed)
		}
		s.drain()
		if r, err := h.Wait(ctx); err != nil || r.Outcome != dispatcher.Failed {
			t.Errorf("Wait() with an ended context = %v, %v, want the result all the same", r.Outcome, err)
		}
	})
}

// Every handle is done when Run has stopped.
func TestHandlesAreDoneAfterRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{Params: every(time.Hour)}, nil)
		var handles []*dispatcher.Handle[string]
		for i := range 5 {
			date := time.Now().Add(time.Duration(i) * time.Hour)
			handles = append(handles, s.track(job{Key: "chat", Payload: fmt.Sprint(i), NotBefore: date}))
		}
		time.Sleep(time.Minute)
		s.cut()
		for i, h := range handles {
			if _, ended := h.Result(); !ended {
				t.Errorf("handle %d is not done", i)
			}
			if h.Cancel() {
				t.Errorf("Cancel() of handle %d = true, want false", i)
			}
		}
	})
}

// A handle knows when its job ran, also where nobody else asks.
func TestHandleKnowsTheTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, err := dispatcher.New(inMemory(), func(context.Context, job) error {
			time.Sleep(time.Minute)
			return nil
		}, config{})
		if err != nil {
			t.Fatal(err)
		}
		go d.Run(t.Context())
		begin := time.Now()
		h, err := d.Track(t.Context(), job{Key: "chat"})
		if err != nil {
			t.Fatal(err)
		}
		r, err := h.Wait(t.Context())
		if err != nil || !r.Started.Equal(begin) || !r.Ended.Equal(begin.Add(time.Minute)) {
			t.Errorf("Wait() = %+v, %v, want Started %v and Ended a minute later", r, err, begin)
		}
		if err := d.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A job that was canceled before its end ends as that, whatever would have ended it.
func TestCancelBeforeTheStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, inMemory(), config{}, nil)
		h := s.track(job{Key: "chat", Payload: "job", Limits: []dispatcher.Limit{limit("chat", perSecond(1))}})
		if !h.Cancel() {
			t.Error("Cancel() before Run = false, want true")
		}
		s.run()
		s.cut()
		if r, ok := h.Result(); !ok || r.Outcome != dispatcher.Canceled || !errors.Is(r.Err, dispatcher.ErrCanceled) {
			t.Errorf("Result() = %v, %v, %v, want %v", r.Outcome, r.Err, ok, dispatcher.Canceled)
		}
	})
}
