package schedule

import (
	"fmt"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// starved is work that, claims aside, would keep one job waiting until all else
// is done.
type starved struct {
	name  string
	work  func(w *world) *Job // submits it, and returns the job to watch
	bound int64               // by when that job must have started
}

func starvedWork() []starved {
	slow := rate(1, time.Second, 1)
	saving := rate(10, time.Second, 5)
	return []starved{
		{
			// x is taken at every full second and y at every half: at no instant
			// are both open. The job has been ready from 1.5 s on, may have a
			// claim after 4 s, and waits for the one limit and then the other.
			name: "under two busy limits that are never open together",
			work: func(w *world) *Job {
				for range 100 {
					for lane := range 3 {
						w.submit(fmt.Sprint("x", lane), limitOn("x", slow))
					}
				}
				w.runUntil(sec / 2)
				for range 100 {
					for lane := range 3 {
						w.submit(fmt.Sprint("y", lane), limitOn("y", slow))
					}
				}
				w.runUntil(sec/2 + 1)
				return w.submit("both", limitOn("x", slow), limitOn("y", slow))
			},
			bound: 3*sec/2 + 4*sec + 2*sec,
		},
		{
			// Each job of cost 1 takes the limit as soon as there is one unit; the
			// job of cost 5 needs five, 0.5 s, and may have a claim after 4 times
			// that.
			name: "costly among cheap ones",
			work: func(w *world) *Job {
				for range 200 {
					for lane := range 3 {
						w.submit(fmt.Sprint("cheap", lane), limitOn("x", saving))
					}
				}
				w.runUntil(1)
				return w.submit("costly", costly("x", saving, 5))
			},
			bound: sec/2 + 4*sec/2 + sec/2 + sec/10,
		},
	}
}

// A head that others keep from its limits starts within a bounded time. A claim
// holds up those of lower rank, which in the fair order are all that became
// ready later.
func TestNothingStarves(t *testing.T) {
	for _, c := range starvedWork() {
		t.Run(c.name, func(t *testing.T) {
			for _, horizon := range []int64{0, 5 * ms} {
				w := newWorld(t, Config{Workers: many, Order: Fair, Horizon: horizon})
				j := c.work(w)
				w.run()
				w.wantWindows()
				if j.Slot > c.bound {
					t.Errorf("horizon %v: the job starts at %v, want %v at the latest",
						time.Duration(horizon), time.Duration(j.Slot), time.Duration(c.bound))
				}
			}
		})
	}
}

// The same jobs starve without claims, so it is these that save them.
func TestWithoutClaimsTheyStarve(t *testing.T) {
	for _, c := range starvedWork() {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, Config{Workers: many})
			w.withoutClaims = true
			j := c.work(w)
			w.run()
			if last := w.last(); j.Slot < last-2*sec {
				t.Errorf("the job starts at %v, want it to be among the last, at %v",
					time.Duration(j.Slot), time.Duration(last))
			}
		})
	}
}

// A claim never goes against priority: a job that is overdue waits for all of a
// higher one.
func TestClaimsDoNotGoBeforePriority(t *testing.T) {
	p := rate(10, time.Second, 5)
	w := newWorld(t, Config{Workers: many})
	for range 100 {
		w.submitAt(1, "urgent", limitOn("x", p))
	}
	low := w.submit("costly", costly("x", p, 5))
	w.run()
	if got := w.starts[len(w.starts)-1].Job; got != low {
		t.Errorf("the job that starts last is of %q, want it to be the one of lower priority", got.Key())
	}
}

// What does not put an overdue head off goes ahead of it, and then its slower limit has
// been kept free for it: no more is lost there than a part of one interval of the faster.
func TestClaimsLetOthersGoAhead(t *testing.T) {
	x, y := limitOn("x", rate(10, time.Second, 1)), limitOn("y", rate(1, 70*time.Millisecond, 1))
	w := newWorld(t, Config{Workers: many})
	const jobs = 30
	for range jobs {
		w.submit("x", x)
		w.submit("y", y)
	}
	w.runUntil(1)
	w.submit("both", x, y) // overdue after 400 ms
	w.run()
	w.wantWindows()
	w.wantSlots("both", 560*ms)
	var ofX, ofY []int64
	for i := range int64(jobs) {
		ofX, ofY = append(ofX, i*100*ms), append(ofY, i*70*ms)
		if i >= 5 {
			ofX[i] += 160 * ms // 60 ms are lost, and a slot is taken
		}
		if i >= 8 {
			ofY[i] += 70 * ms
		}
	}
	w.wantSlots("x", ofX...)
	w.wantSlots("y", ofY...)
}

// Trap 2: no interval is so long that a head is overdue as soon as it is ready.
func TestPatienceDoesNotOverflow(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for _, years := range []time.Duration{1, 70, 80, 99} {
		w := newWorld(t, Config{Workers: many})
		w.runUntil(sec)
		j := newJob(0)
		w.Submit(sec, j, "a", 0, []backend.Limit{limitOn("x", rate(1, years*year, 1))})
		least := sec + int64(min(years, 70)*year) // as good as never
		if at := j.lane.overdue(); at < least {
			t.Errorf("a head under a limit of one in %d years is overdue at %d, want %d at least", years, at, least)
		}
	}
}
