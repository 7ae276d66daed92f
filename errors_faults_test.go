package dispatcher_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
)

// attacks is what code of the user may do instead of returning.
var attacks = map[string]func(){
	"panics":             func() { panic("on purpose") },
	"panics with itself": func() { panic(&hostile{method: "all", attack: func() { panic("again") }}) },
	"exits":              runtime.Goexit,
}

// hostile is an error, one of whose methods attacks, or all of which do.
type hostile struct {
	method string
	attack func()
}

func (h *hostile) call(method string) {
	if h.method == method || h.method == "all" {
		h.attack()
	}
}

func (h *hostile) Error() string        { h.call("Error"); return "hostile" }
func (h *hostile) Is(error) bool        { h.call("Is"); return false }
func (h *hostile) As(any) bool          { h.call("As"); return false }
func (h *hostile) Unwrap() error        { h.call("Unwrap"); return nil }
func (h *hostile) String() string       { h.call("String"); return "hostile" }
func (h *hostile) GoString() string     { h.call("GoString"); return "hostile" }
func (h *hostile) LogValue() slog.Value { h.call("LogValue"); return slog.StringValue("hostile") }

func (h *hostile) MarshalJSON() ([]byte, error) {
	h.call("MarshalJSON")
	return []byte(`"hostile"`), nil
}

func (h *hostile) MarshalText() ([]byte, error) { h.call("MarshalText"); return []byte("hostile"), nil }

func (h *hostile) Format(f fmt.State, _ rune) { h.call("Format"); _, _ = io.WriteString(f, "hostile") }

var methods = []string{"Error", "Is", "As", "Unwrap", "String", "GoString", "LogValue", "MarshalJSON", "MarshalText", "Format", "all"}

// inEachAttack runs a test in a bubble for each attack, with a Logger of each kind. What
// a job of the name "good" has done, or one that runs after it, is checked by the test.
func inEachAttack(t *testing.T, test func(t *testing.T, attack func())) {
	for name, attack := range attacks {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, attack) })
		})
	}
}

// wantGood submits jobs that do nothing, drains the stage and wants those to have succeeded.
func (s *stage) wantGood() {
	s.t.Helper()
	for i := range 5 {
		s.submit(named("good", i), named("good", i))
	}
	s.drain()
	for i := range 5 {
		if r := s.outcomeOf(named("good", i)); r.Outcome != dispatcher.Succeeded {
			s.t.Errorf("a good job has %v, %v, want succeeded", r.Outcome, r.Err)
		}
	}
}

// Guarantee 9: the error that a handler returns is code of the user. Whatever its methods do, also to a
// job that has been canceled or that runs again, the job has one outcome, and the dispatcher goes on.
func TestGuarantee9HostileErrors(t *testing.T) {
	situations := map[string]struct {
		cfg     config
		submit  func(s *stage)
		handler dispatcher.Handler[string] // runs before the error is returned
	}{
		"plain":   {config{}, func(s *stage) { s.submit("key", "bad") }, nil},
		"tracked": {config{}, func(s *stage) { s.track(job{Key: "key", Payload: "bad"}) }, nil},
		"canceled": {
			config{},
			func(s *stage) {
				h := s.track(job{Key: "key", Payload: "bad"})
				time.Sleep(time.Second)
				h.Cancel()
			},
			func(ctx context.Context, _ job) error { <-ctx.Done(); return nil },
		},
		"retried": {config{Retry: steady(3)}, func(s *stage) { s.submit("key", "bad") }, nil},
		"timed": {
			config{},
			func(s *stage) {
				s.submitJob(job{Key: "key", Payload: "bad", Timeout: time.Second})
			},
			func(ctx context.Context, _ job) error { <-ctx.Done(); return nil },
		},
	}
	loggers := map[string]*slog.Logger{
		"text": slog.New(slog.NewTextHandler(io.Discard, nil)),
		"json": slog.New(slog.NewJSONHandler(io.Discard, nil)),
	}
	for name, in := range situations {
		t.Run(name, func(t *testing.T) {
			inEachAttack(t, func(t *testing.T, attack func()) {
				for _, method := range methods {
					for _, logger := range loggers {
						cfg := in.cfg
						cfg.Logger, cfg.Workers = logger, 2
						s := open(t, inMemory(), cfg, func(ctx context.Context, j job) error {
							if j.Payload != "bad" {
								return nil
							}
							if in.handler != nil {
								_ = in.handler(ctx, j)
							}
							return &hostile{method, attack}
						})
						in.submit(s)
						s.wantGood()
						want := dispatcher.Failed
						if name == "canceled" {
							want = dispatcher.Canceled
						}
						if r := s.outcomeOf("bad"); r.Err == nil || r.Outcome != want && r.Outcome != dispatcher.Panicked {
							t.Errorf("%s: the job has %v, want %v or panicked, and an error", method, r.Outcome, want)
						}
					}
				}
			})
		})
	}
}

