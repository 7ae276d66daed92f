package schedule

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
	"pgregory.net/rapid"
)

// workload is everything that happens to a scheduler, except its decisions.
type workload struct {
	cfg    Config
	events []event // by time
	work   []work  // by job
}

type event struct {
	at     int64
	do     deed
	job    int
	key    string
	until  int64
	params gcra.FreqLimitParams
	n      int
}

type deed int

const (
	submits deed = iota
	holdsKey
	cancels
	pauses
	resumes
	pausesKey
	resumesKey
	setsParams
	setsWorkers
)

type work struct {
	key      string
	priority int
	limits   []backend.Limit
	takes    int64 // how long the handler runs
	again    int64 // if not 0, at its first end the key is held for so long, and it runs again
	later    int64 // if not 0, at its first end it waits for so long, and runs again
	hold     bool  // then: its lane waits with it
	dates    Dates
	late     int64 // how long ago it was submitted when the machine is told
}

type start struct {
	job  int
	at   int64 // when it was decided
	slot int64
	end  int64
}

// draw makes a workload of jobs and holds.
func draw(t *rapid.T) workload { return drawWith(t, false) }

// drawLively makes a workload in which all happens that can happen to a job.
func drawLively(t *rapid.T) workload { return drawWith(t, rapid.Bool().Draw(t, "lively")) }

// drawWith makes a workload of small numbers, so that much happens at one instant.
func drawWith(t *rapid.T, lively bool) workload {
	span := func(label string, from, to int) int { return rapid.IntRange(from, to).Draw(t, label) }
	w := workload{cfg: Config{
		Workers: span("workers", 1, 5),
		Order:   Order(span("order", 0, 2)),
		Serial:  rapid.Bool().Draw(t, "serial"),
		Horizon: int64(rapid.SampledFrom([]int{0, 0, 1, 3, 7}).Draw(t, "horizon")),
	}}
	keys := span("keys", 1, 7)
	limitKeys := []string{"", "x", "y", "z"}
	for i := range keys {
		limitKeys = append(limitKeys, fmt.Sprint("k", i))
	}
	params := func() gcra.FreqLimitParams {
		return gcra.FreqLimitParams{Limit: 1, Period: time.Duration(span("interval", 1, 12)), Burst: span("burst", 0, 4)}
	}
	rates := map[string]gcra.FreqLimitParams{}
	for _, k := range limitKeys {
		rates[k] = params()
	}
	shapes := make([][]string, span("shapes", 1, 4)) // what jobs are under, beside their key
	for i := range shapes {
		shapes[i] = rapid.SliceOfNDistinct(rapid.SampledFrom(limitKeys[:4]), 0, 3, rapid.ID[string]).Draw(t, "shape")
	}
	changing := span("changing", 0, 9) == 0 // params change on the way
	priorities := rapid.SampledFrom([]int{2, 2, 20, 40}).Draw(t, "priorities")
	now := int64(0)
	for id := range span("jobs", 1, 40) {
		now += int64(max(0, span("gap", -6, 6)))
		j := work{
			key:      fmt.Sprint("k", span("key", 0, keys-1)),
			priority: max(0, span("priority", -4, priorities)),
			takes:    int64(max(0, span("takes", -5, 20))),
			again:    int64(max(0, span("again", -30, 15))),
		}
		if lively {
			j.later = int64(max(0, span("later", -20, 15)))
			j.hold = rapid.Bool().Draw(t, "hold")
			j.late = int64(max(0, span("late", -20, 9)))
			if wait := int64(span("not before", -20, 15)); wait > 0 {
				j.dates.NotBefore = max(1, now-j.late+wait)
			}
			if left := int64(span("deadline", -20, 30)); left > 0 {
				j.dates.Deadline = now + left
			}
		}
		under := slices.Clone(rapid.SampledFrom(shapes).Draw(t, "under"))
		if span("own", 0, 2) > 0 {
			under = append(under, j.key)
		}
		for _, k := range under {
			p := rates[k]
			if changing && span("change", 0, 9) == 0 {
				p = params()
				rates[k] = p
			}
			j.limits = append(j.limits, backend.Limit{Key: k, Params: p, Cost: span("cost", 0, max(1, p.Burst))})
		}
		w.work = append(w.work, j)
		w.events = append(w.events, event{at: now, job: id})
		if lively && span("meddle", 0, 3) == 0 {
			e := event{at: now, do: deed(span("deed", int(cancels), int(setsWorkers)))}
			e.job = span("cancelled", 0, id)
			e.key = fmt.Sprint("k", span("key", 0, keys-1))
			e.n = span("workers", 1, 5)
			if e.do == setsParams {
				e.key = rapid.SampledFrom(limitKeys).Draw(t, "changed")
				e.params = params()
				rates[e.key] = e.params
			}
			w.events = append(w.events, e)
		}
		if span("hold", 0, 19) == 0 {
			w.events = append(w.events, event{
				at: now, do: holdsKey, until: now + int64(span("until", 0, 60)),
				key: rapid.SampledFrom(limitKeys).Draw(t, "held"),
			})
		}
	}
	if !lively {
		return w
	}
	w.events = append(w.events, event{at: now + 9, do: resumes})
	for i := range keys {
		w.events = append(w.events, event{at: now + 9, do: resumesKey, key: fmt.Sprint("k", i)})
	}
	return w
}

