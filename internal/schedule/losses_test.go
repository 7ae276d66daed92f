package schedule

import (
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
	"pgregory.net/rapid"
)

// lostTo returns what each limit has cost up to now.
func (w *world) lostTo() map[string]int64 {
	_, lost := w.survey(w.now)
	return lost
}

func sum(m map[string]int64) (n int64) {
	for _, v := range m {
		n += v
	}
	return n
}

func (w *world) wantLost(want map[string]int64) {
	w.tb.Helper()
	if got := w.lostTo(); !maps.Equal(got, want) {
		w.tb.Errorf("at %v lost %v, want %v", time.Duration(w.now), got, want)
	}
}

// What a head waits counts for the limit that keeps it, from when it is the head on.
func TestLosses(t *testing.T) {
	w := newWorld(t, Config{Workers: many})
	shared, own := limitOn("shared", rate(2, time.Second, 1)), limitOn("a", rate(1, 10*time.Second, 1))
	w.submit("a", shared, own)
	w.runUntil(0)
	w.wantLost(map[string]int64{})
	w.submit("b", shared)
	w.runUntil(sec / 5)
	w.wantLost(map[string]int64{"shared": sec / 5})
	w.runUntil(sec)
	w.wantLost(map[string]int64{"shared": sec / 2})
	w.submit("c", shared)      // starts at once
	w.submit("a", shared, own) // waits for its own limit
	w.submit("a", shared, own) // and this one, behind it, for nothing yet
	w.runUntil(10 * sec)
	w.wantLost(map[string]int64{"shared": sec / 2, "a": 9 * sec})
	w.runUntil(20 * sec)
	w.wantLost(map[string]int64{"shared": sec / 2, "a": 19 * sec})
	w.now = 30*sec - 100*ms // nobody has asked for anything since 20 s
	w.submit("a", shared, own)
	w.step()
	w.wantLost(map[string]int64{"shared": sec / 2, "a": 19 * sec})
	w.run()
	w.wantLost(map[string]int64{"shared": sec / 2, "a": 19*sec + 100*ms})
	j := w.submit("a", shared, own)
	w.step()
	w.now += 3 * sec
	w.Remove(w.now, j)
	w.now += 3 * sec
	w.wantLost(map[string]int64{"shared": sec / 2, "a": 22*sec + 100*ms})
}

// A head that waits for a worker loses nothing to its limits, however many it has. When
// some workers are free, as many heads lose time as could start, and of the others no more
// than the share of the workers that is free.
func TestLossesNeedAFreeWorker(t *testing.T) {
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
		// From 1s on both that wait lose time, from 3s on the last one.
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
		if got := time.Duration(w.lostTo()["x"]); got != c.want {
			t.Errorf("%s: lost %v, want %v", c.name, got, c.want)
		}
	}
}

// A decision ahead of time changes nothing about what is lost.
func TestLossesWithAHorizon(t *testing.T) {
	for _, horizon := range []int64{0, ms, 7 * ms} {
		w := newWorld(t, Config{Workers: many, Horizon: horizon})
		for range 100 {
			w.submit("a", limitOn("x", rate(1000, time.Second, 1)))
		}
		w.run()
		if got := w.lostTo()["x"]; got != 99*ms {
			t.Errorf("horizon %v: lost %v, want 99ms", time.Duration(horizon), time.Duration(got))
		}
	}
}

// No limit costs anything while what its heads wait for is not the limit: a hold of it or
// of their key, a pause, a date, the backend.
func TestLossesWhileOthersKeep(t *testing.T) {
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
		if got := w.lostTo()["x"]; got != c.want {
			t.Errorf("behind %s and a limit that opens at 10s, %v are lost to it, want %v", c.name, time.Duration(got), time.Duration(c.want))
		}
	}
	w := newWorld(t, Config{Workers: many})
	w.submit("first", x...)
	w.step()
	w.SubmitDated(0, newJob(1), "a", 0, x, Dates{NotBefore: 4 * sec})
	w.run()
	w.wantLost(map[string]int64{"x": 6 * sec})
}

