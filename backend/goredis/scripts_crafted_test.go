package goredis

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/redistest"
	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"
)

// craft returns a value of the length that a limit has, with any numbers.
func craft(version byte, numbers ...float64) string {
	b := []byte{version}
	for _, n := range numbers {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(n))
	}
	return string(b)
}

// sound are the numbers of a limit with debt, as scripts/clock.lua and quick.lua name them: at, tat,
// last, interval, closed, how many wait, base, slot1, cost1 and count1. Version 2 has another number for
// those who wait.
func sound() []float64 {
	now := float64(time.Now().UnixMicro())
	return []float64{now, now + 2e6, now + 1e6, 1e6, 0, 0, now, now, 1e6, -2}
}

// crafted returns values of the right length with numbers that no script writes. Each key is the
// index of the wrong number, or says what else is wrong.
func crafted() map[string]string {
	now, nan, inf := sound()[0], math.NaN(), math.Inf(1)
	values := map[string]string{
		"NaN, version 1":        craft(1, nan, nan, nan, nan, nan, nan),
		"inf, version 1":        craft(1, inf, inf, inf, inf, inf, inf),
		"NaN, version 2":        craft(2, slices.Repeat([]float64{nan}, 10)...),
		"inf, version 2":        craft(2, slices.Repeat([]float64{inf}, 10)...),
		"NaN, version 3":        craft(3, slices.Repeat([]float64{nan}, 10)...),
		"bytes of 0xff":         "\x03" + strings.Repeat("\xff", 80),
		"a line beyond the end": craft(3, append(append(sound()[:5:5], 1), sound()[6:]...)...),
		"a line too long":       craft(3, append(append(append(sound()[:5:5], 257), sound()[6:]...), make([]float64, 3*257)...)...),
		"letters":               "\x01" + strings.Repeat("a", 48),
	}
	wrong := [...][]float64{
		{nan, inf, -1, 0.5, 1e300},                                      // at
		{nan, inf, -inf, -1, now + 0.5, now + 7e15, 1e18},               // tat: more than 200 years ahead
		{nan, inf, -1, now + 0.5, now + 4e15},                           // last: more than 100
		{nan, inf, -1, 0.5, 4e15, math.MaxFloat64},                      // interval
		{nan, inf, -1, now + 0.5, now + 4e15},                           // closed
		{nan, inf, -1, now + 0.5, now + 7e15},                           // how many wait
		{nan, inf, -1, now + 0.5, now + 7e15},                           // base
		{nan, inf, -1, now + 0.5, now + 4e15},                           // slot1
		{nan, inf, -1, 0.5, 4e15},                                       // cost1
		{nan, inf, -inf, 0.5, 1e16, -1e16, math.MaxFloat64, -now * 100}, // count1
	}
	for i, numbers := range wrong {
		for _, n := range numbers {
			all := sound()
			all[i] = n
			values[fmt.Sprintf("number %d is %v, version 2", i, n)] = craft(2, all...)
			values[fmt.Sprintf("number %d is %v, version 3", i, n)] = craft(3, all...)
			if i < 6 {
				values[fmt.Sprintf("number %d is %v, version 1", i, n)] = craft(1, all[:6]...)
			}
		}
	}
	return values
}

// A key whose numbers no script has written is foreign: its own requests fail, with an
// error that names it, and those for other keys go on.
func TestCraftedValues(t *testing.T) {
	client := redistest.Client(t)
	b := newBackend(t, client, Config{})
	values := crafted()
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if err := client.Set(t.Context(), b.prefix+"crafted", values[name], time.Hour).Err(); err != nil {
			t.Fatal(err)
		}
		bad := limit("crafted", every(time.Second, 1))
		beside := limit("beside "+name, every(time.Hour, 1))
		ds := make([]backend.Decision, 3)
		if err := b.Reserve(t.Context(), []backend.Request{request(bad), request(beside), request(beside, bad)}, ds); err != nil {
			t.Errorf("Reserve() with a key where %s = %v, want nil", name, err)
			continue
		}
		wantForeign(t, "decision where "+name, ds[0].Err, 0, "crafted")
		wantForeign(t, "decision on two limits where "+name, ds[2].Err, 1, "crafted")
		if !ds[1].Granted {
			t.Errorf("decision beside a key where %s = %+v, want it granted", name, ds[1])
		}
		wantForeign(t, "decision alone where "+name, decide(t, b, request(bad))[0].Err, 0, "crafted")
		wantForeign(t, "Hold() where "+name, b.Hold(t.Context(), "crafted", time.Hour), 0, "crafted")
		if err := b.Release(t.Context(), []backend.Limit{bad}, time.Now().UnixMicro()); err != nil {
			t.Errorf("Release() where %s = %v, want nil: nothing was granted", name, err)
		}
		if got := client.Get(t.Context(), b.prefix+"crafted").Val(); got != values[name] {
			t.Errorf("the value where %s has become %q, want it as it was", name, got)
		}
	}
}

