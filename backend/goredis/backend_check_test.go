package goredis

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/redis/go-redis/v9"
)

// unasked is a client that no test of this file gets to ask anything.
func unasked(t *testing.T) *redis.Client {
	return clientWith(t, &redis.Options{Addr: "127.0.0.1:0", MaxRetries: -1})
}

// Trap 2: params that microseconds can't express are refused before anything is sent. Each bound
// is tested on both sides.
func TestCheckParams(t *testing.T) {
	b := newBackend(t, unasked(t), Config{Prefix: "p:"})
	for _, c := range []struct {
		params gcra.FreqLimitParams
		field  string // that is wrong; "" if none is
	}{
		{gcra.FreqLimitParams{Limit: 1_000_000, Period: time.Second}, ""},
		{gcra.FreqLimitParams{Limit: 1_000_001, Period: time.Second}, "Limit"},
		{gcra.FreqLimitParams{Limit: 1, Period: time.Microsecond}, ""},
		{gcra.FreqLimitParams{Limit: 1, Period: 1999}, ""},
		{gcra.FreqLimitParams{Limit: 2, Period: 1999}, "Limit"},
		{gcra.FreqLimitParams{Limit: 2, Period: 2000}, ""},
		{gcra.FreqLimitParams{Limit: 1, Period: 999}, "Limit"},
		{gcra.FreqLimitParams{Limit: 1, Period: 1}, "Limit"},
		{every(time.Microsecond, int(min(math.MaxInt, int64(backend.Unlimited/time.Microsecond)))), ""},
		{every(10*time.Second, 315_360_000), ""},
		{every(10*time.Second, 315_360_001), "Burst"},
		// An interval of 10,000,000.5 us is one of 10,000,001 us here: a burst that
		// takes 100 years of the one is too much.
		{gcra.FreqLimitParams{Limit: 2, Period: 20*time.Second + time.Microsecond, Burst: 315_359_968}, ""},
		{gcra.FreqLimitParams{Limit: 2, Period: 20*time.Second + time.Microsecond, Burst: 315_359_969}, "Burst"},
		{gcra.FreqLimitParams{Limit: 2, Period: 20*time.Second + time.Microsecond, Burst: 315_359_984}, "Burst"},
		{every(backend.Unlimited, 1), ""},
		{every(backend.Unlimited, 2), "Burst"},
		{every(10*time.Second, math.MaxInt), "Burst"},
		{gcra.FreqLimitParams{Limit: 0, Period: time.Second}, "Limit"},
		{gcra.FreqLimitParams{Limit: math.MaxInt, Period: math.MaxInt}, "Limit"},
	} {
		limits := []backend.Limit{limit("good", every(time.Second, 1)), limit("k", c.params)}
		err := b.Check(limits)
		if c.field == "" {
			if err != nil {
				t.Errorf("Check(%v) = %v, want nil", c.params, err)
			}
			continue
		}
		var at *backend.LimitError
		var param *gcra.ParamError
		if !errors.As(err, &at) || at.Index != 1 || at.Key != "k" || !errors.As(err, &param) || param.Field != c.field {
			t.Errorf("Check(%v) = %v, want an error of limit 1 that names %s", c.params, err, c.field)
			continue
		}
		if !errors.Is(err, backend.ErrLimit) || !errors.Is(err, gcra.ErrParams) {
			t.Errorf("Check(%v) = %v, want it to match ErrLimit and ErrParams", c.params, err)
		}
		// The same from whatever takes limits, and Redis is not asked.
		d := decide(t, b, request(limits...))[0]
		if d.Granted || d.Undecided || d.Binding != -1 || d.Err == nil || d.Err.Error() != err.Error() {
			t.Errorf("Reserve(%v) = %+v, want only Err, %v", c.params, d, err)
		}
		if got := b.Release(t.Context(), limits, 1); got == nil || got.Error() != err.Error() {
			t.Errorf("Release(%v) = %v, want %v", c.params, got, err)
		}
	}
}

