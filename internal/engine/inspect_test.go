package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/schedule"
)

var slow = []backend.Limit{{Key: "slow", Params: hour}}

// crowded returns the loop of an engine that the test has take steps, and in which a job of
// each of so many keys waits for an hour. For release see owner.
func crowded(tb testing.TB, keys int, release chan struct{}) (*Engine, *loop) {
	tb.Helper()
	e, o := newEngine(tb, nil)
	o.release = release
	l := still(tb, e)
	tb.Cleanup(e.pool.close)
	l.sched.Submit(0, &schedule.Job{}, "first", 0, slow)
	for i := range keys {
		l.sched.Submit(0, &schedule.Job{}, strconv.Itoa(i), 0, slow)
	}
	l.step()
	return e, l
}

// limited checks what an inspection has found.
func limited(f *Found, want int) error {
	got := f.Waiting[schedule.ReasonLimited]
	f.Waiting[schedule.ReasonLimited] = 0
	if got != want || f.Waiting != [schedule.WaitReasons]int{} || f.Scheduled != 0 {
		return fmt.Errorf("found %d limited, %v else, %d scheduled; want %d limited", got, f.Waiting, f.Scheduled, want)
	}
	return nil
}

// However many keys there are, a look at them is taken in small steps, and jobs start between
// two of them. All who have asked before it begins share it.
func TestInspectionInSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const keys, askers = 20 * inspectedAtOnce, 50
		e, l := crowded(t, keys, nil)
		answers := make(chan *Found, 3*askers)
		inspect := func(keys, limits int) {
			f, err := e.Inspect(t.Context(), keys, limits)
			if err != nil {
				t.Error(err)
			}
			answers <- f
		}
		for range askers {
			go inspect(0, 0)
			go inspect(keys, 0)
			go inspect(0, 9)
		}
		synctest.Wait()
		steps, begun := 0, 0
		for steps < 10*keys/inspectedAtOnce && (l.isInspecting() || steps == 0) {
			if steps == 5 {
				e.submitForTest(t, Submission{Key: "free"})
			}
			busy, inspection := l.busy, l.inspector.inspection
			l.step()
			if l.inspector.inspection != inspection && l.inspector.inspection != nil {
				begun++
			}
			if steps == 5 && l.busy != busy+1 {
				t.Error("a job that can start does not while keys are looked at")
			}
			steps++
			synctest.Wait()
		}
		if least := keys / inspectedAtOnce; steps < least || begun != 1 {
			t.Errorf("%d inspections have taken %d steps, want 1 and %d steps at least", begun, steps, least)
		}
		if len(answers) != 3*askers {
			t.Fatalf("%d have an answer, want %d", len(answers), 3*askers)
		}
		f := <-answers
		for range 3*askers - 1 {
			if other := <-answers; other != f {
				t.Fatal("two who have asked before it began do not share an inspection")
			}
		}
		if n := len(f.Keys(keys)); n != keys {
			t.Errorf("Keys() has %d keys, want %d", n, keys)
		}
		if n := len(f.Limits(9)); n > 1 {
			t.Errorf("Limits() has %d limits, and there is one", n)
		}
		if err := limited(f, keys); err != nil {
			t.Error(err)
		}
	})
}

