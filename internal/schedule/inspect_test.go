package schedule

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
	"pgregory.net/rapid"
)

// inspectAll makes an inspection in one go.
func (s *Scheduler) inspectAll(now int64) (keys []KeyLoad, waited map[string]int64) {
	waited = map[string]int64{}
	v := s.Inspect(now, func(k *KeyLoad) { keys = append(keys, *k) },
		func(key string, _ gcra.FreqLimitParams, n int64) { waited[key] = n })
	for !v.Step(now, 1000) {
	}
	return keys, waited
}

func (k *KeyLoad) waiting() (n int) {
	for _, waiting := range k.Waiting {
		n += waiting
	}
	return n
}

// checkInspection panics unless an inspection finds all jobs that wait: for random histories.
func (s *Scheduler) checkInspection(now int64) {
	waiting := 0
	keys, _ := s.inspectAll(now)
	for _, k := range keys {
		waiting += k.waiting()
	}
	if waiting != s.Waiting() {
		panic(fmt.Sprintf("the inspection finds %d jobs, want %d", waiting, s.Waiting()))
	}
}

// inspected is a machine that is inspected all the while, a few lanes before each event.
type inspected struct {
	schedulerMachine
	t    *rapidT
	work workload
	is   map[string]counted // by key, by its own count

	inspection *Inspection
	want       map[string]counted // when the inspection began
	got        map[string]counted
	done       int // inspections
}

type counted struct{ waiting, running int }

func (m *inspected) count(id, waiting, running int) {
	key := m.work.work[id].key
	is := m.is[key]
	is.waiting += waiting
	is.running += running
	if m.is[key] = is; is == (counted{}) {
		delete(m.is, key)
	}
}

// look goes on with the inspection, or begins the next one.
func (m *inspected) look(now int64) {
	if m.inspection == nil {
		m.got, m.want = map[string]counted{}, maps.Clone(m.is)
		m.inspection = m.Inspect(now, func(k *KeyLoad) {
			if was, twice := m.got[k.Key]; twice {
				m.t.Fatalf("key %q is told of twice: %v and %v\n%v", k.Key, was, k, m.work)
			}
			m.got[k.Key] = counted{k.waiting(), k.Running}
		}, func(string, gcra.FreqLimitParams, int64) {})
	}
	if m.inspection.Step(now, span(m.t, "lanes", 1, 2)) {
		maps.DeleteFunc(m.got, func(_ string, is counted) bool { return is == counted{} })
		if !maps.Equal(m.got, m.want) {
			m.t.Fatalf("at %d the inspection is %v, want %v\n%v", now, m.got, m.want, m.work)
		}
		m.inspection = nil
		m.done++
	}
}

func (m *inspected) submit(now int64, id int, w work) {
	m.look(now)
	if w.dates == (Dates{}) {
		m.jobs[id] = newJob(id)
		m.jobs[id].Arrival = now - w.late
		m.Submit(now, m.jobs[id], w.key, w.priority, w.limits)
	} else {
		m.schedulerMachine.submit(now, id, w)
	}
	m.count(id, 1, 0)
}

func (m *inspected) meddle(now int64, e event) {
	m.look(now)
	m.schedulerMachine.meddle(now, e)
}

func (m *inspected) cancel(now int64, id int) {
	m.look(now)
	m.schedulerMachine.cancel(now, id)
	m.count(id, -1, 0)
}

func (m *inspected) finish(now int64, id int, again bool) {
	m.look(now)
	m.schedulerMachine.finish(now, id, again)
	m.count(id, 0, -1)
	if again {
		m.count(id, 1, 0)
	}
}

func (m *inspected) later(now int64, id int, at int64, hold bool) {
	m.look(now)
	m.schedulerMachine.later(now, id, at, hold)
	m.count(id, 1, -1)
}

func (m *inspected) expired(now int64) []int { return m.over(m.schedulerMachine.expired(now)) }

func (m *inspected) ruledOut(now int64) []int { return m.over(m.schedulerMachine.ruledOut(now)) }

func (m *inspected) over(ids []int) []int {
	for _, id := range ids {
		m.count(id, -1, 0)
	}
	return ids
}

func (m *inspected) next(now int64) (id int, slot int64, ok bool) {
	m.look(now)
	id, slot, ok = m.schedulerMachine.next(now)
	if ok {
		m.count(id, -1, 1)
	}
	return id, slot, ok
}

func (m *inspected) wake(now int64) (int64, bool) { return m.Wake() }

// An inspection counts the jobs of the instant at which it began, whatever happens until it is
// done.
func TestInspectionIsOfOneInstant(t *testing.T) {
	done := 0
	checkSome(t, func(t *rapidT) {
		work := drawLively(t)
		if rapid.Bool().Draw(t, "priorities") { // very many for a key
			for i := range work.work {
				work.work[i].priority = i % (2 * fewLanes)
				work.work[i].key = laneKey(i % 2)
			}
		}
		m := &inspected{schedulerMachine: newSchedulerMachine(work.cfg), t: t, work: work, is: map[string]counted{}}
		run(t, work, m)
		done += m.done
	})
	if done == 0 {
		t.Error("no inspection has been done")
	}
}

