package schedule

import (
	"slices"
	"testing"

	"github.com/freqlimit/dispatcher/backend"
)

// A head keeps its rank, and with it its claim, when a job comes back behind it: before
// another, or before one that has been removed, and however it comes back.
func TestComingBackBehindTheHead(t *testing.T) {
	ways := map[string]func(s *Scheduler, j *Job){
		"at a date": func(s *Scheduler, j *Job) { s.Later(1, j, 50, false) },
		"held":      func(s *Scheduler, j *Job) { s.Later(45, j, 50, true) },
		"at once":   func(s *Scheduler, j *Job) { s.Finished(45, j, true) },
	}
	for name, comeBack := range ways {
		for _, removed := range []bool{false, true} {
			s := New(Config{Workers: 2})
			head, back, last := newJob(0), newJob(1), newJob(2)
			s.Submit(0, head, "k", 0, []backend.Limit{limitOn("x", rate(1, 100, 1))})
			s.Submit(0, back, "k", 0, nil)
			s.Next(0)
			s.Granted(0, head, 0)
			s.Next(0)
			s.Later(1, head, 2, true)
			if name == "at a date" {
				comeBack(s, back)
			}
			s.Submit(1, last, "k", 0, nil)
			if removed {
				s.Remove(1, last)
			}
			s.Next(2) // the head waits for x
			l := s.lookUp("k").lane
			rank, overdue := l.rank, l.overdue()
			s.Hold(40, "x", 300) // a head that waits from now on is ready later
			if name != "at a date" {
				comeBack(s, back)
			}
			s.Next(50)
			if order := l.order(); l.head != head || len(order) < 2 || order[1] != back {
				t.Fatalf("%s, removed %v: the job has not come back behind the head", name, removed)
			}
			if l.rank != rank || l.overdue() != overdue {
				t.Errorf("%s, removed %v: the head has rank %v and is overdue from %d on, want %v and %d as before",
					name, removed, l.rank, l.overdue(), rank, overdue)
			}
		}
	}
}

// order is the jobs of a lane that are there, in their order.
func (l *lane) order() []*Job {
	var jobs []*Job
	for j := l.head; j != nil; j = j.next {
		if !j.gone() {
			jobs = append(jobs, j)
		}
	}
	for d := range l.others() {
		if d.strays {
			jobs = append(jobs, d.job)
		}
	}
	slices.SortFunc(jobs, func(a, b *Job) int {
		if a.before(b) {
			return -1
		}
		return 1
	})
	return jobs
}

// Very many jobs with one date come in bits, so that those that wait for nothing do not
// wait for them, and go by their order all the same.
func TestManyDatesAtOnce(t *testing.T) {
	const jobs = 10 * mostArrivals
	for _, horizon := range []int64{0, 5} {
		w := newWorld(t, Config{Workers: many, Horizon: horizon})
		slow := limitOn("slow", rate(1, 10, 1))
		for id := range jobs {
			w.SubmitDated(0, newJob(id), "k", 0, nil, Dates{NotBefore: 100})
			w.SubmitDated(0, newJob(jobs+id), laneKey(id), 0, []backend.Limit{slow}, Dates{NotBefore: 100})
		}
		w.run()
		var free, limited []int
		for i, s := range w.starts {
			if id := idOf(s.Job); id < jobs {
				free = append(free, id)
				if s.slot != 100 {
					t.Fatalf("horizon %d: job %d starts at %d, want 100", horizon, id, s.slot)
				}
			} else {
				limited = append(limited, id)
			}
			if i > 0 && s.slot < w.starts[i-1].slot {
				t.Fatalf("horizon %d: start %d is at %d, the one before at %d", horizon, i, s.slot, w.starts[i-1].slot)
			}
		}
		if len(free) != jobs || !slices.IsSorted(free) || len(limited) != jobs || !slices.IsSorted(limited) {
			t.Errorf("horizon %d: %d and %d jobs have started, want %d each in the order of their submission", horizon, len(free), len(limited), jobs)
		}
		if last := w.last(); last != 100+10*(jobs-1) {
			t.Errorf("horizon %d: the last job starts at %d, want %d", horizon, last, 100+10*(jobs-1))
		}
	}
}

// One call of Next lets so many jobs come and no more.
func TestArrivalsAreBounded(t *testing.T) {
	s := New(Config{Workers: 1})
	for id := range 3 * mostArrivals {
		s.SubmitDated(0, newJob(id), "k", 0, nil, Dates{NotBefore: 100})
	}
	for i := range 3 {
		s.Next(100)
		if got, want := s.dates.Len(), (2-i)*mostArrivals; got != want {
			t.Errorf("%d jobs have not come after call %d, want %d", got, i, want)
		}
		if at, ok := s.Wake(); i == 0 && ok {
			t.Errorf("Wake() = %d while no worker is free, want none", at)
		}
	}
}
