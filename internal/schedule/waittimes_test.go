package schedule

import (
	"maps"
	"math"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
)

// waitTimesOf returns the wait time of each limit up to now.
func (w *world) waitTimesOf() map[string]int64 {
	_, waited := w.inspectAll(w.now)
	return waited
}

func sum(m map[string]int64) (n int64) {
	for _, v := range m {
		n += v
	}
	return n
}

func (w *world) wantWaited(want map[string]int64) {
	w.tb.Helper()
	if got := w.waitTimesOf(); !maps.Equal(got, want) {
		w.tb.Errorf("at %v waited %v, want %v", time.Duration(w.now), got, want)
	}
}

// What a head waits counts for the limit that keeps it, from when it is the head on.
func TestWaitTimes(t *testing.T) {
	w := newWorld(t, Config{Workers: many})
	shared, own := limitOn("shared", rate(2, time.Second, 1)), limitOn("a", rate(1, 10*time.Second, 1))
	w.submit("a", shared, own)
	w.runUntil(0)
	w.wantWaited(map[string]int64{})
	w.submit("b", shared)
	w.runUntil(sec / 5)
	w.wantWaited(map[string]int64{"shared": sec / 5})
	w.runUntil(sec)
	w.wantWaited(map[string]int64{"shared": sec / 2})
	w.submit("c", shared)      // starts at once
	w.submit("a", shared, own) // waits for its own limit
	w.submit("a", shared, own) // and this one, behind it, for nothing yet
	w.runUntil(10 * sec)
	w.wantWaited(map[string]int64{"shared": sec / 2, "a": 9 * sec})
	w.runUntil(20 * sec)
	w.wantWaited(map[string]int64{"shared": sec / 2, "a": 19 * sec})
	w.now = 30*sec - 100*ms // nobody has asked for anything since 20 s
	w.submit("a", shared, own)
	w.step()
	w.wantWaited(map[string]int64{"shared": sec / 2, "a": 19 * sec})
	w.run()
	w.wantWaited(map[string]int64{"shared": sec / 2, "a": 19*sec + 100*ms})
	j := w.submit("a", shared, own)
	w.step()
	w.now += 3 * sec
	w.Remove(w.now, j)
	w.now += 3 * sec
	w.wantWaited(map[string]int64{"shared": sec / 2, "a": 22*sec + 100*ms})
}

// A head that waits for a worker adds no wait time to its limits, however many it has. While
// some workers are free, the heads that wait add together the time of as many as could start.
func TestWaitTimesNeedAFreeWorker(t *testing.T) {
	for _, c := range []struct {
		name          string
		workers, jobs int
		takes         time.Duration
		p             gcra.FreqLimitParams
		want          time.Duration
	}{
		// Only the first 16 jobs find more than one worker free.
		{"wide", 16, 160, time.Second, rate(1_000_000, time.Second, 1), 1078 * time.Microsecond},
		{"never binds", 1, 10, time.Second, rate(1, time.Second, 1), 0},
		// From 1s on both heads that wait add time, from 3s on the last one.
		{"halves the pace", 1, 3, time.Second, rate(1, 2*time.Second, 1), 3 * time.Second},
		// The one worker that is free is for both that wait.
		{"one of two workers", 2, 3, 2 * time.Second, rate(1, 2*time.Second, 1), 4 * time.Second},
		{"instant", 4, 10, 0, rate(1, time.Second, 1), 45 * time.Second},
	} {
		w := newWorld(t, Config{Workers: c.workers})
		w.takes = func(*Job) int64 { return int64(c.takes) }
		for i := range c.jobs {
			w.submit(laneKey(i), limitOn("x", c.p))
		}
		w.run()
		if got := time.Duration(w.waitTimesOf()["x"]); got != c.want {
			t.Errorf("%s: waited %v, want %v", c.name, got, c.want)
		}
	}
}

// A decision ahead of time changes nothing about what is waited.
func TestWaitTimesWithAHorizon(t *testing.T) {
	for _, horizon := range []int64{0, ms, 7 * ms} {
		w := newWorld(t, Config{Workers: many, Horizon: horizon})
		for range 100 {
			w.submit("a", limitOn("x", rate(1000, time.Second, 1)))
		}
		w.run()
		if got := w.waitTimesOf()["x"]; got != 99*ms {
			t.Errorf("horizon %v: waited %v, want 99ms", time.Duration(horizon), time.Duration(got))
		}
	}
}

