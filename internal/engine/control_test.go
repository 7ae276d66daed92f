package engine

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher/internal/schedule"
)

// fillKey has the loop take in so many jobs of a key.
func fillKey(tb testing.TB, e *Engine, l *loop, key string, jobs int) {
	tb.Helper()
	l.sched.Pause()
	for range jobs {
		e.submitForTest(tb, Submission{Key: key})
	}
	l.takeAll()
}

// However many jobs Drop ends, the loop goes on with its work after some of them. What is
// submitted meanwhile stays, of that key too.
func TestDropInSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const steps = 10
		e, _ := newEngine(t, nil)
		l := still(t, e)
		fillKey(t, e, l, "k", steps*dropsAtOnce)
		fillKey(t, e, l, "other", 1)
		var numbers []uint64
		go func() {
			if err := e.Drop(context.Background(), "k", func(j *schedule.Job) { numbers = append(numbers, j.Number()) }); err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait()
		for i := range steps {
			if i == 1 {
				e.submitForTest(t, Submission{Key: "k"})
			}
			l.takeIn()
			if got, want := len(numbers), (i+1)*dropsAtOnce; got != want {
				t.Errorf("after step %d %d jobs have been dropped, want %d", i+1, got, want)
			}
			if more, want := l.hasMore(), i < steps-1; more != want {
				t.Errorf("after step %d there is more: %v, want %v", i+1, more, want)
			}
		}
		synctest.Wait()
		if n := len(numbers); n != steps*dropsAtOnce || l.sched.Waiting() != 2 {
			t.Errorf("%d jobs were dropped and %d wait, want %d and 2", n, l.sched.Waiting(), steps*dropsAtOnce)
		}
	})
}

// BenchmarkDrop is the longest step of the loop while all jobs of a key are dropped.
func BenchmarkDrop(b *testing.B) {
	for _, jobs := range []int{1_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint("jobs=", jobs), func(b *testing.B) {
			var longest, took time.Duration
			for b.Loop() {
				e, _ := newEngine(b, nil)
				l := still(b, e)
				fillKey(b, e, l, "k", jobs)
				done := make(chan error)
				go func() { done <- e.Drop(context.Background(), "k", func(*schedule.Job) {}) }()
				for began := time.Now(); l.sched.Waiting() > 0 || l.hasMore(); {
					step := time.Now()
					l.takeIn()
					longest = max(longest, time.Since(step))
					took = time.Since(began)
				}
				if err := <-done; err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(longest.Microseconds()), "us/longest-step")
			b.ReportMetric(float64(took.Nanoseconds())/float64(jobs), "ns/job")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkCancel is the longest step of the loop while many jobs that wait are canceled at
// once: how many of them end in it.
func BenchmarkCancel(b *testing.B) {
	for _, n := range []int{10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint("jobs=", n), func(b *testing.B) {
			most := 0
			for b.Loop() {
				b.StopTimer()
				e, _ := newEngine(b, nil)
				l := still(b, e)
				l.sched.Pause()
				jobs := make([]*schedule.Job, n)
				for i := range jobs {
					jobs[i] = e.submitForTest(b, Submission{Key: strconv.Itoa(i % 1000)})
				}
				l.takeAll()
				b.StartTimer()
				for _, j := range jobs {
					e.Lock()
					e.Cancel(j)
					e.Unlock()
				}
				for before := n; before > 0; before = l.sched.Waiting() {
					l.takeIn()
					most = max(most, before-l.sched.Waiting())
				}
			}
			b.ReportMetric(float64(most), "jobs/step")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/job")
		})
	}
}
