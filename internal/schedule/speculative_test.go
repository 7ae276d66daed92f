package schedule

import (
	"slices"
	"testing"
	"time"
)

// batch takes what there is, and then the speculative jobs.
func (w *world) batch() (jobs, speculative []*Job) {
	for {
		j, ask := w.Next(w.now)
		if j == nil {
			break
		}
		if ask {
			jobs = append(jobs, j)
		}
	}
	for j := w.Speculative(w.now); j != nil; j = w.Speculative(w.now) {
		speculative = append(speculative, j)
	}
	return jobs, speculative
}

func keysOf(jobs []*Job) (keys []string) {
	for _, j := range jobs {
		keys = append(keys, j.Key())
	}
	return keys
}

func (w *world) wantBatch(jobs, speculative []string) (taken []*Job) {
	w.tb.Helper()
	gotJobs, gotSpeculative := w.batch()
	if got := keysOf(gotJobs); !slices.Equal(got, jobs) {
		w.tb.Errorf("jobs taken: %q, want %q", got, jobs)
	}
	if got := keysOf(gotSpeculative); !slices.Equal(got, speculative) {
		w.tb.Errorf("speculative jobs taken: %q, want %q", got, speculative)
	}
	return append(gotJobs, gotSpeculative...)
}

// With a batch goes the next job behind each limit that it charges, if others
// charge that too. One that waits for nothing there, or for something else too,
// does not.
func TestSpeculative(t *testing.T) {
	x := limitOn("x", rate(10, time.Second, 1))
	slow := limitOn("slow", rate(1, time.Minute, 1))
	setUp := func(cfg Config) *world {
		w := newWorld(t, cfg)
		w.submit("blocked", slow)
		w.run()
		w.batch() // ends the one that run has begun
		w.submit("blocked", x, slow)
		for _, key := range []string{"a", "b", "c"} {
			w.submit(key, x, limitOn(key, perKey))
		}
		return w
	}
	t.Run("shared", func(t *testing.T) {
		setUp(Config{Workers: many, Shared: true}).wantBatch([]string{"a"}, []string{"b"})
	})
	t.Run("not shared", func(t *testing.T) {
		setUp(Config{Workers: many}).wantBatch([]string{"a"}, nil)
	})
	t.Run("no worker for it", func(t *testing.T) {
		setUp(Config{Workers: 1, Shared: true}).wantBatch([]string{"a"}, nil)
	})
	t.Run("workers for one of two", func(t *testing.T) {
		w := newWorld(t, Config{Workers: 3, Shared: true})
		y := limitOn("y", rate(10, time.Second, 1))
		for _, key := range []string{"a", "b"} {
			w.submit(key+"x", x)
			w.submit(key+"y", y)
		}
		w.wantBatch([]string{"ax", "ay"}, []string{"by"})
	})
	t.Run("closed by another limit since", func(t *testing.T) {
		w := setUp(Config{Workers: many, Shared: true})
		w.submit("other", limitOn("b", perKey))
		w.wantBatch([]string{"a", "other"}, nil)
	})
	t.Run("nobody behind", func(t *testing.T) {
		w := newWorld(t, Config{Workers: many, Shared: true})
		w.submit("a", x)
		w.wantBatch([]string{"a"}, nil)
	})
}

// A speculative job that is refused waits in its old place; one that is granted starts
// at its slot.
func TestSpeculativeAnswered(t *testing.T) {
	w := newWorld(t, Config{Workers: many, Shared: true})
	x := limitOn("x", rate(10, time.Second, 1))
	for _, key := range []string{"a", "b", "c"} {
		w.submit(key, x)
	}
	taken := w.wantBatch([]string{"a"}, []string{"b"})
	w.Granted(0, taken[0], 0)
	w.begin(taken[0], nil)
	w.Refused(0, taken[1], Refusal{Until: 100 * ms})
	w.run()
	w.wantOrder("a", "b", "c")
	w.wantSlots("b", 100*ms)
	w.wantSlots("c", 200*ms)
	w.batch() // ends the one that run has begun

	w.submit("a", x)
	w.submit("b", x)
	taken = w.wantBatch(nil, nil)
	if len(taken) > 0 {
		t.Fatal("a job was taken before the limit opened")
	}
	w.now = 300 * ms
	taken = w.wantBatch([]string{"a"}, []string{"b"})
	// The backend knows that others have left room: it grants the speculative one.
	w.Refused(w.now, taken[0], Refusal{Until: 450 * ms})
	w.Granted(w.now, taken[1], 400*ms)
	if got := taken[1].Slot; got != 400*ms {
		t.Errorf("the speculative job starts at %v, want 400ms", time.Duration(got))
	}
}

// The more jobs in a row are refused because of another limit, the more speculative
// ones go along, for one of them to use the slot.
func TestSpeculativeForWhatIsMissed(t *testing.T) {
	w := newWorld(t, Config{Workers: many, Shared: true})
	x := limitOn("x", rate(10, time.Second, 1))
	const keys = 20
	for i := range keys {
		key := string(rune('a' + i))
		w.submit(key, x, limitOn("of "+key, perKey))
	}
	left := keys
	for round, want := range []int{1, 3, 7} {
		jobs, speculative := w.batch()
		if len(jobs) != 1 || len(speculative) != want {
			t.Fatalf("batch %d: %d jobs, %d speculative ones, want 1 and %d", round, len(jobs), len(speculative), want)
		}
		for _, j := range append(jobs, speculative...) {
			w.Refused(w.now, j, Refusal{Binding: 1, Until: 3600 * sec})
			left--
		}
	}
	jobs, speculative := w.batch()
	w.Granted(w.now, jobs[0], 0)
	for _, j := range speculative {
		w.Refused(w.now, j, Refusal{Until: 100 * ms})
	}
	if w.lookUp("x").limit.missed != 0 {
		t.Errorf("%d refusals are counted after x had its slot used, want 0", w.lookUp("x").limit.missed)
	}
}

// While all is paused no speculative job is taken either.
func TestNoSpeculativeWhilePaused(t *testing.T) {
	x := limitOn("x", rate(10, time.Second, 1))
	w := newWorld(t, Config{Workers: many, Shared: true})
	for _, key := range []string{"a", "b", "c"} {
		w.submit(key, x)
	}
	for j, _ := w.Next(w.now); j != nil; j, _ = w.Next(w.now) {
	}
	w.Pause()
	if j := w.Speculative(w.now); j != nil {
		t.Errorf("%q is taken while all is paused", j.Key())
	}
}