// No limit costs anything while what its heads wait for is not the limit: a hold of it or
// of their key, a pause, a date, the backend.
func TestWaitTimesWhileOthersKeep(t *testing.T) {
	x := []backend.Limit{limitOn("x", rate(1, 10*time.Second, 1))}
	for _, c := range []struct {
		name string
		do   func(w *world)
		want int64
	}{
		{"nothing", func(*world) {}, 10 * sec},
		{"a hold of the limit", func(w *world) { w.delay("x", 4*sec) }, 6 * sec},
		{"a hold that is prolonged", func(w *world) {
			w.delay("x", 2*sec)
			w.runUntil(sec)
			w.delay("x", 3*sec)
		}, 6 * sec},
		{"a hold that is cleared", func(w *world) {
			w.delay("x", 20*sec)
			w.runUntil(4 * sec)
			w.closed["x"] = w.now
			w.Cleared(w.now, "x")
			w.answer = func(j *Job) {
				if w.now < 10*sec {
					w.Refused(w.now, j, Refusal{Until: 10 * sec})
					return
				}
				w.grant(j)
			}
		}, 6 * sec},
		{"a hold beyond the limit", func(w *world) { w.delay("x", 14*sec) }, 0},
		{"a hold of the key beyond the limit", func(w *world) { w.delay("a", 14*sec) }, 0},
		{"a pause", func(w *world) {
			w.now = sec
			w.Pause()
			w.runUntil(5 * sec)
			w.Resume()
		}, 6 * sec},
		{"a pause of the key", func(w *world) {
			w.now = sec
			w.PauseKey(w.now, "a")
			w.runUntil(5 * sec)
			w.ResumeKey(w.now, "a")
		}, 6 * sec},
		{"the backend", func(w *world) {
			other := w.submit("b", limitOn("y", rate(1, time.Second, 1)))
			w.answer = func(j *Job) {
				if w.now < 4*sec {
					w.Failed(w.now, j, 4*sec)
					return
				}
				w.grant(j)
			}
			w.runUntil(4 * sec)
			if other.Slot != 4*sec {
				t.Errorf("the other job starts at %v, want 4s", time.Duration(other.Slot))
			}
		}, 6 * sec},
		{"a worker", func(w *world) {
			w.takes = func(j *Job) int64 { return 4 * sec }
			w.now = sec
			w.SetWorkers(w.now, 1)
			w.submit("b")
		}, 6 * sec},
	} {
		w := newWorld(t, Config{Workers: many})
		w.submit("first", x...)
		w.step()
		w.submit("a", x...)
		c.do(w)
		w.run()
		if got := w.waitTimesOf()["x"]; got != c.want {
			t.Errorf("behind %s and a limit that opens at 10s, %v are waited to it, want %v", c.name, time.Duration(got), time.Duration(c.want))
		}
	}
	w := newWorld(t, Config{Workers: many})
	w.submit("first", x...)
	w.step()
	w.SubmitDated(0, newJob(1), "a", 0, x, Dates{NotBefore: 4 * sec})
	w.run()
	w.wantWaited(map[string]int64{"x": 6 * sec})
}

// A limit that a claim keeps for another is what its heads wait for.
func TestWaitTimesToAClaim(t *testing.T) {
	p := rate(1, time.Second, 4)
	w := newWorld(t, Config{Workers: many})
	w.submit("first", costly("x", p, 4))
	w.submit("costly", costly("x", p, 4))
	w.step()
	for i := range 100 {
		w.submit(laneKey(i), costly("x", p, 1))
	}
	w.after = func() {
		keys, _ := w.inspectAll(w.now)
		for _, k := range keys {
			if n := k.waiting() - k.Waiting[ReasonLimited]; n > 0 {
				t.Fatalf("at %v %d jobs of %q don't stand as limited, and workers are free", time.Duration(w.now), n, k.Key)
			}
		}
	}
	w.run()
	waited := int64(0)
	for _, s := range w.starts {
		waited += s.slot
	}
	w.wantWaited(map[string]int64{"x": waited})
}

