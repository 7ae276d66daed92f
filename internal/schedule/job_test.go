package schedule

import "testing"

// SetState leaves a job's number and place alone, and Submit leaves the State alone.
func TestState(t *testing.T) {
	s := New(Config{Workers: 1})
	var first, second Job
	first.SetState(StateRunning)
	s.Submit(0, &first, "a", 0, nil)
	s.Submit(0, &second, "a", 0, nil)
	if first.State() != StateRunning || second.State() != StateNew {
		t.Errorf("states after Submit = %d, %d, want %d, %d", first.State(), second.State(), StateRunning, StateNew)
	}
	for state := StateNew; state <= StateRunning; state++ {
		first.SetState(state)
		if got := first.State(); got != state || first.Number() != 1 || second.Number() != 2 {
			t.Errorf("after SetState(%d): State %d, numbers %d, %d; want numbers 1, 2", state, got, first.Number(), second.Number())
		}
	}
	if j, _ := s.Next(0); j != &first {
		t.Errorf("Next = %p, want the job that was submitted first, %p", j, &first)
	}
}
