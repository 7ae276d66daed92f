package dispatcher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher/gcra"
	"pgregory.net/rapid"
)

// step has the loop do once what it does over and over.
func (l *loop[T]) step() {
	l.takeIn()
	l.decide()
	l.handOver()
	l.look()
}

// crowded returns the loop of a dispatcher that the test has take steps, and in which a job of
// each of so many keys waits for an hour.
func crowded(tb testing.TB, keys int) (*Dispatcher[int], *loop[int]) {
	tb.Helper()
	return crowd(tb, newDispatcher(tb), keys)
}

func crowd(tb testing.TB, d *Dispatcher[int], keys int) (*Dispatcher[int], *loop[int]) {
	tb.Helper()
	l := still(tb, d)
	slow := []Limit{{Key: "slow", Params: gcra.FreqLimitParams{Limit: 1, Period: time.Hour}}}
	l.sched.Submit(0, &(&entry[int]{}).sched, "first", 0, slow)
	for i := range keys {
		l.sched.Submit(0, &(&entry[int]{}).sched, strconv.Itoa(i), 0, slow)
	}
	l.step()
	return d, l
}

// However many keys there are, a look at them is taken in small steps, and jobs start between
// two of them. All who have asked before it begins share it.
func TestLooksAreTakenInSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const keys, askers = 20 * lookAtOnce, 50
		d, l := crowded(t, keys)
		defer d.desk.close()
		answers := make(chan error, 3*askers)
		ask := func() {
			for range askers {
				go func() {
					load, err := d.Load(t.Context())
					if err == nil && load != (Load{Limited: keys}) {
						err = fmt.Errorf("Load() = %+v, want %d Limited", load, keys)
					}
					answers <- err
				}()
				go func() {
					busiest, err := d.Busiest(t.Context(), keys)
					if n := len(slices.Collect(busiest)); err == nil && n != keys {
						err = fmt.Errorf("Busiest() has %d keys, want %d", n, keys)
					}
					answers <- err
				}()
				go func() {
					limits, err := d.Bottlenecks(t.Context(), 9)
					if len(slices.Collect(limits)) > 1 {
						err = errors.New("Bottlenecks() has more limits than there are")
					}
					answers <- err
				}()
			}
			synctest.Wait()
		}
		ask()
		steps, begun := 0, 0
		for steps < 10*keys/lookAtOnce && (l.isLooking() || steps == 0) {
			if steps == 5 { // these have to wait for the next one
				if err := d.SubmitJob(t.Context(), Job[int]{Key: "free", Priority: 1}); err != nil {
					t.Fatal(err)
				}
			}
			busy, survey := l.busy, l.looks.survey
			l.step()
			if l.looks.survey != survey && l.looks.survey != nil {
				begun++
			}
			if steps == 5 && l.busy != busy+1 {
				t.Error("a job that can start does not while keys are looked at")
			}
			steps++
			synctest.Wait()
		}
		if least := keys / lookAtOnce; steps < least || begun != 1 {
			t.Errorf("%d looks have taken %d steps, want 1 look and %d steps at least", begun, steps, least)
		}
		for range 3 * askers {
			select {
			case err := <-answers:
				if err != nil {
					t.Error(err)
				}
			default:
				t.Fatal("somebody has no answer")
			}
		}
	})
}

// The same for forecasts: many at once share an image, which is taken in small steps. What
// starts meanwhile is in it as it was, and who asks about that very job is told its start.
func TestForecastsAreTakenInSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const keys, askers = 10 * lookAtOnce, 20
		release := make(chan struct{})
		defer close(release)
		d := newDispatcher(t)
		d.handler = func(context.Context, Job[int]) error { <-release; return nil }
		_, l := crowd(t, d, keys)
		defer d.desk.close()
		h, err := d.Track(t.Context(), Job[int]{Key: "tracked", Limits: []Limit{{Key: "own", Params: gcra.FreqLimitParams{Limit: 1, Period: time.Second}}}})
		if err != nil {
			t.Fatal(err)
		}
		l.sched.Pause()
		l.step()
		answers := make(chan error, askers+1)
		for range askers {
			go func() {
				f, err := d.Forecast(t.Context(), 0)
				if err == nil && f.Jobs != keys+1 {
					err = fmt.Errorf("Forecast() has %d jobs, want %d", f.Jobs, keys+1)
				}
				answers <- err
			}()
		}
		go func() {
			e, err := h.Estimate(t.Context())
			if want := (Estimate{Start: d.instant()}); err == nil && (!e.Start.Equal(want.Start) || e.Bound) {
				err = fmt.Errorf("Estimate() = %+v, want %+v", e, want)
			}
			answers <- err
		}()
		synctest.Wait()
		begun, steps := 0, 0
		for ; steps == 0 || l.hasMore(); steps++ {
			if steps == 5 {
				l.sched.Resume() // the tracked job starts
			}
			imaging, busy := l.looks.imaging, l.busy
			l.step()
			if steps == 5 && l.busy != busy+1 {
				t.Error("a job that can start does not while an image is taken")
			}
			if l.looks.imaging != nil && l.looks.imaging != imaging {
				begun++
			}
			synctest.Wait()
		}
		if least := keys / lookAtOnce; steps < least || begun != 1 {
			t.Errorf("%d images have taken %d steps, want 1 image and %d steps at least", begun, steps, least)
		}
		for range askers + 1 {
			select {
			case err := <-answers:
				if err != nil {
					t.Error(err)
				}
			default:
				t.Fatal("somebody has no answer")
			}
		}
	})
}