// While the backend is asked about a head, that head adds no wait time: it may from the answer
// on. Others add time all the while.
func TestWaitTimesBeginWithTheAnswer(t *testing.T) {
	for _, c := range []struct {
		name string
		tell func(w *world, j *Job)
		x, y int64 // waited at 10 s
	}{
		{name: "granted", tell: func(w *world, j *Job) { w.Granted(w.now, j, w.now) }, x: 10 * sec, y: 5 * sec},
		{name: "refused", tell: func(w *world, j *Job) { w.Refused(w.now, j, Refusal{Until: 20 * sec}) }, x: 10 * sec, y: 5 * sec},
		{name: "rejected", tell: func(w *world, j *Job) { w.Rejected(w.now, j) }, x: 10 * sec},
		{name: "failed", tell: func(w *world, j *Job) { w.Failed(w.now, j, 12*sec) }, x: 5 * sec},
	} {
		w := newWorld(t, Config{Workers: many})
		x, y := limitOn("x", rate(1, time.Minute, 1)), limitOn("y", rate(1, time.Minute, 1))
		w.submit("first", x)
		w.step()
		w.submit("b", x)
		j := w.submit("a", y)
		w.submit("a", y)
		if taken, ask := w.Next(0); taken != j || !ask {
			t.Fatalf("%s: Next() = %v, %v, want the job of a", c.name, taken, ask)
		}
		w.Next(0)
		w.now = 5 * sec
		c.tell(w, j)
		w.Next(w.now)
		w.now = 10 * sec
		want := map[string]int64{"x": c.x}
		if c.y > 0 {
			want["y"] = c.y
		}
		w.wantWaited(want)
	}
}

// A refused head waits on.
func TestWaitTimesAfterRefusal(t *testing.T) {
	w := newWorld(t, Config{Workers: many, Shared: true})
	j := w.submit("a", limitOn("x", rate(1, time.Second, 1)))
	for range 3 {
		if taken, ask := w.Next(w.now); taken != j || !ask {
			t.Fatalf("Next() at %v = %v, %v, want the job", time.Duration(w.now), taken, ask)
		}
		w.Refused(w.now, j, Refusal{Until: w.now + sec})
		if taken, _ := w.Next(w.now); taken != nil {
			t.Fatal("Next() takes a job whose limit is closed")
		}
		w.now += sec
	}
	if taken, _ := w.Next(w.now); taken != j {
		t.Fatal("the job is not taken")
	}
	w.Granted(w.now, j, w.now)
	w.wantWaited(map[string]int64{"x": 3 * sec})
}

// The longest wait times are remembered while their limits are not in use, and grow from
// there when these come into use again. The sum for many heads does not overflow.
func TestWaitTimesAreBounded(t *testing.T) {
	const limits = 2 * maxWaitTimes
	w := newWorld(t, Config{Workers: many})
	for i := range 2 * limits {
		key := laneKey(i / 2)
		w.submit(key, limitOn(key, rate(1, time.Second+time.Duration(i/2)*time.Millisecond, 1)))
	}
	w.run()
	if got := len(w.waitTimesOf()); got != limits {
		t.Errorf("%d limits have cost something, want %d", got, limits)
	}
	w.runUntil(time.Hour.Nanoseconds())
	waited := w.waitTimesOf()
	if len(waited) != maxWaitTimes {
		t.Errorf("an hour later it is known what %d limits have cost, want %d", len(waited), maxWaitTimes)
	}
	last := laneKey(limits - 1)
	if want := sec + (limits-1)*ms; waited[last] != want {
		t.Errorf("the costliest limit has cost %v, want %v", waited[last], want)
	}
	w.submit(last, limitOn(last, rate(1, time.Second, 1)))
	w.submit(last, limitOn(last, rate(1, time.Second, 1)))
	w.run()
	if got, want := w.waitTimesOf()[last], 2*sec+(limits-1)*ms; got != want {
		t.Errorf("the costliest limit has cost %v when it was used again, want %v", got, want)
	}

	w = newWorld(t, Config{Workers: many})
	for i := range 1000 {
		w.submit(laneKey(i), limitOn("x", rate(1, 100*365*24*time.Hour, 1)))
	}
	w.runUntil(50 * 365 * 24 * time.Hour.Nanoseconds())
	w.wantWaited(map[string]int64{"x": math.MaxInt64})
}

// tickOfAudit is from one instant to the next.
const tickOfAudit = ms
