package dispatcher_test

import (
	"context"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher"
)

// How late handlers start, in real time: two seconds at each rate, on the memory
// backend. Early starts must be 0 anywhere; lateness depends on the machine and on
// what else it does.
func BenchmarkLateness(b *testing.B) {
	for _, rate := range []int{30, 300, 1000} {
		b.Run("rate="+strconv.Itoa(rate), func(b *testing.B) {
			var late []time.Duration
			for b.Loop() {
				late = append(late, latenessAt(b, rate, 2*rate)...)
			}
			slices.Sort(late)
			early := 0
			for _, d := range late {
				if d < 0 {
					early++
				}
			}
			at := func(q float64) float64 {
				return float64(late[int(q*float64(len(late)-1))].Nanoseconds()) / 1e3
			}
			b.ReportMetric(at(0.5), "p50-µs")
			b.ReportMetric(at(0.99), "p99-µs")
			b.ReportMetric(at(1), "max-µs")
			b.ReportMetric(float64(early), "early")
		})
	}
}

// latenessAt runs jobs of many keys under one limit, and returns how late each
// one started.
func latenessAt(b *testing.B, rate, jobs int) []time.Duration {
	started := make(chan time.Duration, jobs)
	d, err := dispatcher.New(inMemory(), func(_ context.Context, j dispatcher.Job[int]) error {
		started <- time.Since(j.Slot())
		return nil
	}, dispatcher.Config[int]{Limits: func(string, int) []dispatcher.Limit {
		return []dispatcher.Limit{limit("shared", perSecond(rate))}
	}})
	if err != nil {
		b.Fatal(err)
	}
	for i := range jobs {
		if err := d.Submit(context.Background(), strconv.Itoa(i%100), i); err != nil {
			b.Fatal(err)
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- d.Run(context.Background()) }()
	if err := d.Shutdown(context.Background()); err != nil {
		b.Fatal(err)
	}
	<-ended
	close(started)
	var late []time.Duration
	for d := range started {
		late = append(late, d)
	}
	return late
}
