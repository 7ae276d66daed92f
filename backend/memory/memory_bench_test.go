package memory_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/memory"
	"github.com/freqlimit/dispatcher/gcra"
)

// quick never refuses in a benchmark, and its debt does not pile up for long.
var quick = gcra.FreqLimitParams{Limit: 1_000_000_000, Period: time.Second, Burst: 1000}

func requests(keys int, shared bool) [][]backend.Request {
	reqs := make([][]backend.Request, keys)
	for i := range reqs {
		limits := []backend.Limit{limit(fmt.Sprint("key:", i), quick)}
		if shared {
			limits = append(limits, limit("shared:1", quick), limit("shared:2", quick))
		}
		reqs[i] = []backend.Request{{Limits: limits, Horizon: backend.Unlimited}}
	}
	return reqs
}

func BenchmarkReserve(b *testing.B) {
	for _, c := range []struct {
		name   string
		keys   int
		shared bool
		mixed  bool // the keys are used in another order than they were added in
	}{
		{"keys=1", 1, false, false},
		{"keys=100000", 100_000, false, false},
		{"keys=100000/mixed", 100_000, false, true},
		{"keys=100000/limits=3", 100_000, true, false},
	} {
		reqs := requests(c.keys, c.shared)
		added := slices.Clone(reqs)
		if c.mixed {
			rand.New(rand.NewPCG(1, 2)).Shuffle(len(reqs), func(i, j int) { reqs[i], reqs[j] = reqs[j], reqs[i] })
		}
		fresh := func() *memory.Backend {
			m := memory.New(memory.Config{IdleTTL: time.Hour})
			for _, r := range added {
				if err := m.Reserve(context.Background(), r, make([]backend.Decision, 1)); err != nil {
					b.Fatal(err)
				}
			}
			return m
		}
		b.Run(c.name+"/serial", func(b *testing.B) {
			m, d, i := fresh(), make([]backend.Decision, 1), 0
			b.ReportAllocs()
			for b.Loop() {
				if err := m.Reserve(b.Context(), reqs[i%c.keys], d); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
		b.Run(c.name+"/parallel", func(b *testing.B) {
			m := fresh()
			var goroutine atomic.Int64
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				ctx, d, i := b.Context(), make([]backend.Decision, 1), int(goroutine.Add(7919))
				for pb.Next() {
					if err := m.Reserve(ctx, reqs[i%c.keys], d); err != nil {
						b.Error(err)
						return
					}
					i++
				}
			})
		})
	}
}

// A batch pays for the clock once.
func BenchmarkReserveBatch(b *testing.B) {
	m := memory.New(memory.Config{IdleTTL: time.Hour})
	var reqs []backend.Request
	for _, r := range requests(100, false) {
		reqs = append(reqs, r...)
	}
	d := make([]backend.Decision, len(reqs))
	b.ReportAllocs()
	for b.Loop() {
		if err := m.Reserve(b.Context(), reqs, d); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(reqs)), "ns/request")
}

// Each key is new and soon due: what it costs to add one and to drop one, on a
// map that has always been small and on one that was once large.
func BenchmarkReserveNewKeys(b *testing.B) {
	for name, before := range map[string]int{"": 0, "/after=1000000": 1_000_000} {
		b.Run("fresh"+name, func(b *testing.B) {
			m, d := memory.New(memory.Config{}), make([]backend.Decision, 1)
			reserve := func(key string, p gcra.FreqLimitParams) {
				if err := m.Reserve(b.Context(), []backend.Request{{Limits: []backend.Limit{limit(key, p)}}}, d); err != nil {
					b.Fatal(err)
				}
			}
			for i := range before {
				reserve(fmt.Sprint("before", i), every(3*time.Second))
			}
			for m.Len() > before/100 {
				m.Sweep()
			}
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				reserve(fmt.Sprint(i), quick)
				i++
			}
		})
	}
}
