package dispatcher_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
)

// places are where a program may call its dispatcher from inside of it. Each opens a stage in which
// call is called once, there, with the context that is there, on behalf of the job "inside", whose
// handle it gets if it is tracked.
var places = map[string]func(t *testing.T, cfg config, call func(ctx context.Context, s *stage, h *dispatcher.Handle[string])) *stage{
	"handler": func(t *testing.T, cfg config, call func(context.Context, *stage, *dispatcher.Handle[string])) *stage {
		p := newPlace(call)
		return p.open(t, cfg, events{}, func(ctx context.Context, _ job) error { p.call(ctx); return nil })
	},
	"handler with a timeout": func(t *testing.T, cfg config, call func(context.Context, *stage, *dispatcher.Handle[string])) *stage {
		p := newPlace(call)
		p.job.Timeout = time.Hour
		return p.open(t, cfg, events{}, func(ctx context.Context, _ job) error {
			ctx, cancel := context.WithTimeout(context.WithValue(ctx, p, p), time.Hour)
			defer cancel()
			p.call(ctx)
			return nil
		})
	},
	"Started": func(t *testing.T, cfg config, call func(context.Context, *stage, *dispatcher.Handle[string])) *stage {
		p := newPlace(call)
		return p.open(t, cfg, events{Started: func(ctx context.Context, _ job) { p.call(ctx) }}, nil)
	},
	"Retried": func(t *testing.T, cfg config, call func(context.Context, *stage, *dispatcher.Handle[string])) *stage {
		p := newPlace(call)
		cfg.Retry = steady(2)
		e := events{Retried: func(ctx context.Context, _ job, _ error, _ time.Duration) { p.call(ctx) }}
		return p.open(t, cfg, e, func(_ context.Context, j job) error {
			if j.Payload == "inside" && j.Attempt() == 1 {
				return errFailed
			}
			return nil
		})
	},
	"Done of a job that ran": func(t *testing.T, cfg config, call func(context.Context, *stage, *dispatcher.Handle[string])) *stage {
		p := newPlace(call)
		return p.open(t, cfg, events{Done: func(ctx context.Context, r result) {
			if r.Job.Payload == "inside" {
				p.call(ctx)
			}
		}}, nil)
	},
	"Done of a job that did not": func(t *testing.T, cfg config, call func(context.Context, *stage, *dispatcher.Handle[string])) *stage {
		p := newPlace(call)
		p.job.Deadline = time.Now().Add(-time.Hour)
		return p.open(t, cfg, events{Done: func(ctx context.Context, r result) {
			if r.Job.Payload == "inside" {
				p.call(ctx)
			}
		}}, nil)
	},
	"BackendDown": func(t *testing.T, cfg config, call func(context.Context, *stage, *dispatcher.Handle[string])) *stage {
		p := newPlace(call)
		p.job.Limits = []dispatcher.Limit{limit("x", perSecond(1))}
		p.fails = true
		return p.open(t, cfg, events{BackendDown: func(ctx context.Context, _ error) { p.call(ctx) }}, nil)
	},
}

type place struct {
	f     func(context.Context, *stage, *dispatcher.Handle[string])
	job   job
	fails bool // the backend, the first time
	ready chan struct{}
	once  sync.Once
	s     *stage
	h     *dispatcher.Handle[string]
}

func newPlace(f func(context.Context, *stage, *dispatcher.Handle[string])) *place {
	return &place{f: f, job: job{Key: "inside", Payload: "inside"}, ready: make(chan struct{})}
}

func (p *place) call(ctx context.Context) {
	p.once.Do(func() {
		<-p.ready
		p.f(ctx, p.s, p.h)
	})
}

func (p *place) open(t *testing.T, cfg config, e events, handler dispatcher.Handler[string]) *stage {
	t.Helper()
	b := &remote{inner: inMemory(), fault: func(context.Context) error {
		if p.fails {
			p.fails = false
			return errFailed
		}
		return nil
	}}
	cfg.Events = e
	p.s = prepare(t, b, cfg, handler)
	type key struct{}
	h, err := p.s.Track(context.WithValue(context.Background(), key{}, "a value"), p.job)
	if err != nil {
		t.Fatal(err)
	}
	p.h = h
	p.s.run()
	close(p.ready)
	return p.s
}

