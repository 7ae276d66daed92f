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
	d := newDispatcher(tb)
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
