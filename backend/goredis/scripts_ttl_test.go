package goredis

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/backendtest"
	"github.com/freqlimit/dispatcher/internal/redistest"
	"github.com/redis/go-redis/v9"
)

// expiry is what a limit in Redis holds, and the last millisecond in which it does,
// by the server's clock.
func expiry(t *testing.T, client redis.UniversalClient, key string) (s stored, at time.Duration, there bool) {
	t.Helper()
	pipeline := client.TxPipeline()
	value, until := pipeline.Get(t.Context(), key), pipeline.PExpireTime(t.Context(), key)
	_, err := pipeline.Exec(t.Context())
	if errors.Is(err, redis.Nil) {
		return stored{}, 0, false
	}
	if err != nil {
		t.Fatalf("GET, PEXPIRETIME: %v, want nil", err)
	}
	return parseStored(t, value.Val()), until.Val(), true
}

// Trap 16: by the real clock, a limit is kept until its debt is paid, rounded up to
// a millisecond, and not for much longer.
func TestKeptUntilTheDebtIsPaid(t *testing.T) {
	client := redistest.Client(t)
	for _, extra := range []time.Duration{0, 1, 1500 * time.Millisecond} {
		b := newBackend(t, client, Config{ExtraTTL: extra})
		beyond := (extra + time.Millisecond - 1).Truncate(time.Millisecond)
		for _, interval := range []time.Duration{
			time.Microsecond, 300 * time.Microsecond, 999 * time.Microsecond, time.Millisecond, 1001 * time.Microsecond,
			2500 * time.Microsecond, 999 * time.Millisecond, time.Second, 1000001 * time.Microsecond, 24 * time.Hour,
		} {
			seen := 0
			for i := 0; seen < 5 && i < 200; i++ {
				key := fmt.Sprint(interval, i)
				began := time.Now()
				takes(t, b, limit(key, every(interval, 1)))
				took := time.Since(began)
				s, at, there := expiry(t, client, b.prefix+key)
				if !there {
					continue // by the time that it is looked at it has expired
				}
				seen++
				paid := time.Duration(s.tat)*time.Microsecond + beyond
				if at < paid || at > paid+3*time.Millisecond+took {
					t.Errorf("a debt of %v, kept for %v more, expires at %v, want from %v on and not much later", interval, extra, at, paid)
				}
			}
			if seen == 0 && interval >= time.Millisecond {
				t.Errorf("debts of %v that were seen = 0, want some", interval)
			}
		}
	}
}

// Traps 13 and 16: by the real clock, keys whose debts are about as long as the
// unit of expiry, and that expire all the time, let no slot through early: asked
// again and again, they give slots that obey the limit to the microsecond.
func TestExpiryAdmitsNoneEarly(t *testing.T) {
	const long = 150 * time.Millisecond
	client := redistest.Client(t)
	for _, p := range []struct {
		interval time.Duration
		burst    int
	}{{700 * time.Microsecond, 1}, {time.Millisecond, 1}, {1300 * time.Microsecond, 3}, {2 * time.Millisecond, 2}, {3 * time.Millisecond, 1}} {
		b := newBackend(t, client, Config{})
		k := limit("k", every(p.interval, p.burst))
		var tokens []int64
		for end := time.Now().Add(long); time.Now().Before(end); {
			if d := reserve(t, b, 0, k); d.Granted {
				tokens = append(tokens, d.Token)
			}
		}
		if err := backendtest.CheckWindows(moments(tokens), k.Params, 0); err != nil {
			t.Errorf("%v", err)
		}
		if least := int(long / p.interval / 10); len(tokens) < least {
			t.Errorf("slots of %v in %v = %d, want at least %d", k.Params, long, len(tokens), least)
		}
	}
}

// A key whose debt is paid is gone, and a limit that is refused is not kept for
// longer.
func TestExpires(t *testing.T) {
	client := redistest.Client(t)
	b := newBackend(t, client, Config{})
	for i := range 20 {
		takes(t, b, limit(fmt.Sprint(i), every(time.Duration(i+1)*time.Millisecond, 1)))
	}
	eventually(t, "all keys have expired", func() bool {
		var keys []string
		for i := range 20 {
			keys = append(keys, b.prefix+fmt.Sprint(i))
		}
		n, err := client.Exists(t.Context(), keys...).Result()
		return err == nil && n == 0
	})

	k := limit("k", every(time.Hour, 1))
	takes(t, b, k)
	_, before, _ := expiry(t, client, b.prefix+"k")
	for _, horizon := range []time.Duration{0, time.Minute} {
		if d := reserve(t, b, horizon, k); d.Granted {
			t.Fatalf("Reserve() = %+v, want it refused", d)
		}
	}
	if _, after, _ := expiry(t, client, b.prefix+"k"); after != before {
		t.Errorf("PEXPIRETIME after refusals = %v, want as before, %v", after, before)
	}
	if d := reserve(t, b, backend.Unlimited, k); !d.Granted {
		t.Fatalf("Reserve() = %+v, want it granted", d)
	}
	if _, after, _ := expiry(t, client, b.prefix+"k"); after-before < time.Hour-time.Second {
		t.Errorf("PEXPIRETIME after another slot = %v later, want about 1h", after-before)
	}
}