// waits are the calls that would wait for the caller itself.
var waits = map[string]func(ctx context.Context, s *stage, h *dispatcher.Handle[string]) error{
	"Shutdown": func(ctx context.Context, s *stage, _ *dispatcher.Handle[string]) error { return s.Shutdown(ctx) },
	"WaitIdle": func(ctx context.Context, s *stage, _ *dispatcher.Handle[string]) error { return s.WaitIdle(ctx) },
	"SubmitAll": func(ctx context.Context, s *stage, _ *dispatcher.Handle[string]) error {
		_, err := s.SubmitAll(ctx, slices.Values([]job{{Key: "more"}, {Key: "more"}}))
		return err
	},
	"Wait": func(ctx context.Context, _ *stage, h *dispatcher.Handle[string]) error {
		_, err := h.Wait(ctx)
		return err
	},
}

func ended(h *dispatcher.Handle[string]) bool { _, ended := h.Result(); return ended }

// A call that waits for what the caller keeps from happening returns ErrReentrant at once, if it has
// the caller's context.
func TestReentrantCalls(t *testing.T) {
	for where, open := range places {
		for what, wait := range waits {
			t.Run(where+"/"+what, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					called := false
					s := open(t, config{Workers: 1, Capacity: 1}, func(ctx context.Context, s *stage, h *dispatcher.Handle[string]) {
						called = true
						if what == "SubmitAll" {
							s.PauseKey("more")
						}
						begin := time.Now()
						err := wait(ctx, s, h)
						want := dispatcher.ErrReentrant
						if what == "Wait" && ended(h) {
							want = nil
						}
						if what == "Wait" && where == "BackendDown" {
							if err != nil || !ended(h) {
								t.Errorf("Wait() for a job that waits for the backend = %v, want it to end", err)
							}
							return
						}
						if !errors.Is(err, want) || time.Since(begin) > 0 {
							t.Errorf("%s() = %v after %v, want %v at once", what, err, time.Since(begin), want)
						}
						if what == "SubmitAll" && !errors.Is(err, dispatcher.ErrFull) {
							t.Errorf("SubmitAll() = %v, want it to match ErrFull too", err)
						}
						if what == "Shutdown" {
							if err := s.Submit(ctx, "key", ""); !errors.Is(err, dispatcher.ErrClosed) {
								t.Errorf("Submit() after it = %v, want ErrClosed", err)
							}
						}
					})
					time.Sleep(time.Minute)
					s.ResumeKey("more")
					s.drain()
					if !called {
						t.Error("nothing was called")
					}
				})
			})
		}
	}
}

// Who asks the scheduling from inside is answered.
func TestQuestionsFromInside(t *testing.T) {
	for where, open := range places {
		t.Run(where, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked := 0
				s := open(t, config{Workers: 1}, func(ctx context.Context, s *stage, h *dispatcher.Handle[string]) {
					for what, ask := range questions {
						asked++
						begin := time.Now()
						err := ask(ctx, s, h)
						if what == "Estimate" && errors.Is(err, dispatcher.ErrNoStart) {
							err = nil
						}
						if err != nil || time.Since(begin) > 0 {
							t.Errorf("%s() = %v after %v, want an answer at once", what, err, time.Since(begin))
						}
					}
				})
				s.drain()
				if asked != len(questions) {
					t.Errorf("%d questions were asked, want %d", asked, len(questions))
				}
			})
		})
	}
}

// With another context it can't be known, and the call waits for itself, but not for ever: when Run's
// context has ended, and those of handlers, it returns, and so does Run.
func TestStuckCalls(t *testing.T) {
	for where, open := range places {
		for _, what := range []string{"Shutdown", "WaitIdle", "Wait"} {
			t.Run(where+"/"+what, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var got error
					var hasEnded bool
					s := open(t, config{Workers: 1, StopTimeout: 3 * time.Second}, func(_ context.Context, s *stage, h *dispatcher.Handle[string]) {
						got = waits[what](context.Background(), s, h)
						hasEnded = ended(h)
					})
					time.Sleep(time.Hour)
					stopped := time.Now()
					s.stop(errEnough)
					outside := s.Shutdown(context.Background())
					<-s.ended
					s.check()
					took := time.Since(stopped)
					if got == nil && (hasEnded || what != "Wait") {
						if what != "Wait" {
							t.Errorf("%s() = nil, want ErrStuck", what)
						}
						return
					}
					if !errors.Is(got, dispatcher.ErrStuck) || took != 8*time.Second {
						t.Errorf("%s() = %v, and Run returns after %v, want ErrStuck and 8s", what, got, took)
					}
					if outside != nil && !errors.Is(outside, dispatcher.ErrStuck) {
						t.Errorf("Shutdown() from outside = %v, want nil or ErrStuck", outside)
					}
				})
			})
		}
	}
}

