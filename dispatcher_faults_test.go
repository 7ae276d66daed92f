package dispatcher_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
)

// awayBackend returns a remote backend that fails until up is called.
func awayBackend() (b backend.Backend, up func()) {
	var answers atomic.Bool
	fault := func(context.Context) error {
		if !answers.Load() {
			return errors.New("away")
		}
		return nil
	}
	return &remote{inner: inMemory(), trip: time.Millisecond, fault: fault}, func() { answers.Store(true) }
}

// hostileHandler is a log handler that attacks.
type hostileHandler struct {
	slog.Handler
	attack func()
	where  string
}

func (h hostileHandler) Enabled(context.Context, slog.Level) bool {
	if h.where == "Enabled" {
		h.attack()
	}
	return true
}

func (h hostileHandler) Handle(context.Context, slog.Record) error {
	h.attack()
	return nil
}

// Guarantee 9: a Logger that attacks loses lines and nothing else: not the outcome of a job that
// fails, panics, or is rejected; not the news of a backend.
func TestGuarantee9HostileLogger(t *testing.T) {
	for _, where := range []string{"Enabled", "Handle"} {
		t.Run(where, func(t *testing.T) {
			inEachAttack(t, func(t *testing.T, attack func()) {
				b, up := awayBackend()
				s := open(t, b, config{
					Workers: 2,
					Logger:  slog.New(hostileHandler{slog.DiscardHandler, attack, where}),
					Adapt:   &dispatcher.Adapt{Refusals: 1},
				}, func(_ context.Context, j job) error {
					switch {
					case j.Payload == "fails":
						return errFailed
					case j.Payload == "panics":
						panic("on purpose")
					case j.Payload == "refused" && j.Attempt() == 1:
						return dispatcher.RetryAfter(time.Second, nil)
					}
					return nil
				})
				s.submit("refused", "refused", limit("refused", perSecond(1)))
				time.Sleep(time.Second)
				up()
				h := s.track(job{Key: "key", Payload: "fails"})
				s.submit("key", "panics")
				costly := limit("costly", perSecond(1))
				costly.Params.Burst, costly.Cost = 2, 2
				s.PauseKey("rejected")
				s.submit("rejected", "rejected", costly)
				if err := s.SetParams("costly", perSecond(1)); err != nil {
					t.Fatal(err)
				}
				s.ResumeKey("rejected")
				s.wantGood()
				if r, ended := h.Result(); !ended || r.Outcome != dispatcher.Failed {
					t.Errorf("the handle has %v, %v, want failed", r.Outcome, ended)
				}
				for payload, want := range map[string]dispatcher.Outcome{
					"fails": dispatcher.Failed, "panics": dispatcher.Panicked,
					"rejected": dispatcher.Failed, "refused": dispatcher.Succeeded,
				} {
					if r := s.outcomeOf(payload); r.Outcome != want {
						t.Errorf("%s: %v, %v, want %v", payload, r.Outcome, r.Err, want)
					}
				}
			})
		})
	}
}

// Guarantee 9, trap 30: an event that attacks changes no outcome, and the others are called.
func TestGuarantee9HostileEvents(t *testing.T) {
	inEachAttack(t, func(t *testing.T, attack func()) {
		all := events{
			Started:     func(context.Context, job) { attack() },
			Retried:     func(context.Context, job, error, time.Duration) { attack() },
			Done:        func(context.Context, result) { attack() },
			BackendDown: func(context.Context, error) { attack() },
			BackendUp:   func(context.Context) { attack() },
		}
		b, up := awayBackend()
		s := open(t, b, config{Workers: 2, Events: all, Retry: steady(2)}, func(_ context.Context, j job) error {
			if j.Payload == "retried" && j.Attempt() == 1 {
				return errFailed
			}
			return nil
		})
		h := s.track(job{Key: "retried", Payload: "retried", Limits: []dispatcher.Limit{limit("x", perSecond(1))}})
		s.submitJob(job{Key: "late", Payload: "late", Deadline: s.begin, Limits: []dispatcher.Limit{limit("x", perSecond(1))}})
		time.Sleep(time.Second)
		up()
		s.wantGood()
		if r, ended := h.Result(); !ended || r.Outcome != dispatcher.Succeeded || r.Job.Attempt() != 2 {
			t.Errorf("the job has %v at attempt %d, want succeeded at 2", r.Outcome, r.Job.Attempt())
		}
		if got := len(s.startsOf("retried")); got != 2 {
			t.Errorf("the handler was called %d times, want 2", got)
		}
	})
}

