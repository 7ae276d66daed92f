package goredis

import (
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/redistest"
)

// Trap 5: the server's clock is set back an hour. The remaining waits, of debt and of a hold, stay
// the same. They shrink as time passes, even while all requests are refused, and end without a
// burst.
func TestServerClockSetBack(t *testing.T) {
	l := newLab(t, redistest.Client(t), redistest.Prefix(t))
	k := limit("k", every(10*time.Second, 3))
	full := k
	full.Cost = 3
	l.takes(full)
	l.pass(4 * time.Second)
	l.holdKey(t, "held", 7e6)
	held := limit("held", every(time.Second, 1))
	l.takes(limit("other", every(time.Hour, 1)))

	l.pass(-time.Hour)
	// Redis was not asked about k since it was charged, 4 s ago, so they count again.
	for _, c := range []struct {
		limit backend.Limit
		wait  time.Duration
	}{{k, 10 * time.Second}, {held, 7 * time.Second}} {
		for range 6 {
			if got := l.refused(c.limit); got != c.wait {
				t.Errorf("wait of %q = %v, want %v", c.limit.Key, got, c.wait)
			}
			l.pass(time.Second)
			c.wait -= time.Second
		}
		l.pass(c.wait - time.Microsecond)
		if got := l.refused(c.limit); got != time.Microsecond {
			t.Errorf("wait of %q = %v, want the last microsecond", c.limit.Key, got)
		}
		l.pass(time.Microsecond)
		l.takes(c.limit)
		if got := l.refused(c.limit); got != c.limit.Params.Period {
			t.Errorf("wait of %q after its slot = %v, want %v", c.limit.Key, got, c.limit.Params.Period)
		}
	}
}

// Trap 5: the server's clock is set forward, which looks as if time had passed. A limit grants at
// most its Burst at once, and continues at its rate.
func TestServerClockSetForward(t *testing.T) {
	l := newLab(t, redistest.Client(t), redistest.Prefix(t))
	k := limit("k", every(time.Minute, 3))
	for range 10 {
		l.one(backend.Unlimited, k)
	}
	l.pass(time.Hour)
	for range k.Params.Burst {
		l.takes(k)
	}
	if got := l.refused(k); got != time.Minute {
		t.Errorf("wait after a burst = %v, want %v", got, time.Minute)
	}
}
