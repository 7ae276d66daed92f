package engine

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
)

// However many commands come at once, the loop goes on with its work after some of them. They
// are obeyed in their order, before jobs that were submitted after them are taken in and
// before questions are answered.
func TestCommandsAreObeyedInSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const commands, steps = 10 * commandsAtOnce, 10
		e, _ := newEngine(t, nil)
		l := still(t, e)
		obeyed := 0
		for i := range commands {
			e.do(func(*loop, int64) {
				if obeyed != i {
					t.Errorf("command %d is obeyed as number %d", i, obeyed)
				}
				obeyed++
			})
		}
		e.submitForTest(t, Submission{Key: "k"})
		e.inbox.questions = append(e.inbox.questions, question{1, func(l *loop, _ int64) {
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

// However many questions come at once, the loop answers some of them at a time. No job is
// taken in before those that were asked before it came.
func TestQuestionsAreAnsweredInSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const questions = 5*answersAtOnce + 1
		e, _ := newEngine(t, nil)
		l := still(t, e)
		defer e.pool.close()
		l.sched.Pause()
		answered := 0
		ask := func(jobs int) {
			for range questions {
				e.inbox.questions = append(e.inbox.questions, question{e.submitted, func(l *loop, _ int64) {
					if answered++; l.sched.Waiting() != jobs {
						t.Errorf("question %d is answered with %d jobs, want %d", answered, l.sched.Waiting(), jobs)
					}
				}})
			}
		}
		ask(0)
		e.submitForTest(t, Submission{Key: "k"})
		ask(1)
		e.submitForTest(t, Submission{Key: "k"})
		for steps := 1; ; steps++ {
			before := answered
			l.step()
			if n := answered - before; n > answersAtOnce {
				t.Fatalf("step %d answers %d questions, want %d at most", steps, n, answersAtOnce)
			}
			if !l.hasMore() {
				break
			}
			if steps > questions {
				t.Fatal("it has more for ever")
			}
		}
		if answered != 2*questions || l.sched.Waiting() != 2 {
			t.Errorf("%d questions have been answered and %d jobs taken in, want %d and 2", answered, l.sched.Waiting(), 2*questions)
		}
	})
}

// BenchmarkAwaitIdle is what each of many who wait at once, and give up at once, costs.
func BenchmarkAwaitIdle(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprint("waiters=", n), func(b *testing.B) {
			for b.Loop() {
				e, _ := newEngine(b, nil)
				l := still(b, e)
				ctx, stop := context.WithCancel(b.Context())
				var waits sync.WaitGroup
				for range n {
					waits.Go(func() { _ = e.AwaitIdle(ctx) })
				}
				l.takeIn()
				stop()
				waits.Wait()
				l.takeAll()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/waiter")
		})
	}
}
