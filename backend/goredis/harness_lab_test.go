package goredis

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/redistest"
	"github.com/redis/go-redis/v9"
)

// fatalT is what *testing.T and *rapid.T have in common here.
type fatalT interface {
	Helper()
	Fatalf(format string, args ...any)
}

// lab asks a real Redis, with the scripts and the codec of the package, but with
// a clock of its own: so that what they say can be compared with what they should.
type lab struct {
	t      *testing.T
	client redis.UniversalClient
	prefix string

	reserveScript, holdScript, releaseScript *redis.Script

	now int64 // microseconds since 1970
	ttl int64 // for which a limit is kept beyond its debt, milliseconds
}

const (
	// reading is how the scripts read the clock, and injected what the lab puts in
	// its place. The arithmetic on the two numbers stays.
	reading  = "redis.call('TIME')"
	injected = "{ARGV[#ARGV - 1], ARGV[#ARGV]}"

	// labStart is the first instant of a lab: all of the 16 digits count.
	labStart = 1_764_000_003_123_457

	// labTTL keeps what a lab has written for an hour, since its time has nothing
	// to do with the time by which keys expire.
	labTTL = 3_600_000
)

func newLab(t *testing.T, client redis.UniversalClient, prefix string) *lab {
	t.Helper()
	t.Cleanup(func() { clearAll(t, client, prefix) })
	return &lab{
		t: t, client: client, prefix: prefix, now: labStart, ttl: labTTL,
		reserveScript: withInjectedClock(t, reserveSource),
		holdScript:    withInjectedClock(t, shared+holdOwn),
		releaseScript: withInjectedClock(t, shared+releaseOwn),
	}
}

// clearAll deletes what a test has left behind a prefix, at its end. Labs keep
// their keys for longer than a server that people use should have them.
func clearAll(t *testing.T, client redis.UniversalClient, prefix string) {
	b, err := New(client, Config{Prefix: prefix})
	if err == nil {
		err = b.Clear(context.Background())
	}
	if err != nil {
		t.Errorf("Clear() at the end of the test = %v, want nil", err)
	}
}

// Trap 15: each script reads the clock in one place.
func withInjectedClock(t *testing.T, source string) *redis.Script {
	t.Helper()
	if n := strings.Count(source, reading); n != 1 {
		t.Fatalf("Count(script, %q) = %d, want 1", reading, n)
	}
	if n := strings.Count(strings.ToUpper(source), "TIME'"); n != 1 {
		t.Fatalf("commands that end in TIME in a script = %d, want 1", n)
	}
	return redis.NewScript(strings.Replace(source, reading, injected, 1))
}

// with returns the arguments of a script and the time.
func (l *lab) with(args ...any) []any {
	return append(args, strconv.FormatInt(l.now/1e6, 10), strconv.FormatInt(l.now%1e6, 10))
}

// reserve decides a batch. The instants in the requests and in the decisions are
// those of the lab.
func (l *lab) reserve(t fatalT, reqs ...backend.Request) []backend.Decision {
	t.Helper()
	bt := newBatch()
	for i := range reqs {
		r, keys := &reqs[i], make([]string, 0, len(reqs[i].Limits)+len(reqs[i].HeldBy))
		for j := range r.Limits {
			keys = append(keys, l.prefix+r.Limits[j].Key)
		}
		for _, key := range r.HeldBy {
			keys = append(keys, l.prefix+key)
		}
		from := 0
		if i > 0 {
			from = len(bt.parts[0].requests)
		}
		bt.add(r, keys, 0)
		if !r.NotBefore.IsZero() {
			ahead := max(r.NotBefore.UnixMicro()-l.now, 0)
			copy(bt.parts[0].requests[from+4+1+8:], appendNumber(nil, ahead))
		}
	}
	if len(bt.parts) != 1 {
		t.Fatalf("parts of a batch of %d = %d, want 1", len(reqs), len(bt.parts))
	}
	p := bt.parts[0]
	reply, err := l.reserveScript.Run(l.t.Context(), l.client, p.keys, l.with(p.requests, l.ttl, "", "")...).Text()
	if err != nil {
		t.Fatalf("reserve.lua: %v, want nil", err)
	}
	if !wellFormed(reply, len(reqs)) || number(reply) != l.now {
		t.Fatalf("reserve.lua = %q, want now, %d, and %d decisions", reply, l.now, len(reqs))
	}
	ds := make([]backend.Decision, len(reqs))
	for i := range reqs {
		ds[i] = decision(reply, i, &reqs[i], time.UnixMicro)
	}
	return ds
}

// one decides one request.
func (l *lab) one(horizon time.Duration, limits ...backend.Limit) backend.Decision {
	l.t.Helper()
	return l.reserve(l.t, backend.Request{Limits: limits, Horizon: horizon})[0]
}

// takes wants a slot to be granted at once.
func (l *lab) takes(limits ...backend.Limit) {
	l.t.Helper()
	if d := l.one(0, limits...); !d.Granted || d.Token != l.now {
		l.t.Fatalf("reserve(%v) = %+v, want it granted at %d", limits, d, l.now)
	}
}

// refused wants no slot to be granted at once, and returns how far ahead it is.
func (l *lab) refused(limits ...backend.Limit) time.Duration {
	l.t.Helper()
	d := l.one(0, limits...)
	if d.Granted {
		l.t.Fatalf("reserve(%v) = %+v, want it refused", limits, d)
	}
	return time.Duration(d.Token-l.now) * time.Microsecond
}

func (l *lab) holdKey(t fatalT, key string, micros int64) {
	t.Helper()
	foreign, err := l.holdScript.Run(l.t.Context(), l.client, []string{l.prefix + key}, l.with(micros, l.ttl)...).Bool()
	if err != nil || foreign {
		t.Fatalf("hold.lua = %v, %v, want false, nil", foreign, err)
	}
}

func (l *lab) release(t fatalT, limits []backend.Limit, token int64) {
	t.Helper()
	keys := make([]string, len(limits))
	for i := range limits {
		keys[i] = l.prefix + limits[i].Key
	}
	if err := l.releaseScript.Run(l.t.Context(), l.client, keys, l.with(encodeRelease(token, limits), l.ttl, "", "")...).Err(); err != nil {
		t.Fatalf("release.lua: %v, want nil", err)
	}
}

// forget deletes a key, as Redis does when it expires.
func (l *lab) forget(t fatalT, key string) {
	t.Helper()
	if err := l.client.Unlink(l.t.Context(), l.prefix+key).Err(); err != nil {
		t.Fatalf("UNLINK: %v, want nil", err)
	}
}

// pass moves the clock.
func (l *lab) pass(d time.Duration) { l.now += int64(d / time.Microsecond) }

// eachKind runs a test on a single server and on a cluster.
func eachKind(t *testing.T, test func(t *testing.T, client redis.UniversalClient, prefix string)) {
	t.Run("single", func(t *testing.T) {
		test(t, redistest.Client(t), tagged(t))
	})
	t.Run("cluster", func(t *testing.T) {
		test(t, clusterClient(t), tagged(t))
	})
}