// Guarantee 9: what decides about retries harms its job alone.
func TestGuarantee9HostileRetryAndAdapt(t *testing.T) {
	inEachAttack(t, func(t *testing.T, attack func()) {
		s := open(t, inMemory(), config{
			Workers: 2,
			Retry:   dispatcher.Retry{MaxAttempts: 3, If: func(error) bool { attack(); return true }},
			Adapt:   &dispatcher.Adapt{Limits: func(string) bool { attack(); return true }},
		}, func(_ context.Context, j job) error {
			switch {
			case j.Payload == "fails":
				return errFailed
			case j.Payload == "refused" && j.Attempt() == 1:
				return dispatcher.RetryAfter(time.Second, nil).Holding("a", "b")
			}
			return nil
		})
		s.submit("key", "fails")
		s.submit("refused", "refused")
		time.Sleep(500 * time.Millisecond)
		s.submit("a", "held a")
		s.submit("b", "held b")
		s.wantGood()
		if r := s.outcomeOf("fails"); r.Outcome != dispatcher.Panicked {
			t.Errorf("the job has %v, want panicked", r.Outcome)
		}
		s.wantStarts("refused", 0, time.Second)
		s.wantStarts("held a", time.Second)
		s.wantStarts("held b", time.Second)
	})
}

// hostileContext is a context whose values attack.
type hostileContext struct {
	context.Context
	attack func()
}

func (c hostileContext) Value(any) any { c.attack(); return nil }

// Guarantee 9: the values of a submission's context are asked for by handlers and events alone.
func TestGuarantee9HostileContext(t *testing.T) {
	inEachAttack(t, func(t *testing.T, attack func()) {
		asks := events{Started: func(ctx context.Context, _ job) { _ = ctx.Value("asked by Started") }}
		s := open(t, inMemory(), config{Workers: 2, Events: asks, Retry: steady(2)}, func(ctx context.Context, j job) error {
			switch {
			case j.Payload == "asks":
				_ = ctx.Value("asked by the handler")
			case j.Payload == "retried" && j.Attempt() == 1:
				return errFailed
			}
			return nil
		})
		ctx := hostileContext{context.Background(), attack}
		for _, j := range []job{
			{Payload: "asks"},
			{Payload: "plain"},
			{Payload: "retried"},
			{Payload: "timed", Timeout: time.Second},
			{Payload: "tracked"},
		} {
			j.Key = j.Payload
			submit := func() error { return s.SubmitJob(ctx, j) }
			if j.Payload == "tracked" {
				submit = func() error { _, err := s.Track(ctx, j); return err }
			}
			if err := submit(); err != nil {
				t.Fatal(err)
			}
		}
		s.wantGood()
		for payload, want := range map[string]dispatcher.Outcome{
			"asks": dispatcher.Panicked, "plain": dispatcher.Succeeded, "retried": dispatcher.Succeeded,
			"timed": dispatcher.Succeeded, "tracked": dispatcher.Succeeded,
		} {
			if r := s.outcomeOf(payload); r.Outcome != want {
				t.Errorf("%s: %v, %v, want %v", payload, r.Outcome, r.Err, want)
			}
		}
	})
}

// badBackend is a backend whose methods attack while it is armed.
type badBackend struct {
	backend.Backend
	inProcess bool
	attack    func()
	armed     atomic.Bool
}

func (b *badBackend) mayAttack() {
	if b.armed.Load() {
		b.attack()
	}
}

func (b *badBackend) Reserve(ctx context.Context, reqs []backend.Request, ds []backend.Decision) error {
	b.mayAttack()
	return b.Backend.Reserve(ctx, reqs, ds)
}

func (b *badBackend) Hold(ctx context.Context, key string, d time.Duration) error {
	b.mayAttack()
	return b.Backend.Hold(ctx, key, d)
}

func (b *badBackend) Release(context.Context, []backend.Limit, int64) error {
	b.mayAttack()
	return nil
}

func (b *badBackend) Traits() backend.Traits { return backend.Traits{InProcess: b.inProcess} }

