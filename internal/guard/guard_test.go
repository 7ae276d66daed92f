package guard

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/panics"
)

// broken panics.
type broken struct{ backend.Backend }

func (broken) Reserve(context.Context, []backend.Request, []backend.Decision) error { panic("no") }

func TestPanicsAreErrors(t *testing.T) {
	for name, err := range map[string]error{
		"Reserve": Reserve(t.Context(), broken{}, make([]backend.Request, 1), make([]backend.Decision, 1)),
		"Call":    Call(func() error { panic("no") }),
	} {
		if p, ok := errors.AsType[*panics.Error](err); !ok || p.Value != "no" {
			t.Errorf("%s() = %v, want the panic", name, err)
		}
	}
}

func TestCleanupContext(t *testing.T) {
	type key struct{}
	synctest.Test(t, func(t *testing.T) {
		parent, end := context.WithCancel(context.WithValue(t.Context(), key{}, 1))
		end()
		ctx, cancel := CleanupContext(parent)
		defer cancel()
		if err := ctx.Err(); err != nil || ctx.Value(key{}) != 1 {
			t.Errorf("context at first: error %v, value %v; want no error, and the value 1", err, ctx.Value(key{}))
		}
		begin := time.Now()
		<-ctx.Done()
		if got := time.Since(begin); got != CleanupTimeout {
			t.Errorf("the context ends after %v, want %v", got, CleanupTimeout)
		}
	})
}
