package dispatcher_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/freqlimit/dispatcher"
)

type contextKey string

// The handler's context has the values of the one that was passed to Submit, and
// those of Run's where that has none.
func TestHandlerContextHasValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, inMemory(), config{}, func(ctx context.Context, j job) error {
			for key, want := range map[contextKey]any{"submit": j.Payload, "both": j.Payload, "run": "run", "none": nil} {
				if j.Payload == "plain" && (key == "submit" || key == "both") {
					want = map[contextKey]any{"both": "run"}[key]
				}
				if got := ctx.Value(key); got != want {
					t.Errorf("%s: Value(%q) = %v, want %v", j.Payload, key, got, want)
				}
			}
			return nil
		})
		for _, payload := range []string{"a", "b"} {
			ctx := context.WithValue(context.Background(), contextKey("submit"), payload)
			ctx = context.WithValue(ctx, contextKey("both"), payload)
			if err := s.Submit(ctx, "key", payload); err != nil {
				t.Fatal(err)
			}
		}
		s.submit("key", "plain")
		run := context.WithValue(context.Background(), contextKey("run"), "run")
		run = context.WithValue(run, contextKey("both"), "run")
		go func() { s.ended <- s.Run(run) }()
		s.stop = func(error) {}
		s.drain()
	})
}

// Ending the context of Submit doesn't end the job or its context.
func TestHandlerContextOutlivesSubmitContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(), config{Params: perSecond(1)}, func(ctx context.Context, j job) error {
			time.Sleep(time.Minute)
			if _, ok := ctx.Deadline(); ok {
				t.Error("the handler's context has a deadline, want none")
			}
			if ctx.Value(contextKey("key")) != "value" {
				t.Error("the handler's context has lost its value")
			}
			return ctx.Err()
		})
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		ctx = context.WithValue(ctx, contextKey("key"), "value")
		for _, payload := range []string{"runs", "waits"} {
			if err := s.Submit(ctx, "key", payload); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		cancel()
		s.drain()
		for _, payload := range []string{"runs", "waits"} {
			if r := s.outcomeOf(payload); r.Err != nil {
				t.Errorf("outcome of %q: %v, want nil", payload, r.Err)
			}
		}
	})
}

// The handler's context, and those made from it, end when Run's does, for the
// same cause.
func TestHandlerContextEndsWithRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler := func(ctx context.Context, _ job) error {
			child, cancel := context.WithTimeout(ctx, time.Hour)
			defer cancel()
			stopped := make(chan struct{})
			defer context.AfterFunc(ctx, func() { close(stopped) })()
			<-child.Done()
			<-stopped
			for _, c := range []context.Context{ctx, child} {
				if c.Err() != context.Canceled || context.Cause(c) != errEnough {
					t.Errorf("Err() = %v and Cause() = %v, want context.Canceled and %v", c.Err(), context.Cause(c), errEnough)
				}
			}
			return context.Cause(ctx)
		}
		s := open(t, inMemory(), config{}, handler)
		s.submit("key", "plain")
		if err := s.Submit(context.WithValue(t.Context(), contextKey("key"), 1), "key", "with values"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		s.cut()
		for _, payload := range []string{"plain", "with values"} {
			if r := s.outcomeOf(payload); !errors.Is(r.Err, errEnough) {
				t.Errorf("outcome of %q: %v, want %v", payload, r.Err, errEnough)
			}
		}
	})
}

// A dispatcher whose Run has returned, and a handle, hold on to nothing of it.
func TestRunLetsGoOfItsContext(t *testing.T) {
	type key struct{}
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, inMemory(), config{}, nil)
		var h *dispatcher.Handle[string]
		run := func() (held weak.Pointer[[1 << 16]byte]) {
			value := new([1 << 16]byte)
			ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, value))
			defer cancel()
			ended := make(chan error)
			go func() { ended <- s.Run(ctx) }()
			s.submit("key", "plain")
			s.submit("key", "limited", limit("key", perSecond(1)))
			h = s.track(job{Key: "key", Payload: "tracked"})
			if err := s.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			<-ended
			return weak.Make(value)
		}
		held := run()
		synctest.Wait()
		runtime.GC()
		if held.Value() != nil {
			t.Error("the context of Run is still held")
		}
		runtime.KeepAlive(s)
		runtime.KeepAlive(h)
	})
}
