//go:build unix

package wakeup

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"
)

// How late a goroutine wakes up that waits for instants at a rate, for two seconds
// at each, and what that costs: cpu-% is of one core and for all that the process
// does, spun-% the part of it spent watching the clock.
func BenchmarkWake(b *testing.B) {
	for _, precise := range []bool{false, true} {
		for _, rate := range []int{30, 300, 1000} {
			b.Run(fmt.Sprintf("%s/rate=%d", kind(precise), rate), func(b *testing.B) { benchmarkWake(b, precise, rate) })
		}
	}
}

func benchmarkWake(b *testing.B, precise bool, rate int) {
	a := New(precise)
	defer a.Close()
	news, done := make(chan struct{}), make(chan struct{})
	gap := time.Second / time.Duration(rate)
	at := time.Now()
	var late []time.Duration
	begun, used, spun := time.Now(), cpu(b), a.aim.budget.spent
	for b.Loop() {
		for range 2 * rate {
			at = at.Add(gap)
			a.Wait(at, news, done)
			late = append(late, time.Since(at))
		}
	}
	took := time.Since(begun)
	used, spun = cpu(b)-used, a.aim.budget.spent-spun
	slices.Sort(late)
	quantile := func(q float64) float64 {
		return float64(late[int(q*float64(len(late)-1))].Nanoseconds()) / 1e3
	}
	b.ReportMetric(quantile(0.5), "p50-µs")
	b.ReportMetric(quantile(0.99), "p99-µs")
	b.ReportMetric(100*float64(used)/float64(took), "cpu-%")
	b.ReportMetric(100*float64(spun)/float64(took), "spun-%")
	b.ReportMetric(0, "ns/op") // it is what the rate makes it
	if late[0] < 0 {
		b.Errorf("woke up early by %v", -late[0])
	}
}

// What a wait costs that news ends at once, as many do while there is much to do.
func BenchmarkNews(b *testing.B) {
	for _, precise := range []bool{false, true} {
		b.Run(kind(precise), func(b *testing.B) {
			b.ReportAllocs()
			a := New(precise)
			defer a.Close()
			news, at := make(chan struct{}, 1), time.Now().Add(time.Hour)
			for b.Loop() {
				news <- struct{}{}
				a.Wait(at, news, nil)
			}
		})
	}
}

func kind(precise bool) string {
	if precise {
		return "precise"
	}
	return "plain"
}

// cpu returns the time that the process has run for, on all cores.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
