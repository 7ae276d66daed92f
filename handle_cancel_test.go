package dispatcher_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/memory"
)

// canceling is a backend in this process during whose calls the job is canceled, and which takes its
// time to take a slot back.
type canceling struct {
	*memory.Backend
	cancel   func()
	released atomic.Bool
}

func (b *canceling) Traits() backend.Traits {
	traits := b.Backend.Traits()
	traits.Releaser = b
	return traits
}

func (b *canceling) Reserve(ctx context.Context, requests []backend.Request, decisions []backend.Decision) error {
	defer b.cancel()
	return b.Backend.Reserve(ctx, requests, decisions)
}

func (b *canceling) Release(context.Context, []backend.Limit, int64) error {
	time.Sleep(time.Millisecond)
	b.released.Store(true)
	return nil
}

// When a job has ended that was canceled while a backend in this process was asked, its slot has been
// given back.
func TestSlotIsGivenBackBeforeEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &canceling{Backend: inMemory()}
		s := open(t, b, config{}, nil)
		var h *dispatcher.Handle[string]
		asked := make(chan struct{})
		b.cancel = func() { <-asked; h.Cancel() }
		h = s.track(job{Key: "a", Payload: "a", Limits: []dispatcher.Limit{limit("x", perSecond(1))}})
		close(asked)
		if r, err := h.Wait(t.Context()); err != nil || r.Outcome != dispatcher.Canceled {
			t.Errorf("Wait = %v, %v, want canceled, nil", r.Outcome, err)
		}
		if !b.released.Load() {
			t.Error("the job has ended and its slot is not given back")
		}
		s.drain()
	})
}
