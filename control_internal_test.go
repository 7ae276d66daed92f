package dispatcher

import (
	"context"
	"fmt"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher/gcra"
)

// fillKey has the loop take in so many jobs of a key.
func fillKey(tb testing.TB, d *Dispatcher[int], l *loop[int], key string, jobs int) {
	tb.Helper()
	l.sched.Pause()
	for i := range jobs {
		if err := d.SubmitJob(tb.Context(), Job[int]{Key: key, Payload: i, Priority: 1}); err != nil {
			tb.Fatal(err)
		}
	}
	for l.takeIn(); l.hasMore(); l.takeIn() {
	}
}

// However many jobs Drop ends, the loop goes on with its work after some of them. What is
// submitted meanwhile stays, of that key too.
func TestDropInSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const steps = 10
		d := newDispatcher(t)
		l := still(t, d)
		fillKey(t, d, l, "k", steps*dropsAtOnce)
		fillKey(t, d, l, "other", 1)
		var jobs iter.Seq[Job[int]]
		go func() {
			var err error
			if jobs, err = d.Drop(context.Background(), "k"); err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait()
		for i := range steps {
			if i == 1 {
				if err := d.SubmitJob(t.Context(), Job[int]{Key: "k", Payload: -1, Priority: 1}); err != nil {
					t.Fatal(err)
				}
			}
			l.takeIn()
			if got, want := d.counts.dropped.Load(), uint64((i+1)*dropsAtOnce); got != want {
				t.Errorf("after step %d %d jobs have been dropped, want %d", i+1, got, want)
			}
			if more, want := l.hasMore(), i < steps-1; more != want {
				t.Errorf("after step %d there is more: %v, want %v", i+1, more, want)
			}
		}
		synctest.Wait()
		n := 0
		for j := range jobs {
			if j.Payload != n {
				t.Fatalf("job %d that was dropped is %d", n, j.Payload)
			}
			n++
		}
		if n != steps*dropsAtOnce || l.sched.Waiting() != 2 {
			t.Errorf("%d jobs were dropped and %d wait, want %d and 2", n, l.sched.Waiting(), steps*dropsAtOnce)
		}
	})
}

// However many jobs have one deadline, the loop goes on with its work after some of them.
func TestExpireInSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const steps = 10
		d := newDispatcher(t)
		l := still(t, d)
		l.sched.Pause()
		deadline := time.Now().Add(time.Second)
		for range steps * expiredAtOnce {
			if err := d.SubmitJob(t.Context(), Job[int]{Key: "k", Options: &Options{Deadline: deadline}}); err != nil {
				t.Fatal(err)
			}
		}
		for l.takeIn(); l.hasMore(); l.takeIn() {
		}
		time.Sleep(2 * time.Second)
		for i := range steps {
			if at, ok := l.sched.Wake(); !ok || at > l.now() {
				t.Errorf("after step %d Wake() = %d, %v, want an instant that has passed", i, at, ok)
			}
			l.expire(l.now())
			if got, want := d.counts.expired.Load(), uint64((i+1)*expiredAtOnce); got != want {
				t.Errorf("after step %d %d jobs have expired, want %d", i+1, got, want)
			}
		}
		if at, ok := l.sched.Wake(); ok {
			t.Errorf("Wake() = %d when all have expired, want none", at)
		}
	})
}

// Jobs that the scheduler has found unable to meet their deadlines are reported, though
// nothing else is left to do and more of them have been found than are told at a time.
func TestExpiredAreReportedAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const jobs = 2 * expiredAtOnce
		d := newDispatcher(t)
		x := []Limit{{Key: "x", Params: gcra.FreqLimitParams{Limit: 1, Period: time.Second}}}
		if err := d.SubmitJob(t.Context(), Job[int]{Key: "k", Limits: x}); err != nil {
			t.Fatal(err)
		}
		for range jobs {
			// The slot is a nanosecond too late, and within the horizon of the deadline.
			o := &Options{Deadline: time.Now().Add(time.Second - 1)}
			if err := d.SubmitJob(t.Context(), Job[int]{Key: "k", Limits: x, Options: o}); err != nil {
				t.Fatal(err)
			}
		}
		go func() { _ = d.Run(t.Context()) }()
		if err := d.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := d.Stats(); got.Expired != jobs || got.Succeeded != 1 {
			t.Errorf("Stats() = %+v, want %d expired", got, jobs)
		}
	})
}

// BenchmarkDrop is the longest step of the loop while all jobs of a key are dropped.
func BenchmarkDrop(b *testing.B) {
	for _, jobs := range []int{1_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint("jobs=", jobs), func(b *testing.B) {
			var longest, took time.Duration
			for b.Loop() {
				d := newDispatcher(b)
				d.cfg.Capacity = jobs
				l := still(b, d)
				fillKey(b, d, l, "k", jobs)
				done := make(chan error)
				go func() {
					_, err := d.Drop(context.Background(), "k")
					done <- err
				}()
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
