package freqlimit_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/memory"
	"github.com/freqlimit/dispatcher/freqlimit"
	"github.com/freqlimit/dispatcher/gcra"
)

// No test leaves a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	errEnough = errors.New("enough")
	errDown   = errors.New("down")
)

func inMemory() *memory.Backend { return memory.New(memory.Config{}) }

func perSecond(n int) gcra.FreqLimitParams {
	return gcra.FreqLimitParams{Limit: n, Period: time.Second}
}

func every(d time.Duration) gcra.FreqLimitParams { return gcra.FreqLimitParams{Limit: 1, Period: d} }

func named(name string, i int) string { return name + strconv.Itoa(i) }

// queue runs goroutines that wait at a Limiter, in a bubble.
type queue struct {
	*freqlimit.Limiter
	t     *testing.T
	begin time.Time
	wg    sync.WaitGroup

	mu   sync.Mutex // guards done
	done []wait     // in the order in which they ended
}

// wait is the end of a Wait.
type wait struct {
	name string
	at   time.Duration // since the beginning
	err  error
}

func newQueue(t *testing.T, b backend.Backend, params gcra.FreqLimitParams) *queue {
	t.Helper()
	f, err := freqlimit.New(b, params)
	if err != nil {
		t.Fatalf("New() = %v, want nil", err)
	}
	return &queue{Limiter: f, t: t, begin: time.Now()}
}

// join waits for a key in a goroutine, which is waiting when join returns. The function that join
// returns cancels the wait.
func (q *queue) join(key, name string) (cancel func()) {
	ctx, stop := context.WithCancel(context.Background())
	q.wg.Go(func() {
		err := q.Wait(ctx, key)
		q.mu.Lock()
		defer q.mu.Unlock()
		q.done = append(q.done, wait{name, time.Since(q.begin), err})
	})
	synctest.Wait()
	return stop
}

// passed returns the names of the waits that got a slot, and when they ended.
func (q *queue) passed() (names []string, at []time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, w := range q.done {
		if w.err == nil {
			names, at = append(names, w.name), append(at, w.at)
		}
	}
	return names, at
}

// want checks which waits got a slot, when, and in which order.
func (q *queue) want(names []string, at ...time.Duration) {
	q.t.Helper()
	q.wg.Wait()
	gotNames, gotAt := q.passed()
	if !slices.Equal(gotNames, names) || !slices.Equal(gotAt, at) {
		q.t.Errorf("let through: %q at %v, want %q at %v", gotNames, gotAt, names, at)
	}
}

// remote is a backend as if behind a network: calls take time, and it can't take slots back.
type remote struct {
	inner *memory.Backend
	trip  time.Duration // there and back
	deaf  bool          // ignores its context

	change func([]backend.Request, []backend.Decision) // changes the decisions; nil: doesn't
}

func (r *remote) Reserve(ctx context.Context, reqs []backend.Request, ds []backend.Decision) error {
	if err := r.travel(ctx); err != nil {
		return err
	}
	if err := r.inner.Reserve(ctx, reqs, ds); err != nil {
		return err
	}
	if r.change != nil {
		r.change(reqs, ds)
	}
	return r.travel(ctx)
}

func (r *remote) Hold(ctx context.Context, key string, d time.Duration) error {
	return r.inner.Hold(ctx, key, d)
}

func (r *remote) Traits() backend.Traits { return backend.Traits{} }

func (r *remote) Clear(ctx context.Context) error { return r.inner.Clear(ctx) }

// travel takes half the time of a trip.
func (r *remote) travel(ctx context.Context) error {
	if r.deaf {
		ctx = context.Background()
	}
	if r.trip == 0 {
		return ctx.Err()
	}
	select {
	case <-time.After(r.trip / 2):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// giver is a remote backend that takes slots back.
type giver struct{ remote }

func (g *giver) Release(ctx context.Context, limits []backend.Limit, token int64) error {
	if err := g.travel(ctx); err != nil {
		return err
	}
	return g.inner.Release(ctx, limits, token)
}

// failing is a backend that fails while it is down.
type failing struct {
	*memory.Backend
	down atomic.Bool
}

func (f *failing) Reserve(ctx context.Context, reqs []backend.Request, ds []backend.Decision) error {
	if f.down.Load() {
		return errDown
	}
	return f.Backend.Reserve(ctx, reqs, ds)
}

// wantNextSlot checks in how long the next slot of a key is, and takes it.
func wantNextSlot(t *testing.T, b backend.Backend, key string, params gcra.FreqLimitParams, want time.Duration) {
	t.Helper()
	var d [1]backend.Decision
	reqs := []backend.Request{{Limits: []backend.Limit{{Key: key, Params: params}}, Horizon: backend.Unlimited}}
	if err := b.Reserve(context.Background(), reqs, d[:]); err != nil || !d[0].Granted {
		t.Fatalf("Reserve(%q) = %v, %+v, want a slot", key, err, d[0])
	}
	if got := time.Until(d[0].Slot); got != want {
		t.Errorf("the next slot of %q is in %v, want %v", key, got, want)
	}
}

// wantConfigError checks that err is a ConfigError for a field and names the value.
func wantConfigError(t *testing.T, err error, field, value string) {
	t.Helper()
	wrong, ok := errors.AsType[*freqlimit.ConfigError](err)
	if !ok || !errors.Is(err, freqlimit.ErrConfig) || wrong.Field != field || !strings.Contains(err.Error(), value) {
		t.Errorf("error = %v, want a ConfigError for %s that names the value %s", err, field, value)
	}
}
