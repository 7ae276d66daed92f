package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/freqlimit/dispatcher/backend/memory"
)

// still returns the loop of a dispatcher that does nothing unless the test has it take a step.
func still(tb testing.TB, d *Dispatcher[int]) *loop[int] {
	tb.Helper()
	l, release := d.newLoop(tb.Context())
	tb.Cleanup(release)
	return l
}

func newDispatcher(tb testing.TB) *Dispatcher[int] {
	tb.Helper()
	d, err := New(memory.New(memory.Config{}), func(context.Context, Job[int]) error { return nil }, Config[int]{})
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// However many commands come at once, the loop goes on with its work after some of them. They
// are obeyed in their order, before jobs that were submitted after them are taken in and
// before questions are answered.
func TestCommandsAreObeyedInSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const commands, steps = 10 * commandsAtOnce, 10
		d := newDispatcher(t)
		l := still(t, d)
		obeyed := 0
		for i := range commands {
			d.command(func(*loop[int], int64) {
				if obeyed != i {
					t.Errorf("command %d is obeyed as number %d", i, obeyed)
				}
				obeyed++
			})
		}
		if err := d.SubmitJob(t.Context(), Job[int]{Key: "k", Priority: 1}); err != nil {
			t.Fatal(err)
		}
		d.inbox.questions = append(d.inbox.questions, question[int]{1, func(l *loop[int], _ int64) {
			if obeyed < commands || l.taken < 1 {
				t.Errorf("a question is answered after %d of %d commands and %d jobs", obeyed, commands, l.taken)
			}
		}})
		for i := range steps {
			if waiting := l.sched.Waiting(); waiting > 0 {
				t.Errorf("after step %d %d jobs have been taken in, want none before the commands", i, waiting)
			}
			l.takeIn()
			if want := (i + 1) * commandsAtOnce; obeyed != want {
				t.Errorf("after step %d %d commands have been obeyed, want %d", i+1, obeyed, want)
			}
			if more, want := l.hasMore(), i < steps-1; more != want {
				t.Errorf("after step %d there is more: %v, want %v", i+1, more, want)
			}
		}
		if waiting := l.sched.Waiting(); waiting != 1 || len(l.questions) > 0 {
			t.Errorf("at the end %d jobs have been taken in and %d questions wait, want 1 and 0", waiting, len(l.questions))
		}
	})
}

// Whoever waits for nothing to do is told, however many there are; those whose contexts have
// ended leave nothing behind.
func TestManyWaitIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDispatcher(t)
		release := make(chan struct{})
		d.handler = func(context.Context, Job[int]) error { <-release; return nil }
		go func() { _ = d.Run(t.Context()) }()
		if err := d.Submit(t.Context(), "k", 0); err != nil {
			t.Fatal(err)
		}
		const waiters = 1000
		ctx, stop := context.WithCancel(t.Context())
		var idle, canceled atomic.Int32
		for range waiters {
			go func() {
				if err := d.WaitIdle(ctx); errors.Is(err, context.Canceled) {
					canceled.Add(1)
				}
			}()
			go func() {
				if err := d.WaitIdle(t.Context()); err == nil {
					idle.Add(1)
				}
			}()
		}
		wantWaiters := func(wantCanceled, wantIdle int32) {
			t.Helper()
			synctest.Wait()
			if canceled.Load() != wantCanceled || idle.Load() != wantIdle {
				t.Errorf("%d waits have been canceled and %d have ended, want %d and %d",
					canceled.Load(), idle.Load(), wantCanceled, wantIdle)
			}
		}
		wantWaiters(0, 0)
		stop()
		wantWaiters(waiters, 0)
		close(release)
		wantWaiters(waiters, waiters)
		d.mu.Lock()
		if d.idle != nil {
			t.Error("somebody is waited for still")
		}
		d.mu.Unlock()
	})
}

// BenchmarkWaitIdle is what each of many who wait at once, and give up at once, costs.
func BenchmarkWaitIdle(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprint("waiters=", n), func(b *testing.B) {
			for b.Loop() {
				d := newDispatcher(b)
				l := still(b, d)
				ctx, stop := context.WithCancel(b.Context())
				var waits sync.WaitGroup
				for range n {
					waits.Go(func() { _ = d.WaitIdle(ctx) })
				}
				l.takeIn()
				stop()
				waits.Wait()
				for l.takeIn(); l.hasMore(); l.takeIn() {
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/waiter")
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
				d := newDispatcher(b)
				l := still(b, d)
				l.sched.Pause()
				handles := make([]*Handle[int], n)
				for i := range handles {
					var err error
					if handles[i], err = d.Track(b.Context(), Job[int]{Key: strconv.Itoa(i % 1000)}); err != nil {
						b.Fatal(err)
					}
				}
				for l.takeIn(); l.hasMore(); l.takeIn() {
				}
				b.StartTimer()
				for _, h := range handles {
					h.Cancel()
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
