package backendtest

import (
	"context"
	"errors"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// Trap 19, the simple half: with a context that has ended every method says so,
// and nothing is charged, held, cleared or given back.
func testCancelledContext(p *probe) {
	cancelled, cancel := context.WithCancel(p.Context())
	cancel()
	late, stop := context.WithDeadline(p.Context(), time.Now().Add(-time.Hour))
	defer stop()

	l, used := limit("k", every(time.Hour, 2)), limit("used", every(time.Hour, 1))
	slot := p.takes(used)
	reqs := []backend.Request{request(l), request(l)}
	for _, c := range []struct {
		ctx  context.Context
		want error
	}{{cancelled, context.Canceled}, {late, context.DeadlineExceeded}} {
		wants := func(call string, err error) {
			if !errors.Is(err, c.want) {
				p.Errorf("%s with a context that has ended = %v, want %v", call, err, c.want)
			}
		}
		wants("Reserve()", p.b.Reserve(c.ctx, reqs, make([]backend.Decision, 2)))
		wants("Hold()", p.b.Hold(c.ctx, "k", time.Hour))
		wants("Clear()", p.b.Clear(c.ctx))
		if r := p.traits().Releaser; r != nil {
			wants("Release()", r.Release(c.ctx, []backend.Limit{used}, p.tokens[slot]))
		}
	}
	p.hasLeft(l, 2)
	p.hasLeft(used, 0)
}