// A limit that a claim keeps for another is what its heads wait for.
func TestLossesToAClaim(t *testing.T) {
	p := rate(1, time.Second, 4)
	w := newWorld(t, Config{Workers: many})
	w.submit("first", costly("x", p, 4))
	w.submit("costly", costly("x", p, 4))
	w.step()
	for i := range 100 {
		w.submit(laneKey(i), costly("x", p, 1))
	}
	w.after = func() {
		keys, _ := w.survey(w.now)
		for _, k := range keys {
			if n := k.waiting() - k.Waiting[StandingLimited]; n > 0 {
				t.Fatalf("at %v %d jobs of %q don't stand as limited, and workers are free", time.Duration(w.now), n, k.Key)
			}
		}
	}
	w.run()
	waited := int64(0)
	for _, s := range w.starts {
		waited += s.slot
	}
	w.wantLost(map[string]int64{"x": waited})
}

// While the backend is asked about a head it loses nothing. What comes of the answer begins
// with it, and others lose time all the while.
func TestLossesBeginWithTheAnswer(t *testing.T) {
	for _, c := range []struct {
		name string
		tell func(w *world, j *Job)
		x, y int64 // lost at 10 s
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
		w.wantLost(want)
	}
}

// A refused head waits on.
func TestLossesAfterRefusal(t *testing.T) {
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
	w.wantLost(map[string]int64{"x": 3 * sec})
}

// What limits have cost is remembered when they are out of use, of those that cost most,
// and goes on when they come into use again. The sum of what many heads lose is not more
// than can be told.
func TestLossesAreBounded(t *testing.T) {
	const limits = 2 * mostLosses
	w := newWorld(t, Config{Workers: many})
	for i := range 2 * limits {
		key := laneKey(i / 2)
		w.submit(key, limitOn(key, rate(1, time.Second+time.Duration(i/2)*time.Millisecond, 1)))
	}
	w.run()
	if got := len(w.lostTo()); got != limits {
		t.Errorf("%d limits have cost something, want %d", got, limits)
	}
	w.runUntil(time.Hour.Nanoseconds())
	lost := w.lostTo()
	if len(lost) != mostLosses {
		t.Errorf("an hour later it is known what %d limits have cost, want %d", len(lost), mostLosses)
	}
	last := laneKey(limits - 1)
	if want := sec + (limits-1)*ms; lost[last] != want {
		t.Errorf("the costliest limit has cost %v, want %v", lost[last], want)
	}
	w.submit(last, limitOn(last, rate(1, time.Second, 1)))
	w.submit(last, limitOn(last, rate(1, time.Second, 1)))
	w.run()
	if got, want := w.lostTo()[last], 2*sec+(limits-1)*ms; got != want {
		t.Errorf("the costliest limit has cost %v when it was used again, want %v", got, want)
	}

	w = newWorld(t, Config{Workers: many})
	for i := range 1000 {
		w.submit(laneKey(i), limitOn("x", rate(1, 100*365*24*time.Hour, 1)))
	}
	w.runUntil(50 * 365 * 24 * time.Hour.Nanoseconds())
	w.wantLost(map[string]int64{"x": math.MaxInt64})
}

// scaled returns the workload with all times so many times as long.
func (w workload) scaled(by int64) workload {
	w.cfg.Horizon *= by
	w.events = slices.Clone(w.events)
	for i := range w.events {
		e := &w.events[i]
		e.at, e.until = e.at*by, e.until*by
		e.params.Period *= time.Duration(by)
	}
	w.work = slices.Clone(w.work)
	for i := range w.work {
		j := &w.work[i]
		j.takes, j.again, j.later = j.takes*by, j.again*by, j.later*by
		j.dates.NotBefore, j.dates.Deadline = j.dates.NotBefore*by, j.dates.Deadline*by
		j.limits = slices.Clone(j.limits)
		for k := range j.limits {
			j.limits[k].Params.Period *= time.Duration(by)
		}
	}
	return w
}

// withoutHolds returns the workload without holds.
func (w workload) withoutHolds() workload {
	w.events = slices.DeleteFunc(slices.Clone(w.events), func(e event) bool { return e.do == holdsKey })
	w.work = slices.Clone(w.work)
	for i := range w.work {
		w.work[i].again = 0
	}
	return w
}