// However many have asked for a look, the loop answers some of them at a time.
func TestLooksAreAnsweredInSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, l := crowded(t, 0)
		defer l.desk.close()
		const askers = 3*lookAtOnce + 1
		told := 0
		for range askers {
			l.looks.replies = append(l.looks.replies, func() { told++ })
		}
		for before := 0; l.isLooking(); before = told {
			if l.look(); told == before || told > before+lookAtOnce {
				t.Fatalf("a step answers %d, want some, and %d at most", told-before, lookAtOnce)
			}
		}
		if told != askers {
			t.Errorf("%d have been answered, want %d", told, askers)
		}
	})
}

// However many questions come at once, the loop answers some of them at a time. No job is
// taken in before those that were asked before it came.
func TestQuestionsAreAnsweredInSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const questions = 5*answersAtOnce + 1
		d := newDispatcher(t)
		l := still(t, d)
		defer d.desk.close()
		l.sched.Pause()
		answered := 0
		ask := func(jobs int) {
			for range questions {
				d.inbox.questions = append(d.inbox.questions, question[int]{d.submitted, func(l *loop[int], _ int64) {
					if answered++; l.sched.Waiting() != jobs {
						t.Errorf("question %d is answered with %d jobs, want %d", answered, l.sched.Waiting(), jobs)
					}
				}})
			}
		}
		submit := func() {
			if err := d.SubmitJob(t.Context(), Job[int]{Key: "k", Priority: 1}); err != nil {
				t.Fatal(err)
			}
		}
		ask(0)
		submit()
		ask(1)
		submit()
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

// Whoever asks while a look goes on gets an answer from the next one, and ErrClosed if Run
// stops before.
func TestLooksFollowEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, l := crowded(t, 4*lookAtOnce)
		defer d.desk.close()
		ask := func() <-chan Load {
			answer := make(chan Load, 1)
			go func() {
				load, err := d.Load(t.Context())
				if err != nil {
					t.Errorf("Load() = %v", err)
				}
				answer <- load
			}()
			synctest.Wait()
			return answer
		}
		first := ask()
		l.step()
		if err := d.SubmitJob(t.Context(), Job[int]{Key: "late", Limits: []Limit{{Key: "slow", Params: gcra.FreqLimitParams{Limit: 1, Period: time.Hour}}}}); err != nil {
			t.Fatal(err)
		}
		second := ask()
		for l.hasMore() {
			l.step()
		}
		const want = 4 * lookAtOnce
		if got := <-first; got != (Load{Limited: want}) {
			t.Errorf("Load() = %+v, want %d Limited", got, want)
		}
		if got := <-second; got != (Load{Limited: want + 1}) {
			t.Errorf("Load() of who asked later = %+v, want %d Limited", got, want+1)
		}
		ended := make(chan error)
		go func() {
			_, err := d.Load(t.Context())
			ended <- err
		}()
		synctest.Wait()
		l.takeIn()
		close(d.deaf)
		if err := <-ended; !errors.Is(err, ErrClosed) {
			t.Errorf("Load() while Run stops = %v, want ErrClosed", err)
		}
	})
}

// The first n of many are those of a sorted list, whether they are few or not.
func TestTop(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(rapid.IntRange(0, 5000), 0, 3000).Draw(t, "all")
		top := top[int]{n: rapid.IntRange(-1, 2*fewTop).Draw(t, "n"), compare: cmp.Compare[int]}
		for _, e := range all {
			top.add(e)
		}
		slices.Sort(all)
		n := rapid.IntRange(-1, max(0, top.n)).Draw(t, "asked for")
		if got, want := top.first(n), all[:max(0, min(n, len(all)))]; !slices.Equal(got, want) {
			t.Fatalf("the first %d are %v, want %v", n, got, want)
		}
	})
}

// BenchmarkLook is what a look at all keys costs, and how long each step of the loop takes
// meanwhile.
func BenchmarkLook(b *testing.B) {
	for name, look := range map[string]func(d *Dispatcher[int]) error{
		"Load": func(d *Dispatcher[int]) error {
			_, err := d.Load(context.Background())
			return err
		},
		"Busiest": func(d *Dispatcher[int]) error {
			_, err := d.Busiest(context.Background(), 10)
			return err
		},
		"Bottlenecks": func(d *Dispatcher[int]) error {
			_, err := d.Bottlenecks(context.Background(), 10)
			return err
		},
	} {
		for _, keys := range []int{10_000, 100_000, 1_000_000} {
			b.Run(fmt.Sprint(name, "/keys=", keys), func(b *testing.B) {
				d, l := crowded(b, keys)
				defer d.desk.close()
				steps := 0
				for b.Loop() {
					answered := make(chan error, 1)
					go func() { answered <- look(d) }()
					for len(answered) == 0 {
						l.step()
						if steps++; !l.hasMore() {
							runtime.Gosched()
						}
					}
					if err := <-answered; err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(steps), "us/step")
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(keys), "ns/key")
			})
		}
	}
}