// Traps 6 and 8, as [backend.Validate] has them.
func TestCheckValidates(t *testing.T) {
	b := newBackend(t, unasked(t), Config{})
	ok := limit("k", every(time.Second, 2))
	costly := ok
	costly.Cost = 3
	for _, c := range []struct {
		limits []backend.Limit
		want   error
	}{
		{nil, nil},
		{[]backend.Limit{ok}, nil},
		{[]backend.Limit{costly}, gcra.ErrCost},
		{[]backend.Limit{ok, ok}, backend.ErrSameKey},
	} {
		if err := b.Check(c.limits); !errors.Is(err, c.want) {
			t.Errorf("Check(%v) = %v, want %v", c.limits, err, c.want)
		}
	}
	if got := backend.Check(b, []backend.Limit{costly}); !errors.Is(got, gcra.ErrCost) {
		t.Errorf("backend.Check(%v) = %v, want %v", costly, got, gcra.ErrCost)
	}
}

// Without a cluster, the limits of a request may be in any hash slots.
func TestCheckOffCluster(t *testing.T) {
	b := newBackend(t, unasked(t), Config{})
	if err := b.Check([]backend.Limit{limit("a", every(time.Second, 1)), limit("b", every(time.Second, 1))}); err != nil {
		t.Errorf("Check() of two slots = %v, want nil", err)
	}
}

// A request without limits is decided without asking Redis.
func TestReserveOfNoLimitsAsksNobody(t *testing.T) {
	b := newBackend(t, unasked(t), Config{})
	ds := decide(t, b,
		backend.Request{},
		backend.Request{NotBefore: time.Now().Add(time.Hour)},
		backend.Request{NotBefore: time.Now().Add(time.Hour), Horizon: 2 * time.Hour},
		backend.Request{NotBefore: time.Now().Add(-time.Hour), Horizon: -1})
	for i, want := range []struct {
		granted bool
		ahead   time.Duration
	}{{true, 0}, {false, time.Hour}, {true, time.Hour}, {true, 0}} {
		d := ds[i]
		ahead := time.Until(d.Slot).Round(10 * time.Second)
		if d.Granted != want.granted || ahead != want.ahead || d.Err != nil || d.Binding != -1 {
			t.Errorf("decision %d = %+v, %v ahead, want Granted %v, %v ahead", i, d, ahead, want.granted, want.ahead)
		}
	}
	if err := b.Reserve(t.Context(), nil, nil); err != nil {
		t.Errorf("Reserve() of nothing = %v, want nil", err)
	}
}

func TestNewRefuses(t *testing.T) {
	ring := redis.NewRing(&redis.RingOptions{})
	t.Cleanup(func() { _ = ring.Close() })
	good := unasked(t)
	for _, c := range []struct {
		name   string
		client redis.UniversalClient
		cfg    Config
		field  string
	}{
		{"no client", nil, Config{}, "client"},
		{"a typed nil", (*redis.Client)(nil), Config{}, "client"},
		{"a typed nil of a cluster", (*redis.ClusterClient)(nil), Config{}, "client"},
		{"a Ring", ring, Config{}, "client"},
		{"a Ring in another type", struct{ *redis.Ring }{ring}, Config{}, "client"},
		{"a negative ExtraTTL", good, Config{ExtraTTL: -1}, "ExtraTTL"},
		{"an ExtraTTL over 100 years", good, Config{ExtraTTL: gcra.MaxSpan + 1}, "ExtraTTL"},
	} {
		b, err := New(c.client, c.cfg)
		var got *ConfigError
		if b != nil || !errors.As(err, &got) || got.Field != c.field || !errors.Is(err, ErrConfig) {
			t.Errorf("New() with %s = %v, %v, want nil and a ConfigError of %s", c.name, b, err, c.field)
		}
	}
	for _, cfg := range []Config{{}, {ExtraTTL: gcra.MaxSpan}, {Prefix: "\xff\x00*"}} {
		if _, err := New(good, cfg); err != nil {
			t.Errorf("New(%+v) = %v, want nil", cfg, err)
		}
	}
	if b := newBackend(t, good, Config{Prefix: DefaultPrefix}); b.prefix != "freqlimit:gcra:" {
		t.Errorf("prefix = %q, want %q", b.prefix, "freqlimit:gcra:")
	}
}
