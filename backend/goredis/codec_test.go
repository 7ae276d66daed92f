package goredis

import (
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/redistest"
)

// encoded is what the scripts see of a request.
type encoded struct {
	limits          uint32
	flags           byte
	horizon, before int64
}

func encode(r *backend.Request) encoded {
	b := appendRequest(nil, r)
	return encoded{binary.LittleEndian.Uint32(b), b[4], number(string(b[5:])), number(string(b[13:]))}
}

// A horizon is rounded down and a NotBefore up, so that no slot is beyond the one
// or before the other.
func TestAppendRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const century = int64(backend.Unlimited / time.Microsecond)
		now := time.Now()
		for _, c := range []struct {
			request backend.Request
			want    encoded
		}{
			{backend.Request{}, encoded{}},
			{backend.Request{Limits: make([]backend.Limit, 3)}, encoded{limits: 3}},
			{backend.Request{Horizon: math.MinInt64}, encoded{}},
			{backend.Request{Horizon: 999}, encoded{}},
			{backend.Request{Horizon: 1999}, encoded{horizon: 1}},
			{backend.Request{Horizon: backend.Unlimited - 1}, encoded{horizon: century - 1}},
			{backend.Request{Horizon: backend.Unlimited}, encoded{flags: flagUnlimited, horizon: century}},
			{backend.Request{Horizon: math.MaxInt64}, encoded{flags: flagUnlimited, horizon: century}},
			{backend.Request{MemberID: 7}, encoded{flags: flagInTurn}},
			{backend.Request{MemberID: 7, Horizon: math.MaxInt64}, encoded{flags: flagUnlimited | flagInTurn, horizon: century}},
			{backend.Request{NotBefore: now}, encoded{}},
			{backend.Request{NotBefore: now.Add(-time.Hour)}, encoded{}},
			{backend.Request{NotBefore: now.Add(1)}, encoded{before: 1}},
			{backend.Request{NotBefore: now.Add(time.Second + 1)}, encoded{before: 1_000_001}},
			{backend.Request{NotBefore: now.Add(backend.Unlimited)}, encoded{before: century}},
			{backend.Request{NotBefore: now.Add(2 * backend.Unlimited)}, encoded{before: century + 1}},
			{backend.Request{NotBefore: time.Unix(1<<40, 0)}, encoded{before: century + 1}},
		} {
			if got := encode(&c.request); got != c.want {
				t.Errorf("appendRequest(%+v) = %+v, want %+v", c.request, got, c.want)
			}
		}
	})
}

// A request that is withdrawn is refused and leaves no trace, not even a turn or a
// key that is rebased; those around it stay.
func TestWithdraw(t *testing.T) {
	l := newLab(t, redistest.Client(t), redistest.Prefix(t))
	k := limit("k", every(time.Hour, 1))
	l.takes(k)
	before := getStored(t, l.client, l.prefix+"k")
	other := limit("k", every(time.Minute, 1))
	for _, r := range []backend.Request{request(other), by(1, other), booking(other)} {
		bt := newBatch()
		for range 2 {
			bt.add(&r, []string{l.prefix + "k"}, 0)
		}
		bt.add(&backend.Request{Limits: []backend.Limit{limit("fresh", every(time.Hour, 1))}}, []string{l.prefix + "fresh"}, 0)
		p := bt.parts[0]
		for _, at := range bt.places[:2] {
			withdraw(p.requests[at.offset:])
		}
		reply, err := l.reserveScript.Run(t.Context(), l.client, p.keys, l.with(p.requests, l.ttl)...).Text()
		if err != nil || !wellFormed(reply, 3) {
			t.Fatalf("reserve.lua = %q, %v, want 3 decisions", reply, err)
		}
		for i := range 3 {
			if d := decision(reply, i, &r, time.UnixMicro); d.Granted != (i == 2) {
				t.Errorf("decision %d with %+v withdrawn = %+v, want only the last granted", i, r, d)
			}
		}
		if after := getStored(t, l.client, l.prefix+"k"); after != before {
			t.Errorf("state after %+v was withdrawn = %+v, want as before, %+v", r, after, before)
		}
		l.forget(t, "fresh")
	}
}