// without returns the workload with no job under these limits.
func (w workload) without(is func(key string) bool) workload {
	w.work = slices.Clone(w.work)
	for i := range w.work {
		w.work[i].limits = slices.DeleteFunc(slices.Clone(w.work[i].limits), func(l backend.Limit) bool { return is(l.Key) })
	}
	return w
}

func all(string) bool { return true }

// auditor adds up at every instant, by the world's own ledger, what heads wait for.
type auditor struct {
	*world
	at    int64    // what follows is of then
	heads []headed // that wait
	idle  int

	total float64 // lost in all
	least map[string]float64
	most  map[string]float64
}

// headed is a head that waits, with when each of its limits is out of debt, and until when
// it is held.
type headed struct {
	opens map[string]int64
	held  int64
}

// audit is called when nothing more can start now.
func (a *auditor) audit() {
	for t := a.at; t < a.now; t += tickOfAudit {
		a.add(t)
	}
	a.at, a.idle, a.heads = a.now, a.Idle(), nil
	for _, n := range a.names.All() {
		for l := range n.lanes() {
			if l.length == 0 || a.cfg.Serial && a.busyKey(n.key) || a.behind(l) || a.yields(l) {
				continue
			}
			h := headed{map[string]int64{}, a.closed[n.key]}
			for _, lim := range a.Request(l.head, nil) {
				h.opens[lim.Key] = a.ledger[lim.Key].Slot(math.MinInt64, lim.Params, lim.Units())
				h.held = max(h.held, a.closed[lim.Key])
			}
			a.heads = append(a.heads, h)
		}
	}
}

// tickOfAudit is from one instant to the next.
const tickOfAudit = ms

// add adds up what is lost from an instant to the next.
func (a *auditor) add(t int64) {
	var limited []headed
	for _, h := range a.heads {
		maps.DeleteFunc(h.opens, func(_ string, opens int64) bool { return opens <= t })
		if len(h.opens) > 0 {
			limited = append(limited, h)
		}
	}
	if a.idle <= 0 || len(limited) == 0 {
		return
	}
	each := float64(tickOfAudit) * min(1, float64(a.idle)/float64(min(len(limited), a.cfg.Workers)))
	for _, h := range limited {
		a.total += each
		for key := range h.opens {
			a.most[key] += each
			if len(h.opens) == 1 && h.held <= t {
				a.least[key] += each
			}
		}
	}
}

// What limits have cost in random workloads is what heads have waited for them while
// workers were free, by a ledger of its own: in all exactly, and each no less than for what
// it alone kept, and no more than for what it was closed.
func TestLossesAddUp(t *testing.T) {
	checkSome(t, func(t *rapidT) {
		work := draw(t).scaled(tickOfAudit)
		if !work.steady() {
			t.Skip()
		}
		work.cfg.Horizon = 0
		holds := rapid.Bool().Draw(t, "holds")
		if holds {
			work.cfg.Workers = many // the heads that are held have no share in them
		} else {
			work = work.withoutHolds()
		}
		a := &auditor{world: newWorld(t, work.cfg), least: map[string]float64{}, most: map[string]float64{}}
		a.withoutClaims = true
		a.after = a.audit
		a.play(work)
		lost := a.lostTo()
		// Each time that a head waits is rounded by less than lostUnit, and it does so less
		// than a thousand times.
		const rounded = 1000 * lostUnit
		if got := sum(lost); !holds && math.Abs(float64(got)-a.total) >= rounded {
			t.Fatalf("lost %v in all, want %v\n%v", time.Duration(got), time.Duration(a.total), work)
		}
		for key := range a.most {
			if got := float64(lost[key]); got <= a.least[key]-rounded || got >= a.most[key]+rounded {
				t.Fatalf("lost %v to %q, want %v to %v\n%v", time.Duration(got), key,
					time.Duration(a.least[key]), time.Duration(a.most[key]), work)
			}
		}
	})
}

// playSlots plays a workload, and returns the slots by job and what each limit has cost.
func playSlots(t *rapidT, work workload) (slots map[int]int64, lost map[string]int64) {
	w := newWorld(t, work.cfg)
	w.play(work)
	slots = map[int]int64{}
	for _, s := range w.starts {
		slots[idOf(s.Job)] = s.slot
	}
	return slots, w.lostTo()
}

