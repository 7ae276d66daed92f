package backend_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
)

var perSecond = gcra.FreqLimitParams{Limit: 5, Period: time.Second, Burst: 3}

func limit(key string) backend.Limit { return backend.Limit{Key: key, Params: perSecond} }

func costing(key string, cost int) backend.Limit {
	return backend.Limit{Key: key, Params: perSecond, Cost: cost}
}

func under(key string, p gcra.FreqLimitParams) backend.Limit {
	return backend.Limit{Key: key, Params: p}
}

// lots is n limits.
func lots(n int) []backend.Limit {
	var limits []backend.Limit
	for i := range n {
		limits = append(limits, limit(fmt.Sprint("k", i)))
	}
	return limits
}

func TestValidateAccepts(t *testing.T) {
	for _, limits := range [][]backend.Limit{
		nil,
		{},
		{limit("a")},
		{limit("")}, // the global bucket
		{limit("a"), limit(""), limit("A"), limit("a "), limit("a\x00")},
		{costing("a", 1), costing("b", 3)},
		{under("a", gcra.FreqLimitParams{Limit: 1, Period: time.Hour})},
		lots(1000),
	} {
		if err := backend.Validate(limits); err != nil {
			t.Errorf("Validate(%v) = %v, want nil", limits, err)
		}
	}
}

// Traps 6 (a cost above Burst on any limit) and 8 (the same key twice): an
// error that names the limit and matches what is wrong with it.
func TestValidateRefuses(t *testing.T) {
	faster := gcra.FreqLimitParams{Limit: 30, Period: time.Second}
	for _, c := range []struct {
		name   string
		limits []backend.Limit
		index  int
		key    string
		is     error
	}{
		{"no params", []backend.Limit{{Key: "a"}}, 0, "a", gcra.ErrParams},
		{"bad params of the second", []backend.Limit{limit("a"), under("b", gcra.FreqLimitParams{Limit: -1, Period: 1})}, 1, "b", gcra.ErrParams},
		{"trap 6: cost above Burst", []backend.Limit{costing("a", 4)}, 0, "a", gcra.ErrCost},
		{"trap 6: cost above a default Burst", []backend.Limit{{Key: "a", Params: faster, Cost: 2}}, 0, "a", gcra.ErrCost},
		{"trap 6: cost above Burst of the third", []backend.Limit{limit("a"), costing("b", 3), costing("c", 4)}, 2, "c", gcra.ErrCost},
		{"trap 6: negative cost", []backend.Limit{costing("a", -1)}, 0, "a", gcra.ErrCost},
		{"trap 8: the same limit twice", []backend.Limit{limit("a"), limit("a")}, 1, "a", backend.ErrSameKey},
		{"trap 8: one key, two params", []backend.Limit{limit("a"), limit("b"), under("a", faster)}, 2, "a", backend.ErrSameKey},
		{"trap 8: the global bucket twice", []backend.Limit{limit(""), limit("b"), limit("")}, 2, "", backend.ErrSameKey},
		{"trap 8: the last of many is the first", append(lots(100), limit("k0")), 100, "k0", backend.ErrSameKey},
		{"trap 8: the last two of many", append(lots(100), limit("k99")), 100, "k99", backend.ErrSameKey},
		{"trap 6: one of many", append(lots(100), costing("b", 4)), 100, "b", gcra.ErrCost},
		{"the first of two faults", []backend.Limit{limit("a"), limit("a"), costing("b", 9)}, 1, "a", backend.ErrSameKey},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := backend.Validate(c.limits)
			if !errors.Is(err, backend.ErrLimit) {
				t.Fatalf("Validate() = %v, want an error that is ErrLimit", err)
			}
			for _, other := range []error{gcra.ErrParams, gcra.ErrCost, backend.ErrSameKey} {
				if got, want := errors.Is(err, other), other == c.is; got != want {
					t.Errorf("errors.Is(%v, %v) = %v, want %v", err, other, got, want)
				}
			}
			wrong, ok := errors.AsType[*backend.LimitError](err)
			if !ok {
				t.Fatalf("Validate() = %T, want a *LimitError", err)
			}
			if wrong.Index != c.index || wrong.Key != c.key {
				t.Errorf("Validate() names limit %d, key %q, want %d, %q", wrong.Index, wrong.Key, c.index, c.key)
			}
			if want := fmt.Sprintf("limits[%d], key %q", c.index, c.key); !strings.Contains(err.Error(), want) {
				t.Errorf("Validate() = %q, want %q in it", err, want)
			}
		})
	}
}

// The typed error underneath is within reach, with its data.
func TestLimitErrorUnwraps(t *testing.T) {
	err := backend.Validate([]backend.Limit{costing("a", 7)})
	if wrong, ok := errors.AsType[*gcra.CostError](err); !ok || wrong.Cost != 7 || wrong.Burst != 3 {
		t.Errorf("Validate(cost 7 of burst 3) = %v, want a *CostError with both", err)
	}
	err = backend.Validate([]backend.Limit{{Key: "a"}})
	if wrong, ok := errors.AsType[*gcra.ParamError](err); !ok || wrong.Field != "Limit" {
		t.Errorf("Validate(no params) = %v, want a *ParamError that names Limit", err)
	}
}

// Trap 21: a key of any bytes and any length makes a readable error.
func TestLimitErrorShowsOddKeys(t *testing.T) {
	for _, key := range []string{"\x00", "\xff\xfe", "{}", strings.Repeat("x", 1<<20)} {
		text := backend.Validate([]backend.Limit{{Key: key}}).Error()
		if len(text) > 1000 || strings.Contains(text, "\x00") || !utf8.ValidString(text) {
			t.Errorf("error for key %.20q has %d bytes, want it quoted and cut", key, len(text))
		}
	}
}

func TestUnits(t *testing.T) {
	for cost, want := range map[int]int{0: 1, 1: 1, 3: 3, -1: -1} {
		l := costing("a", cost)
		if got := l.Units(); got != want {
			t.Errorf("Units() at cost %d = %d, want %d", cost, got, want)
		}
	}
}

// The cost of a limit does not grow with their number.
func BenchmarkValidate(b *testing.B) {
	for _, n := range []int{1, 4, 16, 32, 33, 100, 1_000, 10_000} {
		b.Run(fmt.Sprint("limits=", n), func(b *testing.B) {
			limits := lots(n)
			b.ReportAllocs()
			for b.Loop() {
				if err := backend.Validate(limits); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/limit")
		})
	}
}

func TestValidateAllocatesNothing(t *testing.T) {
	limits := []backend.Limit{limit("a"), limit("b"), limit("c")}
	if n := testing.AllocsPerRun(100, func() { _ = backend.Validate(limits) }); n != 0 {
		t.Errorf("allocations of Validate() = %v, want 0", n)
	}
}