// The same while the backend is asked about a job, whatever it says.
func TestInspectionWhileTheBackendIsAsked(t *testing.T) {
	for name, tell := range map[string]func(w *world, j *Job){
		"granted":  func(w *world, j *Job) { w.Granted(0, j, 0) },
		"refused":  func(w *world, j *Job) { w.Refused(0, j, Refusal{Until: sec}) },
		"rejected": func(w *world, j *Job) { w.Rejected(0, j) },
		"failed":   func(w *world, j *Job) { w.Failed(0, j, sec) },
	} {
		w := newWorld(t, Config{Workers: many})
		w.submit("a", limitOn("x", rate(1, time.Second, 1)))
		j, _ := w.Next(0)
		var got []KeyLoad
		v := w.Inspect(0, func(k *KeyLoad) { got = append(got, *k) }, func(string, gcra.FreqLimitParams, int64) {})
		tell(w, j)
		for !v.Step(0, 1) {
		}
		if len(got) != 1 || got[0].waiting() != 1 || got[0].Running != 0 {
			t.Errorf("an inspection that began before a job was %s finds %v, want one job that waits", name, got)
		}
	}
}

// A step looks at no more lanes than it is told to, except for those of a key that has few and
// those that change.
func TestInspectionTakesSmallSteps(t *testing.T) {
	const lanes = 10_000
	s := New(Config{Workers: many})
	for i := range lanes {
		s.Submit(0, newJob(i), laneKey(i/4), i%4, nil)
		s.Submit(0, newJob(i), "many", i, nil)
	}
	told := 0
	v := s.Inspect(0, func(k *KeyLoad) {
		if told++; k.Key == "many" && k.waiting() != lanes {
			t.Errorf("%d jobs wait for the key with many priorities, want %d", k.waiting(), lanes)
		}
	}, func(string, gcra.FreqLimitParams, int64) {})
	steps := 1
	for ; !v.Step(0, 100); steps++ {
		if told > 100*steps {
			t.Fatalf("after %d steps of 100 %d keys have been told of", steps, told)
		}
	}
	if least := 2 * lanes / 100; steps < least || told != lanes/4+1 {
		t.Errorf("the inspection takes %d steps and tells of %d keys, want at least %d and %d", steps, told, least, lanes/4+1)
	}
}

// Each lane stands where its first job does.
func TestInspect(t *testing.T) {
	w := newWorld(t, Config{Workers: 9, Serial: true})
	w.takes = func(*Job) int64 { return 1000 }
	slow := limitOn("slow", rate(1, 100, 1))
	w.submit("limited", slow)
	w.submitAt(1, "behind")
	w.submit("behind")
	w.submit("behind")
	w.submit("held")
	w.submit("under", limitOn("closed", rate(1, 100, 1)))
	w.submit("paused")
	w.submit("paused")
	w.PauseKey(w.now, "paused")
	w.delay("held", 500)
	w.delay("closed", 500)
	w.SubmitDated(0, newJob(0), "dated", 0, nil, Dates{NotBefore: 500})
	w.step()
	w.submit("other", slow)
	w.submit("other", slow)
	w.submitAt(-1, "other", slow) // waits behind them
	w.step()
	type load struct {
		waiting, running int
		is               WaitReason
	}
	inspect := func() map[string]load {
		got := map[string]load{}
		keys, _ := w.inspectAll(w.now)
		for _, k := range keys {
			for is, n := range k.Waiting {
				if n > 0 {
					got[k.Key] = load{n, k.Running, WaitReason(is)}
				}
			}
		}
		return got
	}
	want := map[string]load{
		"behind": {2, 1, ReasonBehind}, // the one that runs is of another priority
		"held":   {1, 0, ReasonHeld},
		"under":  {1, 0, ReasonHeld},
		"paused": {2, 0, ReasonPaused},
		"dated":  {1, 0, ReasonDated},
		"other":  {3, 0, ReasonLimited},
	}
	if got := inspect(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the inspection is %v, want %v", got, want)
	}
	w.SetWorkers(w.now, 2) // both are busy
	w.submit("ready", []backend.Limit{}...)
	want["ready"] = load{1, 0, ReasonReady}
	if got := inspect(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("with all workers busy the inspection is %v, want %v", got, want)
	}
	w.Pause()
	for key, l := range inspect() {
		if l.is != ReasonPaused && key != "dated" {
			t.Errorf("while all is paused %q stands as %d, want %d", key, l.is, ReasonPaused)
		}
	}
}
