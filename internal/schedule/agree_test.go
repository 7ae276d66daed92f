package schedule

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
	"pgregory.net/rapid"
)

// workloads is how many random workloads the scheduler and the oracle agree on.
const workloads = 10_000

func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		_ = f.Value.Set(fmt.Sprint(workloads))
	}
	os.Exit(m.Run())
}

// workload is everything that happens to a scheduler, but for its decisions.
type workload struct {
	cfg    Config
	events []event // by time
	work   []work  // by job
}

type event struct {
	at    int64
	job   int    // submitted, or -1:
	key   string // deferred
	until int64
}

type work struct {
	key      string
	priority int
	limits   []backend.Limit
	takes    int64 // how long the handler runs
	again    int64 // if not 0, at its first end the key is deferred for so long, and it runs again
}

type start struct {
	job  int
	at   int64 // when it was decided
	slot int64
	end  int64
}

// draw makes a workload of small numbers, so that much happens at one instant.
func draw(t *rapid.T) workload {
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
	now := int64(0)
	for id := range span("jobs", 1, 40) {
		now += int64(max(0, span("gap", -6, 6)))
		j := work{
			key:      fmt.Sprint("k", span("key", 0, keys-1)),
			priority: max(0, span("priority", -4, 2)),
			takes:    int64(max(0, span("takes", -5, 20))),
			again:    int64(max(0, span("again", -30, 15))),
		}
		under := slices.Clone(rapid.SampledFrom(shapes).Draw(t, "under"))
		if span("own", 0, 2) > 0 {
			under = append(under, j.key)
		}
		for _, k := range under {
			p := rates[k]
			if changing && span("change", 0, 9) == 0 {
				burst := p.Burst
				p = params()
				p.Burst = max(p.Burst, burst) // so that the costs of others stay valid
				rates[k] = p
			}
			j.limits = append(j.limits, backend.Limit{Key: k, Params: p, Cost: span("cost", 0, max(1, p.Burst))})
		}
		w.work = append(w.work, j)
		w.events = append(w.events, event{at: now, job: id})
		if span("defer", 0, 19) == 0 {
			w.events = append(w.events, event{
				at: now, job: -1, until: now + int64(span("until", 0, 60)),
				key: rapid.SampledFrom(limitKeys).Draw(t, "deferred"),
			})
		}
	}
	return w
}

func (w workload) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%+v\n", w.cfg)
	for _, e := range w.events {
		if e.job < 0 {
			fmt.Fprintf(&b, "at %d defer %q until %d\n", e.at, e.key, e.until)
		} else {
			fmt.Fprintf(&b, "at %d submit %d: %+v\n", e.at, e.job, w.work[e.job])
		}
	}
	return b.String()
}

// machine is what is common to the scheduler and the oracle.
type machine interface {
	submit(now int64, id int, w work)
	deferKey(now int64, key string, until int64)
	finish(now int64, id int, again bool)
	next(now int64) (id int, slot int64, ok bool)
	wake(now int64) (int64, bool)
}

// run plays a workload to a machine, in virtual time.
func run(w workload, m machine) []start {
	type end struct {
		at int64
		id int
	}
	var starts []start
	var ends []end
	retried := map[int]bool{}
	events, now := w.events, int64(0)
	for {
		for len(events) > 0 && events[0].at <= now {
			if e := events[0]; e.job < 0 {
				m.deferKey(now, e.key, e.until)
			} else {
				m.submit(now, e.job, w.work[e.job])
			}
			events = events[1:]
		}
		for len(ends) > 0 && ends[0].at <= now {
			id := ends[0].id
			ends = ends[1:]
			again := w.work[id].again > 0 && !retried[id]
			if again {
				retried[id] = true
				m.deferKey(now, w.work[id].key, now+w.work[id].again)
			}
			m.finish(now, id, again)
		}
		for {
			id, slot, ok := m.next(now)
			if !ok {
				break
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
		if len(events) > 0 && (!ok || events[0].at < then) {
			then, ok = events[0].at, true
		}
		if len(ends) > 0 && (!ok || ends[0].at < then) {
			then, ok = ends[0].at, true
		}
		if !ok {
			return starts
		}
		now = max(now, then)
	}
}

type schedulerMachine struct {
	*Scheduler
	jobs map[int]*Job
}

func newSchedulerMachine(cfg Config) schedulerMachine {
	return schedulerMachine{New(cfg), map[int]*Job{}}
}

func (m schedulerMachine) submit(now int64, id int, w work) {
	m.jobs[id] = newJob(id)
	m.Submit(now, m.jobs[id], w.key, w.priority, w.limits)
}

func (m schedulerMachine) deferKey(now int64, key string, until int64) { m.Defer(now, key, until) }

func (m schedulerMachine) finish(now int64, id int, again bool) {
	m.Finished(now, m.jobs[id], again)
}

func (m schedulerMachine) next(now int64) (id int, slot int64, ok bool) {
	j, ask := m.Next(now)
	if j == nil {
		return 0, 0, false
	}
	if ask {
		m.Granted(now, j, j.Slot)
	}
	return idOf(j), j.Slot, true
}

func (m schedulerMachine) wake(int64) (int64, bool) { return m.Wake() }

type oracleMachine struct {
	*oracle
	running map[int]*oracleJob
}

func (m oracleMachine) submit(now int64, id int, w work) {
	m.oracle.submit(now, id, w.key, w.priority, w.limits)
}

func (m oracleMachine) finish(now int64, id int, again bool) {
	m.oracle.finished(now, m.running[id], again)
}

func (m oracleMachine) next(now int64) (id int, slot int64, ok bool) {
	j, slot := m.oracle.next(now)
	if j == nil {
		return 0, 0, false
	}
	m.running[j.id] = j
	return j.id, slot, true
}

// The scheduler and the brute-force oracle agree start by start.
func TestAgreesWithOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := draw(t)
		agree(t, w)
	})
}

func FuzzAgreesWithOracle(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) { agree(t, draw(t)) }))
}

func agree(t *rapid.T, w workload) {
	m := newSchedulerMachine(w.cfg)
	got := run(w, m)
	want := run(w, oracleMachine{newOracle(w.cfg), map[int]*oracleJob{}})
	for i := range min(len(got), len(want)) {
		if got[i].job != want[i].job || got[i].slot != want[i].slot {
			t.Fatalf("start %d: got %+v, want %+v\ngot  %v\nwant %v\n%v", i, got[i], want[i], got, want, w)
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d starts, want %d\ngot  %v\nwant %v\n%v", len(got), len(want), got, want, w)
	}
	if m.Waiting() != 0 || m.Idle() != w.cfg.Workers {
		t.Fatalf("at the end %d jobs wait and %d of %d workers are idle", m.Waiting(), m.Idle(), w.cfg.Workers)
	}
}