// Trap 2: intervals are rounded up to microseconds, and so are not those that are
// whole.
func TestAppendLimit(t *testing.T) {
	for _, c := range []struct {
		limit                backend.Limit
		interval, full, cost int64
	}{
		{limit("", every(time.Second, 1)), 1_000_000, 1_000_000, 1_000_000},
		{limit("", every(time.Second, 0)), 1_000_000, 1_000_000, 1_000_000},
		{limit("", gcra.FreqLimitParams{Limit: 30, Period: time.Second, Burst: 30}), 33_334, 1_000_020, 33_334},
		{backend.Limit{Params: gcra.FreqLimitParams{Limit: 7, Period: time.Second, Burst: 5}, Cost: 3}, 142_858, 714_290, 428_574},
		{limit("", gcra.FreqLimitParams{Limit: 1_000_000, Period: time.Second, Burst: 9}), 1, 9, 1},
		{limit("", gcra.FreqLimitParams{Limit: 700_000, Period: time.Second}), 2, 2, 2},
		{limit("", every(backend.Unlimited, 1)), 3_153_600_000_000_000, 3_153_600_000_000_000, 3_153_600_000_000_000},
	} {
		b := appendLimit(nil, &c.limit, 77)
		if key := binary.LittleEndian.Uint32(b); key != 77 {
			t.Errorf("appendLimit(%v): key = %d, want 77", c.limit, key)
		}
		got := [3]int64{number(string(b[4:])), number(string(b[12:])), number(string(b[20:]))}
		if want := [3]int64{c.interval, c.full, c.cost}; got != want {
			t.Errorf("appendLimit(%v) = %v, want %v", c.limit, got, want)
		}
	}
}

// Trap 14: whole microseconds until the year 2255 are the same after the way there
// and back.
func TestNumberIsExact(t *testing.T) {
	for _, n := range []int64{0, 1, -1, 999, 1_700_000_000_123_456, 1_764_000_003_123_457, 1<<53 - 1, 1 << 53} {
		if got := number(string(appendNumber(nil, n))); got != n {
			t.Errorf("number(appendNumber(%d)) = %d, want %d", n, got, n)
		}
	}
}

// A reply of the wrong length is malformed.
func TestWellFormed(t *testing.T) {
	const one = headerSize + decisionSize
	for _, c := range []struct {
		length, requests int
		want             bool
	}{{one, 1, true}, {one - 1, 1, false}, {one + 1, 1, false}, {one, 2, false}, {one + decisionSize, 2, true}, {0, 1, false}} {
		if got := wellFormed(strings.Repeat("x", c.length), c.requests); got != c.want {
			t.Errorf("wellFormed() of %d bytes for %d requests = %v, want %v", c.length, c.requests, got, c.want)
		}
	}
}

// Each decision is read from its own place in the reply.
func TestDecision(t *testing.T) {
	reply := string(appendNumber(nil, 100))
	add := func(answer byte, binding uint32, held byte, slot, turn int64, reach uint32) {
		b := append([]byte{answer}, binary.LittleEndian.AppendUint32(nil, binding)...)
		b = append(b, held)
		b = appendNumber(appendNumber(b, slot), turn)
		reply += string(binary.LittleEndian.AppendUint32(b, reach))
	}
	add(answerGranted, 0, 0, 100, 100, 0)
	add(answerRefused, 2, 1, 200, 300, 40_000)
	add(answerForeign, 2, 0, 0, 0, 0)
	r := &backend.Request{Limits: []backend.Limit{limit("a", every(1, 1)), limit("b", every(1, 1))}, MemberID: 7}
	local := func(n int64) time.Time { return time.UnixMicro(n + 5) }
	for i, want := range []backend.Decision{
		{Granted: true, Slot: local(100), Token: 100, Binding: -1},
		{Slot: local(200), Token: 200, Binding: 1, Held: true, RetryAt: local(300), MinHorizon: 40 * time.Millisecond},
	} {
		if got := decision(reply, i, r, local); got != want {
			t.Errorf("decision(%d) = %+v, want %+v", i, got, want)
		}
	}
	got := decision(reply, 2, r, local)
	var limitErr *backend.LimitError
	if !errors.As(got.Err, &limitErr) || limitErr.Index != 1 || limitErr.Key != "b" || !errors.Is(got.Err, ErrForeign) || got.Binding != -1 {
		t.Errorf("decision() of a foreign value = %+v, want ErrForeign for limit 1", got)
	}
	r.MemberID = 0
	if got := decision(reply, 1, r, local); !got.RetryAt.IsZero() || got.MinHorizon != 0 {
		t.Errorf("decision() on the request of no member: Turn = %v, Reach = %v, want none", got.RetryAt, got.MinHorizon)
	}
}

// BusiestLimit is sent in the last byte. A value that names no limit is sent as 0.
func TestAppendRequestBusiestLimit(t *testing.T) {
	for _, c := range []struct {
		limits, main int
		want         byte
	}{{3, 0, 0}, {3, 1, 1}, {3, 3, 3}, {3, 4, 0}, {3, -1, 0}, {300, 255, 255}, {300, 256, 0}} {
		b := appendRequest(nil, &backend.Request{Limits: make([]backend.Limit, c.limits), BusiestLimit: c.main})
		if got := b[len(b)-1]; got != c.want {
			t.Errorf("with %d limits and BusiestLimit %d the request ends in %d, want %d", c.limits, c.main, got, c.want)
		}
	}
}
