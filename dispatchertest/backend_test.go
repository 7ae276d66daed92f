package dispatchertest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/backendtest"
	"github.com/freqlimit/dispatcher/dispatchertest"
	"github.com/freqlimit/dispatcher/gcra"
)

// Until it is told to fail, it is a backend like any other.
func TestBackend(t *testing.T) {
	backendtest.Run(t, func(*testing.T) backend.Backend { return &dispatchertest.Backend{} })
}

// While it fails, jobs wait, and the Events of the dispatcher are called.
func TestBackendFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b dispatchertest.Backend
		b.Fail(errFailed)
		begin := time.Now()
		var downErr error
		up := make(chan struct{})
		d := newDispatcher(t, &b, config{Params: gcra.PerSecond(1), Events: dispatcher.Events[string]{
			BackendDown: func(_ context.Context, err error) { downErr = err },
			BackendUp:   func(context.Context) { close(up) },
		}}, func(context.Context, job) error { return nil })
		time.AfterFunc(time.Minute, func() { b.Fail(nil) })
		r := dispatchertest.Run(t, d, job{Key: "chat"})[0]
		<-up
		if at := r.Started.Sub(begin); !errors.Is(downErr, errFailed) || at < time.Minute || at > time.Minute+time.Second {
			t.Errorf("the backend fails with %v and the job starts at %v, want %v and within a second of 1m", downErr, at, errFailed)
		}
	})
}

// Each call fails, and what was charged before is not forgotten.
func TestBackendFailsEachCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		b := &dispatchertest.Backend{}
		limits := []backend.Limit{{Key: "chat", Params: gcra.PerSecond(1)}}
		reserve := func() (backend.Decision, error) {
			decisions := make([]backend.Decision, 1)
			err := b.Reserve(ctx, []backend.Request{{Limits: limits}}, decisions)
			return decisions[0], err
		}
		first, err := reserve()
		if err != nil || !first.Granted {
			t.Fatalf("Reserve() = %+v, %v, want it granted", first, err)
		}
		b.Fail(errFailed)
		_, err = reserve()
		for name, err := range map[string]error{
			"Reserve": err,
			"Hold":    b.Hold(ctx, "chat", time.Second),
			"Clear":   b.Clear(ctx),
			"Release": b.Release(ctx, limits, first.Token),
			// A wrapper finds Release through Traits.
			"Release through a wrapper": backend.TraitsOf(struct{ backend.Backend }{b}).Releaser.Release(ctx, limits, first.Token),
		} {
			if !errors.Is(err, errFailed) {
				t.Errorf("%s() = %v, want %v", name, err, errFailed)
			}
		}
		b.Fail(nil)
		if d, err := reserve(); err != nil || d.Granted {
			t.Errorf("Reserve() after the failure = %+v, %v, want it refused", d, err)
		}
	})
}
