package schedule

import (
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"pgregory.net/rapid"
)

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

	total float64 // waited in all
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
	for _, n := range a.keys.All() {
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

// add adds up what is waited from an instant to the next.
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
func TestWaitTimesAddUp(t *testing.T) {
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
		waited := a.waitTimesOf()
		// Each time that a head waits is rounded by less than waitUnit, and it does so less
		// than a thousand times.
		const rounded = 1000 * waitUnit
		if got := sum(waited); !holds && math.Abs(float64(got)-a.total) >= rounded {
			t.Fatalf("waited %v in all, want %v\n%v", time.Duration(got), time.Duration(a.total), work)
		}
		for key := range a.most {
			if got := float64(waited[key]); got <= a.least[key]-rounded || got >= a.most[key]+rounded {
				t.Fatalf("waited %v for %q, want %v to %v\n%v", time.Duration(got), key,
					time.Duration(a.least[key]), time.Duration(a.most[key]), work)
			}
		}
	})
}

// playSlots plays a workload, and returns the slots by job and what each limit has cost.
func playSlots(t *rapidT, work workload) (slots map[int]int64, waited map[string]int64) {
	w := newWorld(t, work.cfg)
	w.play(work)
	slots = map[int]int64{}
	for _, s := range w.starts {
		slots[idOf(s.Job)] = s.slot
	}
	return slots, w.waitTimesOf()
}

// With a worker for every job, and a key, what all limits have cost together is what the
// jobs gain without them, whatever the order and the claims; and if each job is under one
// limit at most, what each limit has cost is what they gain without that one.
func TestWaitTimesAreWhatIsGained(t *testing.T) {
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
		with, waited := playSlots(t, work)
		gained := func(less workload) int64 {
			slots, _ := playSlots(t, less)
			return sumOf(with) - sumOf(slots)
		}
		if got, want := sum(waited), gained(work.without(all)); got != want {
			t.Fatalf("waited %v in all, want %v, which is gained without limits\n%v", time.Duration(got), time.Duration(want), work)
		}
		if !single {
			return
		}
		for key, got := range waited {
			if want := gained(work.without(func(k string) bool { return k == key })); got != want {
				t.Fatalf("waited %v for %q, want %v, which is gained without it\n%v", time.Duration(got), key, time.Duration(want), work)
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
func TestWaitTimesWithFewWorkers(t *testing.T) {
	checkSome(t, func(t *rapidT) {
		jobs, takes := span(t, "jobs", 1, 60), int64(span(t, "takes", 0, 20))*ms
		cfg := Config{Workers: span(t, "workers", 1, 8), Order: Order(span(t, "order", 0, 2))}
		p := rate(1, time.Duration(span(t, "interval", 1, 20))*time.Millisecond, span(t, "burst", 1, 5))
		work := workload{cfg: cfg}
		for i := range jobs {
			work.work = append(work.work, workOf(laneKey(i), takes, limitOn("x", p)))
			work.events = append(work.events, event{job: i})
		}
		with, waited := playSlots(t, work)
		without, _ := playSlots(t, work.without(all))
		gained, bound := sumOf(with)-sumOf(without), int64(jobs+2*cfg.Workers)*(takes+waitUnit)
		if got := waited["x"]; got < gained-bound || got > gained+bound {
			t.Fatalf("waited %v, want %v, which is gained without the limit, within %v\n%v", time.Duration(got), time.Duration(gained), time.Duration(bound), work)
		}
	})
}

func workOf(key string, takes int64, limits ...backend.Limit) work {
	return work{key: key, takes: takes, limits: limits}
}

// A limit that has cost nothing gains nothing when it goes: jobs that all take the same
// time, and are under it or nothing, start at the same instants without it, if not in the
// same order.
func TestNothingWaitedNothingGained(t *testing.T) {
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
		with, waited := playSlots(t, work)
		if waited["x"] > 0 {
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