// With a worker for every job, and a key, what all limits have cost together is what the
// jobs gain without them, whatever the order and the claims; and if each job is under one
// limit at most, what each limit has cost is what they gain without that one.
func TestLossesAreWhatIsGained(t *testing.T) {
	checkSome(t, func(t *rapidT) {
		work := draw(t).scaled(ms).withoutHolds()
		if !work.steady() {
			t.Skip()
		}
		work.cfg.Workers, work.cfg.Horizon = many, 0
		single := rapid.Bool().Draw(t, "one limit a job")
		for i := range work.work {
			j := &work.work[i]
			j.key = laneKey(i)
			if single {
				j.limits = j.limits[:min(1, len(j.limits))]
			}
		}
		with, lost := playSlots(t, work)
		gained := func(less workload) int64 {
			slots, _ := playSlots(t, less)
			return sumOf(with) - sumOf(slots)
		}
		if got, want := sum(lost), gained(work.without(all)); got != want {
			t.Fatalf("lost %v in all, want %v, which is gained without limits\n%v", time.Duration(got), time.Duration(want), work)
		}
		if !single {
			return
		}
		for key, got := range lost {
			if want := gained(work.without(func(k string) bool { return k == key })); got != want {
				t.Fatalf("lost %v to %q, want %v, which is gained without it\n%v", time.Duration(got), key, time.Duration(want), work)
			}
		}
	})
}

func sumOf(slots map[int]int64) (n int64) {
	for _, slot := range slots {
		n += slot
	}
	return n
}

// Of jobs that all wait behind one limit, with few workers, what it has cost is what they
// gain without it: to within the time that a handler takes, for each job and twice for each
// worker. So a limit that is wider than the workers are has cost next to nothing.
func TestLossesWithFewWorkers(t *testing.T) {
	checkSome(t, func(t *rapidT) {
		jobs, takes := span(t, "jobs", 1, 60), int64(span(t, "takes", 0, 20))*ms
		cfg := Config{Workers: span(t, "workers", 1, 8), Order: Order(span(t, "order", 0, 2))}
		p := rate(1, time.Duration(span(t, "interval", 1, 20))*time.Millisecond, span(t, "burst", 1, 5))
		work := workload{cfg: cfg}
		for i := range jobs {
			work.work = append(work.work, workOf(laneKey(i), takes, limitOn("x", p)))
			work.events = append(work.events, event{job: i})
		}
		with, lost := playSlots(t, work)
		without, _ := playSlots(t, work.without(all))
		gained, bound := sumOf(with)-sumOf(without), int64(jobs+2*cfg.Workers)*(takes+lostUnit)
		if got := lost["x"]; got < gained-bound || got > gained+bound {
			t.Fatalf("lost %v, want %v, which is gained without the limit, within %v\n%v", time.Duration(got), time.Duration(gained), time.Duration(bound), work)
		}
	})
}

func workOf(key string, takes int64, limits ...backend.Limit) work {
	return work{key: key, takes: takes, limits: limits}
}

// A limit that has cost nothing gains nothing when it goes: jobs that all take the same
// time, and are under it or nothing, start at the same instants without it, if not in the
// same order.
func TestNothingLostNothingGained(t *testing.T) {
	free := 0
	checkSome(t, func(t *rapidT) {
		work := drawWith(t, false).withoutHolds()
		takes, p := int64(span(t, "takes", 1, 12)), rate(1, time.Duration(span(t, "interval", 1, 4)), span(t, "burst", 1, 9))
		work.cfg.Serial, work.cfg.Horizon = false, 0
		for i := range work.work {
			j := &work.work[i]
			j.takes = takes
			if len(j.limits) > 0 {
				j.limits = []backend.Limit{costly("x", p, min(j.limits[0].Cost, p.Burst))}
			}
		}
		work = work.scaled(ms)
		with, lost := playSlots(t, work)
		if lost["x"] > 0 {
			return
		}
		free++
		without, _ := playSlots(t, work.without(all))
		if got, want := slices.Sorted(maps.Values(without)), slices.Sorted(maps.Values(with)); !slices.Equal(got, want) {
			t.Fatalf("without a limit that has cost nothing, jobs start at %v, with it at %v\n%v", spans(got), spans(want), work)
		}
	})
	if free == 0 {
		t.Error("there was no limit that cost nothing")
	}
}
