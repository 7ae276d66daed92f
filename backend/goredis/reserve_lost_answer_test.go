package goredis

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/backendtest"
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/redistest"
	"github.com/redis/go-redis/v9"
)

// lossyBackend returns a backend whose connections lose answers, and that is
// connected.
func lossyBackend(t *testing.T, retries int) (*Backend, *lossy) {
	t.Helper()
	l := &lossy{}
	l.lose.Store(-1 << 60)
	b := newBackend(t, clientWith(t, &redis.Options{
		Addr: redistest.Addr(t), Dialer: l.dial, MaxRetries: retries,
		ReadTimeout: 200 * time.Millisecond, MinRetryBackoff: -1, PoolSize: 1,
	}), Config{})
	b.watched = true // its question would get in between
	takes(t, b, limit("connect", every(time.Hour, 1)))
	return b, l
}

// Trap 18: the answer to a batch is lost, and the client runs the script again.
// The batch is charged twice: a slot of each limit is wasted, and none is given out
// twice or beyond the limit.
func TestLostAnswerIsRetried(t *testing.T) {
	b, l := lossyBackend(t, 3)
	burst, chain, single := limit("burst", every(time.Hour, 5)), limit("chain", every(time.Minute, 1)), limit("single", every(time.Hour, 1))
	l.lose.Store(1)
	ds := decide(t, b,
		request(burst),
		backend.Request{Limits: []backend.Limit{chain}, Horizon: backend.Unlimited},
		request(single))
	l.lose.Store(-1 << 60)
	if !ds[0].Granted || !ds[1].Granted {
		t.Fatalf("Reserve() whose answer was lost = %+v, want it granted when asked again", ds)
	}
	if ds[2].Granted {
		t.Errorf("Reserve() of the only slot, whose answer was lost = %+v, want it refused: it is taken", ds[2])
	}
	if got := left(t, b, burst); got != 3 {
		t.Errorf("slots left of 5, one used and one lost = %d, want 3", got)
	}
	if ahead := time.Until(ds[1].Slot).Round(time.Second); ahead != time.Minute {
		t.Errorf("slot of a chain whose first was lost = %v ahead, want 1m", ahead)
	}
}

// Trap 18: without retries the batch is not decided, and its charges stay.
func TestLostAnswerIsAnError(t *testing.T) {
	b, l := lossyBackend(t, -1)
	burst := limit("burst", every(time.Hour, 5))
	l.lose.Store(1)
	var ds [2]backend.Decision
	err := b.Reserve(t.Context(), []backend.Request{request(burst), request(burst)}, ds[:])
	l.lose.Store(-1 << 60)
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() || errors.Is(err, ErrSetup) {
		t.Fatalf("Reserve() whose answer was lost = %v, want a timeout", err)
	}
	if got := left(t, b, burst); got != 3 {
		t.Errorf("slots left of 5, two lost = %d, want 3", got)
	}
}

// Traps 13 and 18: answers are lost all the time, and the slots that arrive obey
// the limit.
func TestWindowsWhenAnswersAreLost(t *testing.T) {
	p := gcra.FreqLimitParams{Limit: 100, Period: time.Second, Burst: 3}
	b, l := lossyBackend(t, 2)
	var tokens []int64
	for i := range 60 {
		if i%15 == 7 {
			l.lose.Store(1)
		}
		d := reserve(t, b, time.Duration(i%3)*20*time.Millisecond, limit("k", p))
		l.lose.Store(-1 << 60)
		if d.Granted {
			tokens = append(tokens, d.Token)
		}
	}
	if err := backendtest.CheckWindows(moments(tokens), p, 0); err != nil || len(tokens) < 10 {
		t.Errorf("%d slots: %v, want many and nil", len(tokens), err)
	}
}

// Traps 11 and 18: the answer to Release is lost. It is an error, and is not tried again: of
// two slots at one instant the other one stays, since somebody holds it.
func TestLostAnswerToRelease(t *testing.T) {
	b, l := lossyBackend(t, 3)
	k := limit("k", every(time.Hour, 5))
	ds := decide(t, b, request(k), request(k))
	if err := b.Release(t.Context(), []backend.Limit{limit("load", every(time.Hour, 1))}, 0); err != nil {
		t.Fatalf("Release() = %v, want nil", err)
	}
	l.lose.Store(1)
	err := b.Release(t.Context(), []backend.Limit{k}, ds[0].Token)
	l.lose.Store(-1 << 60)
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("Release() whose answer was lost = %v, want a timeout", err)
	}
	if got := left(t, b, k); got != 4 {
		t.Errorf("slots left of 5, one used and one given back = %d, want 4", got)
	}
}