// Sound numbers are not taken for foreign.
func TestSoundValues(t *testing.T) {
	client := redistest.Client(t)
	b := newBackend(t, client, Config{})
	now := sound()[0]
	for i, value := range []string{
		craft(3, sound()...),
		craft(3, append(append(append(sound()[:5:5], 2), sound()[6:]...), math.NaN(), math.Inf(1), -1, 1e300, math.NaN(), 0)...), // whose line is none
		craft(2, sound()...),
		craft(1, sound()[:6]...),
		craft(2, make([]float64, 10)...),
		craft(1, make([]float64, 6)...),
		craft(2, now+3e15, now+5e15, now+4e15, 1e6, now+5e15, now+5e15, now+5e15, now+4e15, 0, 1), // the clock was set back by 100 years
		craft(2, now, now+6.3e15, now+3.15e15, 3.15e15, now+3.15e15, now+6.3e15, now+3.15e15, now+3.15e15, 3.15e15, 1),
		craft(2, now, now+1e6, now, 1, 0, 0, 1, 1, 1, -(now + 1e6 - 1)), // busy ever since
	} {
		if err := client.Set(t.Context(), b.prefix+"sound", value, time.Hour).Err(); err != nil {
			t.Fatal(err)
		}
		if d := decide(t, b, request(limit("sound", every(time.Second, 1))))[0]; d.Err != nil {
			t.Errorf("decision on sound value %d = %v, want none", i, d.Err)
		}
	}
}

// wild draws a number that a value may hold.
func wild(t *rapid.T, now int64) float64 {
	switch rapid.IntRange(0, 3).Draw(t, "kind") {
	case 0:
		return math.Float64frombits(rapid.Uint64().Draw(t, "bits"))
	case 1:
		return float64(now + rapid.Int64Range(-int64(1e7), int64(1e7)).Draw(t, "near now"))
	case 2:
		return float64(rapid.Int64Range(-100, 10_000_000).Draw(t, "small"))
	default:
		return rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, 1, -1, 1 << 53, 1 << 62, -1 << 62, 3.1536e15, float64(now) + 3.1536e15, 1e300, 0.5}).Draw(t, "special")
	}
}

// Whatever bytes a key holds, no script fails because of it, other requests are decided, and
// what is decided under it lies in a range that means something. What is written is sound.
func TestWildValues(t *testing.T) {
	client := redistest.Client(t)
	prefix := redistest.Prefix(t)
	l := newLab(t, client, prefix)
	p := every(time.Second, 3)
	wildly, beside := limit("wild", p), limit("beside", p)
	rapid.Check(t, func(t *rapid.T) {
		l.forget(t, "beside")
		records := rapid.IntRange(-1, 35).Draw(t, "records")
		version, n := byte(rapid.IntRange(2, 3).Draw(t, "version")), 10+3*records
		if records < 0 {
			version, n = 1, 6
		}
		numbers := make([]float64, n)
		for i := range numbers {
			numbers[i] = wild(t, l.now)
		}
		// Most of the numbers above make the value foreign at once: often only the records are wild.
		if rapid.Bool().Draw(t, "sound at first") {
			now := float64(l.now)
			copy(numbers, []float64{now, now + 2e6, now + 1e6, 1e6, 0, 0, now, now, 1e6, -2}[:min(n, 10)])
			if records > 0 {
				numbers[5] = float64(rapid.IntRange(0, records).Draw(t, "waiters"))
			}
		}
		if err := l.client.Set(l.t.Context(), prefix+"wild", craft(version, numbers...), time.Hour).Err(); err != nil {
			t.Fatalf("SET: %v", err)
		}
		foreign := false
		for range 3 {
			cost := wildly
			cost.Cost = rapid.IntRange(1, 3).Draw(t, "cost")
			ds := l.reserve(t,
				backend.Request{Limits: []backend.Limit{cost}, Horizon: rapid.SampledFrom(horizons).Draw(t, "horizon"), MemberID: uint32(rapid.IntRange(0, 3).Draw(t, "member"))},
				request(beside),
				backend.Request{Limits: []backend.Limit{beside}, HeldBy: []string{"wild"}, Horizon: time.Hour})
			foreign = errors.Is(ds[0].Err, ErrForeign)
			if ds[0].Err != nil && !foreign || ds[1].Err != nil || ds[2].Err != nil {
				t.Fatalf("decisions = %+v, want no errors but ErrForeign on the first", ds)
			}
			if d := ds[0]; !foreign && (d.Token < l.now || d.Token > l.now+4*int64(gcra.MaxSpan/time.Microsecond)) {
				t.Fatalf("slot = %d, want it from now, %d, on, in this age", d.Token, l.now)
			}
			l.release(t, []backend.Limit{cost}, rapid.SampledFrom([]int64{ds[0].Token, l.now, 0, int64(wild(t, l.now))}).Draw(t, "token"))
			l.pass(time.Duration(rapid.Int64Range(-int64(2*time.Second), int64(2*time.Second)).Draw(t, "pass")))
			if value, err := l.client.Get(l.t.Context(), prefix+"wild").Result(); err == nil && !foreign {
				parseStored(t, upgraded(value))
			} else if err != nil && err != redis.Nil {
				t.Fatalf("GET: %v", err)
			}
		}
		if !foreign {
			l.holdKey(t, "wild", 1)
		}
	})
}

// upgraded is a value of an older version as one of version 3.
func upgraded(value string) string {
	switch value[0] {
	case 1:
		return upgraded("\x02" + value[1:] + strings.Repeat("\x00", 32))
	case 2:
		return "\x03" + value[1:41] + strings.Repeat("\x00", 8) + value[49:]
	}
	return value
}