// The same for snapshots. What starts meanwhile is in it as it was, and who asks about that very
// job is told its slot.
func TestSnapshotInSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const keys, askers = 10 * inspectedAtOnce, 20
		release := make(chan struct{})
		defer close(release)
		e, l := crowded(t, keys, release)
		j := e.submitForTest(t, Submission{Key: "found", Limits: []backend.Limit{{Key: "own", Params: second}}})
		l.sched.Pause()
		l.step()
		snapshots := make(chan *schedule.Snapshot, askers)
		for range askers {
			go func() {
				snap, _, err := e.Snapshot(t.Context())
				if err != nil {
					t.Error(err)
				}
				snapshots <- snap
			}()
		}
		found := make(chan Whereabouts, 1)
		go func() {
			is, err := e.Find(t.Context(), j)
			if err != nil {
				t.Error(err)
			}
			found <- is
		}()
		synctest.Wait()
		begun, steps := 0, 0
		for ; steps == 0 || l.hasMore(); steps++ {
			if steps == 5 {
				l.sched.Resume() // the job starts
			}
			snapshot, busy := l.inspector.snapshot, l.busy
			l.step()
			if steps == 5 && l.busy != busy+1 {
				t.Error("a job that can start does not while a snapshot is taken")
			}
			if l.inspector.snapshot != nil && l.inspector.snapshot != snapshot {
				begun++
			}
			synctest.Wait()
		}
		if least := keys / inspectedAtOnce; steps < least || begun != 1 {
			t.Errorf("%d snapshots have taken %d steps, want 1 and %d steps at least", begun, steps, least)
		}
		if len(snapshots) != askers || len(found) != 1 {
			t.Fatalf("%d snapshots and %d jobs have been told, want %d and 1", len(snapshots), len(found), askers)
		}
		snap, n := <-snapshots, 0
		snap.Forecast(0, func(schedule.Expected) bool { n++; return true })
		if n != keys+1 {
			t.Errorf("the snapshot has %d jobs, want %d", n, keys+1)
		}
		for range askers - 1 {
			if other := <-snapshots; other != snap {
				t.Fatal("two who have asked before it began do not share a snapshot")
			}
		}
		if is := <-found; !is.HasSlot || is.Slot != e.Now() {
			t.Errorf("Find() = %+v, want the slot %d", is, e.Now())
		}
	})
}

// However many have asked, the loop answers some of them at a time.
func TestInspectionsAreAnsweredInSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, l := crowded(t, 0, nil)
		const askers = 3*inspectedAtOnce + 1
		told := 0
		for range askers {
			l.inspector.replies = append(l.inspector.replies, func() { told++ })
		}
		for before := 0; l.isInspecting(); before = told {
			if l.inspect(); told == before || told > before+inspectedAtOnce {
				t.Fatalf("a step answers %d, want some, and %d at most", told-before, inspectedAtOnce)
			}
		}
		if told != askers {
			t.Errorf("%d have been answered, want %d", told, askers)
		}
	})
}

// A call during an inspection gets its answer from the next one, and ErrClosed if Run
// stops before.
func TestInspectionsFollowEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const keys = 4 * inspectedAtOnce
		e, l := crowded(t, keys, nil)
		ask := func() <-chan *Found {
			answer := make(chan *Found, 1)
			go func() {
				f, err := e.Inspect(t.Context(), 0, 0)
				if err != nil {
					t.Errorf("Inspect() = %v", err)
				}
				answer <- f
			}()
			synctest.Wait()
			return answer
		}
		first := ask()
		l.step()
		e.submitForTest(t, Submission{Key: "late", Limits: slow})
		second := ask()
		for l.hasMore() {
			l.step()
		}
		if err := limited(<-first, keys); err != nil {
			t.Error(err)
		}
		if err := limited(<-second, keys+1); err != nil {
			t.Errorf("who asked later: %v", err)
		}
		ended := make(chan error)
		go func() {
			_, err := e.Inspect(t.Context(), 0, 0)
			ended <- err
		}()
		synctest.Wait()
		l.takeIn()
		close(e.stopping)
		if err := <-ended; !errors.Is(err, ErrClosed) {
			t.Errorf("Inspect() while Run stops = %v, want ErrClosed", err)
		}
	})
}

// BenchmarkInspect is what a look at all keys costs, and how long each step of the loop takes
// meanwhile.
func BenchmarkInspect(b *testing.B) {
	for _, what := range []struct {
		name         string
		keys, limits int
	}{{"jobs", 0, 0}, {"keys", 10, 0}, {"limits", 0, 10}} {
		for _, keys := range []int{10_000, 100_000, 1_000_000} {
			b.Run(fmt.Sprint(what.name, "/keys=", keys), func(b *testing.B) {
				e, l := crowded(b, keys, nil)
				steps := 0
				for b.Loop() {
					answered := make(chan error, 1)
					go func() {
						_, err := e.Inspect(context.Background(), what.keys, what.limits)
						answered <- err
					}()
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
