package schedule

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"pgregory.net/rapid"
)

// snapshotted is a machine of which snapshots are taken all the while, a few jobs whenever nothing
// more can start.
type snapshotted struct {
	schedulerMachine
	t    *rapidT
	work workload

	taking  *SnapshotBuilder
	waits   map[int]bool
	since   map[int]bool // jobs that have waited since the snapshot was begun
	running map[*Job]bool
	done    int // snapshots
}

func (m *snapshotted) look(now int64) {
	if m.taking == nil {
		m.taking, m.since = m.BeginSnapshot(), maps.Clone(m.waits)
	}
	if !m.taking.Step(span(m.t, "jobs", 1, 4)) {
		return
	}
	var running []Run
	for j := range m.running {
		running = append(running, j.Run())
	}
	s, _, _ := m.taking.Finish(now, running).scheduler(nil)
	m.taking = nil
	m.done++
	var got, want []uint64
	for _, n := range s.keys.All() {
		for l := range n.lanes() {
			for j := l.head; j != nil; j = j.next {
				got = append(got, j.Number())
			}
			for d := range l.others() {
				got = append(got, d.job.Number())
			}
		}
	}
	for id := range m.since {
		want = append(want, m.jobs[id].Number())
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) || s.Waiting() != len(want) {
		m.t.Fatalf("at %d the snapshot has %d jobs, %v, want %v\n%v", now, s.Waiting(), got, want, m.work)
	}
}

func (m *snapshotted) submit(now int64, id int, w work) {
	m.schedulerMachine.submit(now, id, w)
	m.waits[id] = true
}

func (m *snapshotted) leaves(id int) {
	delete(m.waits, id)
	delete(m.since, id)
}

func (m *snapshotted) cancel(now int64, id int) {
	m.schedulerMachine.cancel(now, id)
	m.leaves(id)
}

func (m *snapshotted) finish(now int64, id int, again bool) {
	m.schedulerMachine.finish(now, id, again)
	delete(m.running, m.jobs[id])
	m.waits[id] = again
	if !again {
		m.leaves(id)
	}
}

func (m *snapshotted) later(now int64, id int, at int64, hold bool) {
	m.schedulerMachine.later(now, id, at, hold)
	delete(m.running, m.jobs[id])
	m.waits[id] = true
}

func (m *snapshotted) expired(now int64) []int { return m.over(m.schedulerMachine.expired(now)) }

func (m *snapshotted) ruledOut(now int64) []int { return m.over(m.schedulerMachine.ruledOut(now)) }

func (m *snapshotted) over(ids []int) []int {
	for _, id := range ids {
		m.leaves(id)
	}
	return ids
}

func (m *snapshotted) next(now int64) (id int, slot int64, ok bool) {
	if id, slot, ok = m.schedulerMachine.next(now); ok {
		m.leaves(id)
		m.running[m.jobs[id]] = true
	}
	return id, slot, ok
}

func (m *snapshotted) wake(now int64) (int64, bool) {
	m.look(now)
	return m.Wake()
}

// A snapshot that is taken bit by bit has the jobs that waited when it was begun and still do
// at its end, each once, whatever starts, ends, comes and is canceled meanwhile.
func TestSnapshotIsOfWhatStillWaits(t *testing.T) {
	done := 0
	checkSome(t, func(t *rapidT) {
		work := drawWith(t, true)
		if rapid.Bool().Draw(t, "priorities") {
			for i := range work.work {
				work.work[i].priority = i % (2 * fewLanes)
				work.work[i].key = laneKey(i % 2)
			}
		}
		m := &snapshotted{
			schedulerMachine: newSchedulerMachine(work.cfg), t: t, work: work,
			waits: map[int]bool{}, running: map[*Job]bool{},
		}
		run(t, work, m)
		done += m.done
	})
	if done == 0 {
		t.Error("no snapshot has been taken")
	}
}

// Jobs that are cut off or removed while a snapshot is taken are not in it, wherever in their
// lane it has come to.
func TestSnapshotOfALaneThatIsCut(t *testing.T) {
	const jobs = 30
	for at := range 2 * jobs {
		for name, c := range map[string]struct {
			do   func(s *Scheduler, all []*Job)
			left int
		}{
			"cut": {func(s *Scheduler, all []*Job) {
				for c := s.Cut(0, "a"); c.Remove(7, func(*Job) {}); {
				}
			}, 0},
			"cut and no more": {func(s *Scheduler, _ []*Job) { s.Cut(0, "a") }, 0},
			"removed": {func(s *Scheduler, all []*Job) {
				for _, j := range all[5:] {
					s.Remove(0, j)
				}
			}, 5},
		} {
			s := New(Config{Workers: 1})
			s.Pause()
			var all []*Job
			for i := range jobs {
				all = append(all, newJob(i))
				s.Submit(0, all[i], "a", 0, nil)
			}
			s.Submit(0, newJob(jobs), "b", 0, nil)
			g := s.BeginSnapshot()
			g.Step(at)
			c.do(s, all)
			s.Submit(0, newJob(jobs+1), "a", 0, nil) // comes too late for it
			for !g.Step(1) {
			}
			snap := g.Finish(0, nil)
			if r, _, _ := snap.scheduler(nil); r.Waiting() != c.left+1 {
				t.Errorf("%s after %d steps: the snapshot has %d jobs, want %d", name, at, r.Waiting(), c.left+1)
			}
		}
	}
}

// A step looks at no more jobs than it is told to, of one key or of many.
func TestSnapshotTakesSmallSteps(t *testing.T) {
	const jobs = 20_000
	for _, keys := range []int{1, 100, jobs} {
		s := New(Config{Workers: many})
		for i := range jobs {
			s.SubmitDated(0, newJob(i), laneKey(i%keys), 0, []backend.Limit{limitOn("x", rate(1, 10*time.Second, 1))}, Dates{NotBefore: int64(i%2) * time.Hour.Nanoseconds()})
		}
		g, steps := s.BeginSnapshot(), 0
		for before := 0; ; steps++ {
			done := g.Step(100)
			found := g.snap.asleep.n
			for _, li := range g.snap.lanes.all() {
				found += li.jobs.n + len(li.strays)
			}
			if found > before+100 {
				t.Fatalf("%d keys: a step of 100 has added %d jobs", keys, found-before)
			}
			if before = found; done {
				break
			}
		}
		if r, _, _ := g.Finish(0, nil).scheduler(nil); r.Waiting() != jobs || steps < jobs/100 {
			t.Errorf("%d keys: the snapshot has %d jobs after %d steps, want %d after %d at least", keys, r.Waiting(), steps, jobs, jobs/100)
		}
	}
}

// BenchmarkSnapshot is what a snapshot costs, and how long each step takes in which the loop of a
// dispatcher does nothing else.
func BenchmarkSnapshot(b *testing.B) {
	for _, jobs := range []int{10_000, 100_000, 1_000_000} {
		for _, keys := range []int{1, jobs} {
			b.Run(fmt.Sprintf("jobs=%d/keys=%d", jobs, keys), func(b *testing.B) {
				s := New(Config{Workers: many})
				for i := range jobs {
					s.Submit(0, newJob(i), laneKey(i%keys), 0, withOwn(i%keys, nil))
				}
				steps := 0
				for b.Loop() {
					g := s.BeginSnapshot()
					for steps++; !g.Step(256); steps++ {
					}
					g.Finish(0, nil)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(jobs), "ns/job")
				b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(steps), "us/step")
			})
		}
	}
}
