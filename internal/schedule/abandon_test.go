package schedule

import (
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// Abandon hands over every job that waits or asks exactly once, leaves the
// running ones, and nothing starts any more.
func TestAbandonHandsOverEveryJobOnce(t *testing.T) {
	for _, serial := range []bool{false, true} {
		w := newWorld(t, Config{Workers: 6, Serial: serial})
		var running, waiting []*Job
		w.takes = func(*Job) int64 { return 10 * sec }
		running = append(running, w.submit("free"), w.submit("x", limitOn("x", perKey)))
		w.step()
		waiting = append(waiting,
			w.submit("x", limitOn("x", perKey)),          // behind a closed limit
			w.submitAt(1, "x", limitOn("x", perKey)),     // another lane of its key
			w.submitAt(2, "x"),                           // parked if serial
			w.submit("a", limitOn("y", perKey)),          // to be asked for
			w.submit("a", limitOn("y", perKey)),          // behind it
			w.submit("b", costly("z", rate(1, 9, 9), 9)), // to be asked for
			w.submit("c", limitOn("x", perKey), limitOn("y", perKey)),
		)
		w.delay("d", sec)
		waiting = append(waiting, w.submit("d")) // held
		asking := 0
		for {
			j, ask := w.Next(w.now)
			if j == nil {
				break
			}
			if !ask { // the free job of x, unless serial
				running = append(running, j)
				continue
			}
			asking++
		}
		if asking != 2 {
			t.Fatalf("serial %v: %d jobs ask, want 2", serial, asking)
		}
		got := map[*Job]int{}
		w.Abandon(func(j *Job) { got[j]++ })
		for _, j := range running {
			if got[j] != 0 {
				t.Errorf("serial %v: a running job of %q is handed over", serial, j.Key())
			}
			got[j] = 1
		}
		for _, j := range waiting {
			if got[j] != 1 {
				t.Errorf("serial %v: a job of %q, priority %d, is handed over %d times, want once",
					serial, j.Key(), j.Priority(), got[j])
			}
		}
		if len(got) != len(waiting)+2 {
			t.Errorf("serial %v: %d jobs are handed over or run, want %d", serial, len(got), len(waiting)+2)
		}
		if j, _ := w.Next(w.now); j != nil {
			t.Errorf("serial %v: a job of %q starts afterwards", serial, j.Key())
		}
		for _, j := range running {
			w.Finished(w.now, j, false)
		}
		w.running = nil // they are over
		w.wantIdle()
		w.runUntil(w.now + time.Hour.Nanoseconds())
		w.wantNothingKept()
	}
}

// Abandon in the middle of random workloads: each job has started or is handed
// over, unless it cost too much in the end.
func TestAbandonInRandomWorkloads(t *testing.T) {
	checkSome(t, func(t *rapidT) {
		work := draw(t)
		w := newWorld(t, work.cfg)
		w.takes = func(j *Job) int64 { return work.work[idOf(j)].takes }
		end := int64(span(t, "end", 0, 100))
		jobs := 0
		for _, e := range work.events {
			if e.do == holdsKey || e.at > end {
				continue
			}
			w.runUntil(e.at)
			setID(w.submitAt(work.work[e.job].priority, work.work[e.job].key, work.work[e.job].limits...), e.job)
			jobs++
		}
		w.runUntil(end)
		ended := len(w.starts) + len(w.failed)
		w.Abandon(func(*Job) { ended++ })
		if ended != jobs || w.Waiting() != 0 {
			t.Fatalf("%d jobs have started or are handed over and %d wait, want all %d and none\n%v",
				ended, w.Waiting(), jobs, work)
		}
		w.run()
		w.wantIdle()
		w.runUntil(w.now + 1000)
		w.wantNothingKept()
	})
}

// Jobs that have expired when all are abandoned are handed over too, once.
func TestAbandonExpired(t *testing.T) {
	s := New(Config{Workers: 2})
	first := newJob(0)
	s.Submit(0, first, "k", 0, []backend.Limit{limitOn("x", rate(1, 1, 1))})
	for id := range 5 {
		s.SubmitDated(0, newJob(1+id), "k", 0, nil, Dates{Deadline: 50})
	}
	s.Next(0)
	s.Granted(0, first, 100)
	s.Next(0)
	if !s.HasExpired() || s.Expired(0) == nil {
		t.Fatal("no job has expired")
	}
	n := 0
	s.Abandon(func(*Job) { n++ })
	if n != 4 || s.HasExpired() || s.Expired(0) != nil {
		t.Errorf("%d jobs are handed over, want 4, and none left", n)
	}
}
