package goredis

import (
	"context"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/redistest"
	"github.com/redis/go-redis/v9"
)

// patience is how long a test waits for what has to come.
const patience = 10 * time.Second

// every is the rate of one event per interval.
func every(interval time.Duration, burst int) gcra.FreqLimitParams {
	return gcra.FreqLimitParams{Limit: 1, Period: interval, Burst: burst}
}

func limit(key string, p gcra.FreqLimitParams) backend.Limit {
	return backend.Limit{Key: key, Params: p}
}

// request asks for a slot at once.
func request(limits ...backend.Limit) backend.Request {
	return backend.Request{Limits: limits}
}

// newBackend returns a backend on a client, with a prefix of its own unless cfg
// has one.
func newBackend(t testing.TB, client redis.UniversalClient, cfg Config) *Backend {
	t.Helper()
	if cfg.Prefix == "" {
		cfg.Prefix = redistest.Prefix(t)
	}
	b, err := New(client, cfg)
	if err != nil {
		t.Fatalf("New() = %v, want nil", err)
	}
	b.patience = patience // a busy machine is no node that hangs
	return b
}

// newImpatient is newBackend for tests of nodes that hang.
func newImpatient(t testing.TB, client redis.UniversalClient, cfg Config) *Backend {
	t.Helper()
	b := newBackend(t, client, cfg)
	b.patience = nodePatience
	return b
}

// clientWith returns a client with options, for faults that should come quickly
// or be retried less than by default.
func clientWith(t testing.TB, o *redis.Options) *redis.Client {
	t.Helper()
	c := redis.NewClient(o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// clusterClient returns a client of the cluster that the tests share.
func clusterClient(t testing.TB) *redis.ClusterClient {
	t.Helper()
	c := redis.NewClusterClient(&redis.ClusterOptions{Addrs: redistest.Cluster(t)})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// tagged returns a prefix with a hash tag, so that all keys of a cluster that
// begin with it are in one slot.
func tagged(t testing.TB) string { return "{" + redistest.Prefix(t) + "}" }

// decide reserves, and wants the batch to be decided.
func decide(t testing.TB, b backend.Backend, reqs ...backend.Request) []backend.Decision {
	t.Helper()
	ds := make([]backend.Decision, len(reqs))
	if err := b.Reserve(t.Context(), reqs, ds); err != nil {
		t.Fatalf("Reserve() = %v, want nil", err)
	}
	return ds
}

// reserve asks for one slot.
func reserve(t testing.TB, b backend.Backend, horizon time.Duration, limits ...backend.Limit) backend.Decision {
	t.Helper()
	d := decide(t, b, backend.Request{Limits: limits, Horizon: horizon})[0]
	if d.Err != nil {
		t.Fatalf("Reserve(%.200v): Err = %v, want nil", limits, d.Err)
	}
	return d
}

// takes wants a slot to be granted at once.
func takes(t testing.TB, b backend.Backend, limits ...backend.Limit) backend.Decision {
	t.Helper()
	d := reserve(t, b, 0, limits...)
	if !d.Granted {
		t.Fatalf("Reserve(%.200v) = %+v, want it granted at once", limits, d)
	}
	return d
}

// refused wants no slot to be granted at once.
func refused(t testing.TB, b backend.Backend, limits ...backend.Limit) backend.Decision {
	t.Helper()
	d := reserve(t, b, 0, limits...)
	if d.Granted {
		t.Fatalf("Reserve(%.200v) = %+v, want it refused", limits, d)
	}
	return d
}

// left takes all the slots that a limit grants at once, and counts them.
func left(t testing.TB, b backend.Backend, l backend.Limit) int {
	t.Helper()
	n := 0
	for reserve(t, b, 0, l).Granted {
		if n++; n > l.Params.Burst {
			t.Fatalf("slots granted at once by %v: more than its burst", l.Params)
		}
	}
	return n
}

// eventually wants something to become true, within patience.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("after %v it is not so: %s", patience, what)
		}
	}
}

// receive waits for what comes from a channel, within patience.
func receive[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("after %v it has not come: %s", patience, what)
		panic("unreachable")
	}
}

// moments makes times of tokens, for backendtest.CheckWindows.
func moments(tokens []int64) []time.Time {
	times := make([]time.Time, len(tokens))
	for i, s := range tokens {
		times[i] = time.UnixMicro(s)
	}
	return times
}
