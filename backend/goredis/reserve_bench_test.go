package goredis

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/redistest"
)

// quick is a limit whose debt does not pile up for long in a benchmark.
var quick = gcra.FreqLimitParams{Limit: 1_000_000, Period: time.Second, Burst: 1000}

// quickRequests asks each for one slot of one key, however far ahead.
func quickRequests(keys int) []backend.Request {
	reqs := make([]backend.Request, keys)
	for i := range reqs {
		reqs[i] = booking(limit(fmt.Sprint("key:", i), quick))
	}
	return reqs
}

// report says how many reservations a second there were, n to an iteration.
func report(b *testing.B, n int) {
	b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "reservations/s")
}

// benchmarkBackend returns a backend whose keys are gone when the benchmark ends.
func benchmarkBackend(b *testing.B) *Backend {
	backend := newBackend(b, redistest.Client(b), Config{})
	b.Cleanup(func() {
		if err := backend.Clear(context.Background()); err != nil {
			b.Errorf("Clear() = %v, want nil", err)
		}
	})
	return backend
}

// One slot to a call.
func BenchmarkReserve(b *testing.B) {
	for _, keys := range []int{1, 10_000} {
		for _, goroutines := range []int{1, 64} {
			b.Run(fmt.Sprintf("keys=%d/goroutines=%d", keys, goroutines), func(b *testing.B) {
				limits, reqs := benchmarkBackend(b), quickRequests(keys)
				one := func() {
					var d [1]backend.Decision
					i := rand.IntN(keys)
					if err := limits.Reserve(b.Context(), reqs[i:i+1], d[:]); err != nil || !d[0].Granted {
						b.Errorf("Reserve() = %v, %+v, want it granted", err, d[0])
					}
				}
				b.ReportAllocs()
				if goroutines == 1 {
					for b.Loop() {
						one()
					}
				} else {
					b.SetParallelism((goroutines + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
					b.RunParallel(func(pb *testing.PB) {
						for pb.Next() {
							one()
						}
					})
				}
				report(b, 1)
			})
		}
	}
}

// As many slots to a call as one run of the script decides.
func BenchmarkReserveBatch(b *testing.B) {
	for _, keys := range []int{1, 10_000} {
		b.Run(fmt.Sprintf("keys=%d/batch=%d", keys, partSize), func(b *testing.B) {
			limits, reqs := benchmarkBackend(b), quickRequests(max(keys, partSize))
			if keys == 1 {
				for i := range reqs {
					reqs[i] = reqs[0]
				}
			}
			ds, from := make([]backend.Decision, partSize), 0
			b.ReportAllocs()
			for b.Loop() {
				if err := limits.Reserve(b.Context(), reqs[from:from+partSize], ds); err != nil || !ds[partSize-1].Granted {
					b.Fatalf("Reserve() = %v, %+v, want it granted", err, ds[partSize-1])
				}
				if from += partSize; from+partSize > len(reqs) {
					from = 0
				}
			}
			report(b, partSize)
		})
	}
}
