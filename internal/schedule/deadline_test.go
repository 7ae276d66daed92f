package schedule

import (
	"testing"

	"github.com/freqlimit/dispatcher/backend"
)

// Very many jobs that can't meet their deadlines make no call of Next long: Wake has it
// called again for the others.
func TestLapsesAreBounded(t *testing.T) {
	const jobs = 3*mostLapses + 10
	s := New(Config{Workers: 2})
	first := newJob(0)
	s.Submit(0, first, "k", 0, []backend.Limit{limitOn("x", rate(1, 1, 1))})
	for id := range jobs {
		s.SubmitDated(0, newJob(1+id), "k", 0, nil, Dates{Deadline: 50})
	}
	s.Submit(0, newJob(1+jobs), "k", 0, nil)
	s.Next(0)
	s.Granted(0, first, 100) // those behind it can't start before
	for left := jobs + 1; left > mostLapses; left -= mostLapses {
		if j, _ := s.Next(0); j != nil {
			t.Fatalf("job %d is taken with %d before it", idOf(j), left-1)
		}
		if got, want := s.Waiting(), left-mostLapses; got != want {
			t.Fatalf("%d jobs wait, want %d", got, want)
		}
		if at, ok := s.Wake(); !ok || at > 0 {
			t.Fatalf("Wake() = %d, %v, want 0 at the latest", at, ok)
		}
	}
	if j, _ := s.Next(0); j == nil || idOf(j) != 1+jobs {
		t.Errorf("Next() = %v, want the last job", j)
	}
	n := 0
	for s.Expired(0) != nil {
		n++
	}
	if at, ok := s.Wake(); n != jobs || ok {
		t.Errorf("%d jobs have expired, Wake() = %d, %v; want %d and none", n, at, ok, jobs)
	}
}