// The same for a typed nil pointer, whose Is is the first to notice.
func TestGuarantee9TypedNilIsCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{}, func(ctx context.Context, j job) error {
			if j.Payload != "bad" {
				return nil
			}
			<-ctx.Done()
			return (*nilError)(nil)
		})
		h := s.track(job{Key: "key", Payload: "bad"})
		time.Sleep(time.Second)
		h.Cancel()
		s.wantGood()
		if r, ended := h.Result(); !ended || r.Outcome != dispatcher.Canceled {
			t.Errorf("Result() = %v, %v, want canceled", r.Outcome, ended)
		}
	})
}

type nilError struct{ cause error }

func (e *nilError) Error() string        { return "nil: " + e.cause.Error() }
func (e *nilError) Is(target error) bool { return errors.Is(e.cause, target) }

// Guarantee 9: Run ends with a cause that attacks, and reports what waits.
func TestGuarantee9HostileCause(t *testing.T) {
	for _, method := range methods {
		t.Run(method, func(t *testing.T) {
			inEachAttack(t, func(t *testing.T, attack func()) {
				logger := slog.New(slog.NewTextHandler(io.Discard, nil))
				s := open(t, inMemory(), config{Logger: logger, Retry: steady(3)}, func(ctx context.Context, j job) error {
					if j.Payload == "again" {
						return errFailed
					}
					<-ctx.Done()
					return ctx.Err()
				})
				s.PauseKey("paused")
				s.submit("key", "runs")
				s.submit("again", "again")
				s.submit("paused", "waits")
				time.Sleep(500 * time.Millisecond)
				cause := &hostile{method, attack}
				s.stop(cause)
				<-s.ended
				s.check()
				for _, payload := range []string{"waits", "again"} {
					if r := s.outcomeOf(payload); r.Outcome != dispatcher.Dropped || r.Err == nil {
						t.Errorf("%s: %v, %v, want dropped", payload, r.Outcome, r.Err)
					}
				}
			})
		})
	}
}

// The text of an error of a job says all that is known, also if what the handler returned panics.
func TestErrorTexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{Retry: steady(2)}, func(ctx context.Context, j job) error {
			switch j.Payload {
			case "canceled":
				<-ctx.Done()
				return errFailed
			case "says so":
				<-ctx.Done()
				return fmt.Errorf("sending: %w", context.Cause(ctx))
			}
			return errFailed
		})
		for _, payload := range []string{"canceled", "says so"} {
			h := s.track(job{Key: payload, Payload: payload})
			time.Sleep(time.Millisecond)
			h.Cancel()
		}
		s.submitJob(job{Key: "again", Payload: "again", Retry: &dispatcher.Retry{MaxAttempts: 2, Initial: time.Hour}})
		s.PauseKey("waits")
		s.submit("waits", "waits")
		time.Sleep(time.Second)
		s.cut()
		for payload, want := range map[string]string{
			"canceled": "dispatcher: job canceled: failed",
			"says so":  "sending: dispatcher: job canceled",
			"again":    "dispatcher: stopped before the job ended: enough; attempt 1: failed",
			"waits":    "dispatcher: stopped before the job ended: enough",
		} {
			if got := s.outcomeOf(payload).Err.Error(); got != want {
				t.Errorf("%s: %q, want %q", payload, got, want)
			}
		}
		for payload, want := range map[string][]error{
			"canceled": {dispatcher.ErrCanceled, errFailed},
			"says so":  {dispatcher.ErrCanceled},
			"again":    {dispatcher.ErrStopped, errEnough, errFailed},
			"waits":    {dispatcher.ErrStopped, errEnough},
		} {
			for _, target := range want {
				if err := s.outcomeOf(payload).Err; !errors.Is(err, target) {
					t.Errorf("%s: %v does not match %v", payload, err, target)
				}
			}
		}
		if strings.Contains(s.outcomeOf("waits").Err.Error(), "attempt") {
			t.Error("a job that never ran has an attempt")
		}
	})
}