// Those who wait outside for handlers that take their time, but return, are not told that they are
// stuck.
func TestWaitsForSlowHandlersAtTheStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{StopTimeout: time.Second}, func(ctx context.Context, _ job) error {
			<-ctx.Done()
			time.Sleep(4 * time.Second)
			return ctx.Err()
		})
		h := s.track(job{Key: "key", Payload: "job"})
		time.Sleep(time.Second)
		errs := make(chan error, 3)
		go func() { errs <- s.Shutdown(context.Background()) }()
		go func() { errs <- s.WaitIdle(context.Background()) }()
		go func() {
			r, err := h.Wait(context.Background())
			if r.Outcome != dispatcher.Dropped {
				t.Errorf("Wait() = %v, want dropped", r.Outcome)
			}
			errs <- err
		}()
		synctest.Wait()
		s.wantStopped(1, 5*time.Second)
		for range 3 {
			if err := <-errs; err != nil {
				t.Errorf("a call that waits outside = %v, want nil", err)
			}
		}
	})
}

// A handler of one dispatcher may wait for another one, also if its job was submitted by a handler of
// that one: it does not wait for itself.
func TestNotReentrant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a, b *stage
		b = prepare(t, inMemory(), config{}, func(ctx context.Context, j job) error {
			time.Sleep(time.Second)
			return a.Shutdown(ctx)
		})
		a = open(t, inMemory(), config{}, func(ctx context.Context, j job) error {
			return b.Submit(ctx, "key", "job")
		})
		b.run()
		a.submit("key", "job")
		time.Sleep(time.Minute)
		b.drain()
		a.drain()
		if r := b.outcomeOf("job"); r.Outcome != dispatcher.Succeeded {
			t.Errorf("the job has %v, %v, want succeeded", r.Outcome, r.Err)
		}
	})
}

// A handler may wait for another job; and one in a Run that another handler has called is inside of
// both dispatchers.
func TestReentrantInANestedRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var outer *stage
		var got error
		outer = open(t, inMemory(), config{}, func(ctx context.Context, j job) error {
			if j.Payload == "other" {
				return nil
			}
			h := outer.track(job{Key: "other", Payload: "other"})
			if r, err := h.Wait(ctx); err != nil || r.Outcome != dispatcher.Succeeded {
				t.Errorf("Wait() for another job = %v, %v, want succeeded", r.Outcome, err)
			}
			inner := prepare(t, inMemory(), config{}, func(ctx context.Context, _ job) error {
				got = outer.WaitIdle(ctx)
				return nil
			})
			inner.submit("key", "job")
			go func() { _ = inner.Shutdown(context.Background()) }()
			return inner.Run(ctx)
		})
		outer.submit("key", "job")
		synctest.Wait()
		outer.drain()
		if !errors.Is(got, dispatcher.ErrReentrant) {
			t.Errorf("WaitIdle() in the handler of a nested Run = %v, want ErrReentrant", got)
		}
	})
}

// Once Run has returned nobody waits for anybody: also not who has kept a handler's context.
func TestNotReentrantAfterRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kept context.Context
		s := open(t, inMemory(), config{}, func(ctx context.Context, _ job) error {
			kept = ctx
			return nil
		})
		h := s.track(job{Key: "key", Payload: "job"})
		synctest.Wait()
		s.drain()
		for what, wait := range waits {
			want := error(nil)
			if what == "SubmitAll" {
				want = kept.Err() // as for every submission with an ended context
			}
			if err := wait(kept, s, h); !errors.Is(err, want) {
				t.Errorf("%s() after Run = %v, want %v", what, err, want)
			}
		}
	})
}
