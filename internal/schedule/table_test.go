package schedule

import (
	"fmt"
	"testing"
	"time"
)

// The work of the table in the design: a shared limit of 30 per second, and one
// per second for each key, all submitted at 0.
var (
	perShared = rate(30, time.Second, 1)
	perKey    = rate(1, time.Second, 1)
)

// batch is some keys with some jobs each.
type batch struct {
	name string
	keys int
	each int
}

// play submits the batches, key by key, and runs them, with more workers than
// jobs and handlers that take no time.
func play(t *testing.T, order Order, horizon int64, batches ...batch) *world {
	w := newWorld(t, Config{Workers: many, Order: order, Horizon: horizon})
	jobs := 0
	for _, b := range batches {
		for k := range b.keys {
			key := fmt.Sprint(b.name, k)
			for range b.each {
				jobs++
				w.submit(key, limitOn("shared", perShared), limitOn(key, perKey))
			}
		}
	}
	w.run()
	w.wantIdle()
	w.wantWindows()
	if len(w.starts) != jobs {
		t.Errorf("%d starts, want %d", len(w.starts), jobs)
	}
	return w
}

// lastOf is the last slot of the keys of a batch.
func (w *world) lastOf(name string) int64 {
	last := int64(-1)
	for _, s := range w.starts {
		if s.Key()[0] == name[0] {
			last = max(last, s.slot)
		}
	}
	return last
}

// wantAbout fails the test unless an instant is within 0.1 s of another.
func wantAbout(t *testing.T, what string, got int64, want time.Duration) {
	t.Helper()
	if d := time.Duration(got) - want; d.Abs() > 100*time.Millisecond {
		t.Errorf("%s: %v, want %v +-0.1s", what, time.Duration(got), want)
	}
}

// inEachRun runs a row of the table in some orders, without a horizon and with
// one of 5 ms.
func inEachRun(t *testing.T, orders []Order, row func(t *testing.T, order Order, horizon int64)) {
	for _, order := range orders {
		for _, horizon := range []int64{0, 5 * ms} {
			t.Run(fmt.Sprint(order, "/horizon=", time.Duration(horizon)), func(t *testing.T) {
				row(t, order, horizon)
			})
		}
	}
}

var (
	eachOrder     = []Order{Fair, FIFO, Backlog}
	fifoOrBacklog = []Order{FIFO, Backlog}
)

func TestTable20HotKeysThen600ColdFair(t *testing.T) {
	inEachRun(t, []Order{Fair}, func(t *testing.T, order Order, horizon int64) {
		w := play(t, order, horizon, batch{"hot", 20, 60}, batch{"cold", 600, 1})
		wantAbout(t, "last cold key", w.lastOf("cold"), 20630*time.Millisecond)
		wantAbout(t, "all done", w.last(), 79300*time.Millisecond)
	})
}

// Where the long keys come last, only Backlog starts them early.
func TestTable600ColdKeysThen20Hot(t *testing.T) {
	inEachRun(t, eachOrder, func(t *testing.T, order Order, horizon int64) {
		w := play(t, order, horizon, batch{"cold", 600, 1}, batch{"hot", 20, 60})
		want := 79600 * time.Millisecond
		if order == Backlog {
			want = 59970 * time.Millisecond
		}
		wantAbout(t, "all done", w.last(), want)
	})
}

func TestTable20HotKeysThen600ColdFIFOAndBacklog(t *testing.T) {
	inEachRun(t, fifoOrBacklog, func(t *testing.T, order Order, horizon int64) {
		w := play(t, order, horizon, batch{"hot", 20, 60}, batch{"cold", 600, 1})
		wantAbout(t, "last cold key", w.lastOf("cold"), 59970*time.Millisecond)
		wantAbout(t, "all done", w.last(), 59970*time.Millisecond)
	})
}

// Trap 24: one hot key does not starve the others.
func TestTableOneHotKeyThenOneCold(t *testing.T) {
	inEachRun(t, eachOrder, func(t *testing.T, order Order, horizon int64) {
		w := play(t, order, horizon, batch{"a", 1, 100}, batch{"b", 1, 1})
		wantAbout(t, "b", w.lastOf("b"), 33*time.Millisecond)
		if got := w.lastOf("b"); got > 34*ms {
			t.Errorf("b starts at %v, want its first chance, 33.333334ms", time.Duration(got))
		}
		wantAbout(t, "all done", w.last(), 99*time.Second)
	})
}

func TestTable60KeysWith100Each(t *testing.T) {
	inEachRun(t, eachOrder, func(t *testing.T, order Order, horizon int64) {
		w := play(t, order, horizon, batch{"key", 60, 100})
		wantAbout(t, "all done", w.last(), 200*time.Second)
	})
}

func TestTableOneKeyWith600Then6000ColdFair(t *testing.T) {
	inEachRun(t, []Order{Fair}, func(t *testing.T, order Order, horizon int64) {
		w := play(t, order, horizon, batch{"hot", 1, 600}, batch{"cold", 6000, 1})
		wantAbout(t, "last cold key", w.lastOf("cold"), 200*time.Second)
		wantAbout(t, "all done", w.last(), 798*time.Second)
	})
}

// The 600 jobs of one key at one per second take 599 intervals of 1 s, whatever
// else there is. The schedule is at that bound: the hot key's slots are the same
// with and without the cold ones. The table's 599.3 s allows for a scheduler
// that comes to the hot key only with the next slot of the shared limit.
func TestTableOneKeyWith600Then6000ColdFIFOAndBacklog(t *testing.T) {
	inEachRun(t, fifoOrBacklog, func(t *testing.T, order Order, horizon int64) {
		w := play(t, order, horizon, batch{"hot", 1, 600}, batch{"cold", 6000, 1})
		wantAbout(t, "last cold key", w.lastOf("cold"), 206900*time.Millisecond)
		wantAbout(t, "all done", w.last(), 599*time.Second)
		if got := time.Duration(w.last()); got > 599300*time.Millisecond {
			t.Errorf("all done: %v, want 599.3s at most", got)
		}
	})
}