// Guarantee 9: a backend that panics is one that fails: jobs wait until it doesn't.
func TestGuarantee9HostileBackend(t *testing.T) {
	for _, inProcess := range []bool{true, false} {
		for name, attack := range attacks {
			if inProcess && name == "exits" {
				continue // it would end the goroutine that schedules
			}
			t.Run(fmt.Sprintf("in process %v/%s", inProcess, name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := &badBackend{Backend: inMemory(), inProcess: inProcess, attack: attack}
					b.armed.Store(true)
					s := open(t, b, config{Workers: 2}, func(_ context.Context, j job) error {
						if j.Payload == "held" && j.Attempt() == 1 {
							return dispatcher.RetryAfter(time.Second, nil)
						}
						return nil
					})
					s.submit("held", "held")
					s.submit("limited", "limited", limit("limited", perSecond(1)))
					time.Sleep(5 * time.Second)
					if s.Stats().Outage == nil {
						t.Error("Stats().Outage = nil while the backend panics")
					}
					b.armed.Store(false)
					time.Sleep(5 * time.Second)
					// It is canceled when it has a slot, which is to be given back.
					h := s.track(job{Key: "b", Limits: []dispatcher.Limit{limit("x", perSecond(1))}, NotBefore: s.begin.Add(11 * time.Second)})
					time.Sleep(time.Second - time.Millisecond)
					b.armed.Store(true)
					h.Cancel()
					time.Sleep(time.Second)
					b.armed.Store(false)
					s.wantGood()
					for _, payload := range []string{"held", "limited"} {
						if r := s.outcomeOf(payload); r.Outcome != dispatcher.Succeeded {
							t.Errorf("%s: %v, %v, want succeeded", payload, r.Outcome, r.Err)
						}
					}
				})
			})
		}
	}
}

// A backend that panics ends the Wait that asks it, with an error, and not the others.
func TestWaitWithAHostileBackend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &badBackend{Backend: inMemory()}
		b.attack = func() { b.armed.Store(false); panic("on purpose") }
		f, err := dispatcher.NewFreqLimit(b, perSecond(1))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Wait(t.Context(), "key"); err != nil {
			t.Errorf("Wait() = %v, want nil", err)
		}
		first, second := make(chan error, 1), make(chan error, 1)
		go func() { first <- f.Wait(t.Context(), "key") }()
		synctest.Wait()
		go func() { second <- f.Wait(t.Context(), "key") }()
		synctest.Wait()
		b.armed.Store(true)
		if err := <-first; err == nil {
			t.Error("Wait() while the backend panics = nil, want an error")
		} else if _, ok := errors.AsType[*dispatcher.PanicError](err); !ok {
			t.Errorf("Wait() while the backend panics = %v, want a PanicError", err)
		}
		if err := <-second; err != nil {
			t.Errorf("Wait() of another = %v, want nil", err)
		}
	})
}

// What a submitter's own code does is the submitter's alone: its Limits, its iterator and its context
// panic in its goroutine, and the dispatcher goes on.
func TestGuarantee9HostileSubmission(t *testing.T) {
	inEachAttack(t, func(t *testing.T, attack func()) {
		s := open(t, inMemory(), config{Workers: 2, Limits: func(key, payload string) []dispatcher.Limit {
			if payload == "bad" {
				attack()
			}
			return nil
		}}, nil)
		jobs := iter.Seq[job](func(yield func(job) bool) {
			if yield(job{Key: "first", Payload: "first"}) {
				attack()
			}
		})
		for _, submit := range []func(){
			func() { _ = s.Submit(t.Context(), "key", "bad") },
			func() { _, _ = s.SubmitAll(t.Context(), jobs) },
			func() { _ = s.Submit(hostileContext{t.Context(), attack}, "key", "good") },
		} {
			done := make(chan struct{})
			go func() {
				defer close(done)
				defer func() { _ = recover() }()
				submit()
			}()
			<-done
		}
		s.wantGood()
	})
}

// What Config.Limits panics with is not looked into by SubmitAll.
func TestSubmitAllWithAHostilePanic(t *testing.T) {
	cfg := config{Limits: func(string, string) []dispatcher.Limit { panic(&hostile{"Is", attacks["panics"]}) }}
	s := prepare(t, inMemory(), cfg, nil)
	n, err := s.SubmitAll(t.Context(), slices.Values([]job{{Payload: "bad"}}))
	if _, ok := errors.AsType[*dispatcher.PanicError](err); !ok || n != 0 {
		t.Errorf("SubmitAll() = %d, %v, want 0 and a PanicError", n, err)
	}
}

// A Logger that attacks does not change the outcome of a job whose handler is wrapped in Log.
func TestLogWithAHostileLogger(t *testing.T) {
	for _, where := range []string{"Enabled", "Handle"} {
		synctest.Test(t, func(t *testing.T) {
			logger := slog.New(hostileHandler{slog.DiscardHandler, attacks["panics"], where})
			cfg := config{Middleware: []dispatcher.Middleware{dispatcher.Log(logger)}}
			s := open(t, inMemory(), cfg, func(_ context.Context, j job) error {
				if j.Payload == "fails" {
					return errFailed
				}
				return nil
			})
			s.submit("key", "fails")
			s.wantGood()
			if r := s.outcomeOf("fails"); r.Outcome != dispatcher.Failed || r.Err != errFailed {
				t.Errorf("the job has %v, %v, want failed", r.Outcome, r.Err)
			}
		})
	}
}
