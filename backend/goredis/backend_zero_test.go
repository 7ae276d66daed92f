package goredis

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/redistest"
)

// methods returns the errors of all methods, called on a limit that is open.
func methods(ctx context.Context, b *Backend) map[string]error {
	k := limit("k", every(time.Hour, 1))
	return map[string]error{
		"Reserve":            b.Reserve(ctx, []backend.Request{request(k)}, make([]backend.Decision, 1)),
		"Reserve of nothing": b.Reserve(ctx, nil, nil),
		"Hold":               b.Hold(ctx, "k", time.Hour),
		"Hold of no time":    b.Hold(ctx, "k", 0),
		"Release":            b.Release(ctx, []backend.Limit{k}, 1),
		"Release of nothing": b.Release(ctx, nil, 1),
		"Clear":              b.Clear(ctx),
	}
}

func wantConfigError(t *testing.T, what string, err error, field string) {
	t.Helper()
	if wrong, ok := errors.AsType[*ConfigError](err); !ok || wrong.Field != field {
		t.Errorf("%s = %v, want a ConfigError of %s", what, err, field)
	}
}

// Methods of the zero Backend return a ConfigError.
func TestZeroBackend(t *testing.T) {
	var b Backend
	for name, err := range methods(t.Context(), &b) {
		wantConfigError(t, name, err, "Backend")
	}
	wantConfigError(t, "Check()", b.Check(nil), "Backend")
	told := 0
	b.Watch(func(c backend.Change) {
		if told++; c.Kind != backend.ChangeCurrent {
			t.Errorf("Watch() tells %v, want a ChangeCurrent", c)
		}
	})()
	if told != 1 {
		t.Errorf("Watch() has told %d changes, want 1", told)
	}
}

// Watch panics in the caller's goroutine if f is nil.
func TestWatchOfNil(t *testing.T) {
	defer func() {
		if got := recover(); got != "goredis: Watch: f is nil: must be given" {
			t.Errorf("Watch(nil) panics with %v, want that f is nil", got)
		}
	}()
	newBackend(t, redistest.Client(t), Config{}).Watch(nil)
}

// Methods that get a nil context return an error and do nothing.
func TestNilContext(t *testing.T) {
	var none context.Context
	b := newBackend(t, redistest.Client(t), Config{})
	for name, err := range methods(none, b) {
		wantConfigError(t, name, err, "ctx")
	}
	takes(t, b, limit("k", every(time.Hour, 1)))
}