func (w workload) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%+v\n", w.cfg)
	for _, e := range w.events {
		if e.do == submits {
			fmt.Fprintf(&b, "at %d submit %d: %+v\n", e.at, e.job, w.work[e.job])
		} else {
			fmt.Fprintf(&b, "%+v\n", e)
		}
	}
	return b.String()
}

// ticks reports whether a machine is to be asked at every instant. When a date is a
// horizon away and the job can't be taken yet, it may be taken whenever somebody asks:
// machines that ask at other instants need not agree.
func (w workload) ticks() bool {
	return w.cfg.Horizon > 0 && slices.ContainsFunc(w.work, func(j work) bool { return j.later > 0 || j.dates.NotBefore > 0 })
}

// history is what became of the jobs.
type history struct {
	starts []start
	ended  map[int]string // how, by job
}

// run plays a workload to a machine, in virtual time.
func run(t failer, w workload, m machine) history {
	type end struct {
		at int64
		id int
	}
	var starts []start
	var ends []end
	retried := map[int]bool{}
	ended, waits := map[int]string{}, map[int]bool{}
	over := func(id int, how string) {
		if was, twice := ended[id]; twice {
			t.Fatalf("job %d ends as %s, and has as %s\n%v", id, how, was, w)
		}
		ended[id] = how
		delete(waits, id)
	}
	ruleOut := func(now int64) {
		for _, id := range m.ruledOut(now) {
			over(id, fmt.Sprint("ruled out at ", now))
		}
	}
	expire := func(now int64) {
		for _, id := range m.expired(now) {
			over(id, fmt.Sprint("expired at ", now))
		}
	}
	events, now := w.events, int64(0)
	for {
		for len(events) > 0 && events[0].at <= now {
			switch e := events[0]; {
			case e.do == submits:
				m.submit(now, e.job, w.work[e.job])
				waits[e.job] = true
			case e.do != cancels:
				m.meddle(now, e)
			case waits[e.job]:
				m.cancel(now, e.job)
				over(e.job, "cancelled")
			}
			events = events[1:]
			ruleOut(now)
		}
		for len(ends) > 0 && ends[0].at <= now {
			id := ends[0].id
			ends = ends[1:]
			work := w.work[id]
			again, later := work.again > 0 && !retried[id], work.later > 0 && !retried[id]
			waits[id] = again || later
			retried[id] = true
			switch {
			case again:
				m.meddle(now, event{do: holdsKey, key: work.key, until: now + work.again})
				m.finish(now, id, true)
			case later:
				m.later(now, id, now+work.later, work.hold)
			default:
				m.finish(now, id, false)
				over(id, "done")
			}
			ruleOut(now)
		}
		expire(now)
		for {
			id, slot, ok := m.next(now)
			expire(now)
			if !ok {
				break
			}
			waits[id] = false
			if dead := w.work[id].dates.Deadline; dead != 0 && slot > dead {
				t.Fatalf("job %d starts at %d, want no later than its deadline\n%v", id, slot, w)
			}
			e := end{slot + w.work[id].takes, id}
			starts = append(starts, start{id, now, slot, e.at})
			i := slices.IndexFunc(ends, func(o end) bool { return o.at > e.at })
			if i < 0 {
				i = len(ends)
			}
			ends = slices.Insert(ends, i, e)
		}
		then, ok := m.wake(now)
		if ok && w.ticks() {
			then = now + 1
		}
		if len(events) > 0 && (!ok || events[0].at < then) {
			then, ok = events[0].at, true
		}
		if len(ends) > 0 && (!ok || ends[0].at < then) {
			then, ok = ends[0].at, true
		}
		if !ok {
			return history{starts, ended}
		}
		now = max(now, then)
	}
}
