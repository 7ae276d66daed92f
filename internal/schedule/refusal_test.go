package schedule

import (
	"slices"
	"testing"
	"time"
)

// script answers the jobs of one key by what it says, one after another, and
// then grants, as it does for all others.
func (w *world) script(key string, answers ...func(j *Job)) {
	w.answer = func(j *Job) {
		if j.Key() != key || len(answers) == 0 {
			w.grant(j)
			return
		}
		answers[0](j)
		answers = answers[1:]
	}
}

// refuseUntil is the answer that limit number binding opens then.
func (w *world) refuseUntil(binding int, until int64) func(*Job) {
	return func(j *Job) { w.Refused(w.now, j, Refusal{Binding: binding, Until: until}) }
}

// Trap 25: a head that the backend refuses blocks no other, and no slot of the
// limit that it shares with them is lost.
func TestTrap25RefusedHeadDoesNotBlockOthers(t *testing.T) {
	inEachOrder(t, func(t *testing.T, order Order) {
		w := newWorld(t, Config{Workers: many, Order: order})
		shared := limitOn("shared", rate(10, time.Second, 1))
		w.submit("a", shared, limitOn("a", perKey))
		for range 20 {
			w.submit("b", shared)
			w.submit("c", shared)
		}
		w.script("a", w.refuseUntil(1, 2*sec+50*ms))
		w.run()
		w.wantWindows()
		for i, s := range w.starts {
			if want := int64(i) * 100 * ms; s.slot != want {
				t.Errorf("start %d: %v, want %v", i, time.Duration(s.slot), time.Duration(want))
			}
		}
		w.wantIdle()
		if order == Backlog {
			return // its lane is the shortest: it starts when the others are as short
		}
		w.wantSlots("a", 2100*ms)
	})
}

// A refusal corrects the picture of the limit that it names, for all who are
// under it, and gives the charges of the others back.
func TestRefusedCorrectsThePicture(t *testing.T) {
	w := newWorld(t, Config{Workers: many})
	w.submit("a", limitOn("x", perKey), limitOn("y", perKey))
	w.submit("b", limitOn("x", perKey))
	w.submit("c", limitOn("y", perKey))
	w.script("a", w.refuseUntil(0, 5*sec))
	w.run()
	w.wantSlots("c", 0)
	w.wantSlots("a", 5*sec)
	w.wantSlots("b", 6*sec)
}

// With a burst to spare the picture is off by what the backend's other clients
// have taken; the refusal says when one event of this cost fits.
func TestRefusedByCost(t *testing.T) {
	p := rate(1, time.Second, 5)
	w := newWorld(t, Config{Workers: many})
	w.submit("a", costly("x", p, 3))
	w.submit("b", costly("x", p, 1))
	w.script("a", w.refuseUntil(0, 2*sec))
	w.step()
	// At 2 s three units fit, so the last is there at 2 s and the first at 0.
	w.wantSlots("b", 0)
	w.run()
	w.wantSlots("a", 3*sec)
	w.wantWindows()
}

// A refusal because a key is held is a hold: nothing of that key or
// under that limit starts before, and the debt of the limit stays what it was.
func TestRefusedByHold(t *testing.T) {
	w := newWorld(t, Config{Workers: many})
	w.submit("a", limitOn("x", rate(1, time.Second, 3)))
	for range 3 {
		w.submit("b", limitOn("x", rate(1, time.Second, 3)))
	}
	w.script("a", func(j *Job) {
		w.Refused(w.now, j, Refusal{Binding: 0, Until: 10 * sec, Held: true})
	})
	w.run()
	w.wantSlots("a", 10*sec)
	w.wantSlots("b", 10*sec, 10*sec, 11*sec)
	w.wantWindows()
}

// A refusal because the key of the job is held, which is no limit, holds the jobs of the
// key and no others, and leaves the limits as they were.
func TestRefusedByHoldOfTheKey(t *testing.T) {
	w := newWorld(t, Config{Workers: many})
	for _, key := range []string{"a", "a", "b"} {
		w.submit(key, limitOn("x", rate(1, time.Second, 1)))
	}
	w.submit("a")
	w.script("a", func(j *Job) {
		w.Refused(w.now, j, Refusal{Binding: -1, Until: 10 * sec, Held: true})
	})
	w.run()
	w.wantSlots("b", 0)
	w.wantSlots("a", 10*sec, 11*sec, 11*sec)
	w.wantWindows()
}

// A job that was refused has its old rank: it starts before those that became
// ready, or were submitted, after it.
func TestRefusedKeepsItsRank(t *testing.T) {
	for _, order := range []Order{Fair, FIFO} {
		t.Run(order.String(), func(t *testing.T) {
			w := newWorld(t, Config{Workers: many, Order: order})
			first := limitOn("x", perKey)
			for _, key := range []string{"a", "b", "c"} {
				w.submit(key, first)
				w.submit(key, first)
			}
			w.script("a", w.refuseUntil(0, 3*sec))
			w.run()
			if order == Fair {
				w.wantOrder("a", "b", "c", "a", "b", "c")
			} else {
				w.wantOrder("a", "a", "b", "b", "c", "c")
			}
		})
	}
}

// A job that was refused is still the first of its lane, and its worker is free
// for others.
func TestRefusedGivesItsWorkerBack(t *testing.T) {
	w := newWorld(t, Config{Workers: 1})
	first := w.submit("a", limitOn("x", perKey))
	second := w.submit("a")
	w.submit("b")
	w.script("a", w.refuseUntil(0, 5*sec))
	w.step()
	w.wantSlots("b", 0)
	w.run()
	if first.Slot != 5*sec || second.Slot != 5*sec || w.starts[1].Job != first {
		t.Errorf("the jobs of a start at %v, the first of them at %v, want both at 5s and in order",
			spans(w.of("a")), time.Duration(first.Slot))
	}
	w.wantIdle()
}

// While the backend is away jobs with limits wait, and those without go on.
func TestFailedPausesLimitedJobsOnly(t *testing.T) {
	for _, horizon := range []int64{0, 5 * ms} {
		w := newWorld(t, Config{Workers: 2, Horizon: horizon})
		w.submit("a", limitOn("x", perKey))
		w.submit("b", limitOn("y", perKey))
		asked := 0
		w.answer = func(j *Job) {
			if asked++; asked > 1 {
				w.grant(j)
				return
			}
			w.Failed(w.now, j, 3*sec)
		}
		w.step()
		if asked != 1 {
			t.Errorf("the backend is asked %d times, want no second time while it is away", asked)
		}
		w.submit("free")
		w.submit("c", limitOn("z", perKey))
		w.runUntil(sec)
		w.submit("free")
		w.submit("a") // behind a job that waits
		w.run()
		w.wantSlots("free", 0, sec)
		w.wantSlots("a", 3*sec, 3*sec)
		w.wantSlots("b", 3*sec)
		w.wantSlots("c", 3*sec)
		w.wantIdle()
	}
}

// A job without limits whose key is held starts when that is over, backend
// or no backend.
func TestFailedDoesNotPauseHeldFreeJobs(t *testing.T) {
	for _, horizon := range []int64{0, 5 * ms} {
		w := newWorld(t, Config{Workers: 2, Horizon: horizon})
		w.submit("a", limitOn("x", perKey))
		w.script("a", func(j *Job) { w.Failed(w.now, j, 3*sec) })
		w.step()
		w.delay("free", sec)
		w.submit("free")
		w.run()
		w.wantSlots("free", sec)
		w.wantSlots("a", 3*sec)
	}
}

// When the backend is back nothing else is forgotten, the global bucket least.
func TestFailedForgetsNoDebt(t *testing.T) {
	w := newWorld(t, Config{Workers: many})
	w.submit("a", limitOn("", rate(1, time.Minute, 1)))
	w.submit("b", limitOn("x", perKey))
	w.submit("b", limitOn("x", perKey))
	w.script("b", func(j *Job) { w.Failed(w.now, j, 3*sec) })
	w.runUntil(5 * sec)
	w.submit("a", limitOn("", rate(1, time.Minute, 1)))
	w.run()
	w.wantSlots("b", 3*sec, 4*sec)
	w.wantSlots("a", 0, 60*sec)
}

// Failing again and again loses no job and no order, and takes no slot.
func TestFailedAgainAndAgain(t *testing.T) {
	w := newWorld(t, Config{Workers: 1, Horizon: 5 * ms})
	var jobs []*Job
	for range 4 {
		jobs = append(jobs, w.submit("a", limitOn("x", rate(10, time.Second, 2))))
	}
	tries := 0
	w.answer = func(j *Job) {
		if tries++; tries <= 10 {
			w.Failed(w.now, j, w.now+sec)
			return
		}
		w.grant(j)
	}
	w.run()
	if tries != 14 {
		t.Errorf("%d requests, want 14", tries)
	}
	back := w.starts[0].slot
	w.wantSlots("a", back, back, back+100*ms, back+200*ms)
	for i, s := range w.starts {
		if s.Job != jobs[i] {
			t.Errorf("start %d is not that of job %d", i, i)
		}
	}
	w.wantIdle()
}

// A job that can never be granted is gone. Its worker, what it charged and its
// lane are free for the next.
func TestRejectedIsGone(t *testing.T) {
	for _, serial := range []bool{false, true} {
		w := newWorld(t, Config{Workers: 1, Serial: serial})
		w.submit("a", limitOn("x", perKey))
		w.submit("a", limitOn("x", perKey))
		w.submitAt(-1, "a", limitOn("x", perKey))
		w.submit("b", limitOn("x", perKey))
		w.script("a", func(j *Job) { w.Rejected(w.now, j) })
		w.run()
		w.wantOrder("a", "b", "a")
		if want := []int64{0, sec, 2 * sec}; !slices.Equal(slots(w.starts), want) {
			t.Errorf("starts at %v, want %v", spans(slots(w.starts)), spans(want))
		}
		w.wantIdle()
	}
}

func slots(starts []started) []int64 {
	var at []int64
	for _, s := range starts {
		at = append(at, s.slot)
	}
	return at
}

// A backend may grant a later slot than was foreseen: the job starts then, and
// the limit is known to be taken until after.
func TestGrantedLater(t *testing.T) {
	w := newWorld(t, Config{Workers: many, Horizon: 50 * ms})
	w.submit("a", limitOn("x", perKey))
	w.submit("b", limitOn("x", perKey))
	w.script("a", func(j *Job) {
		limits := w.Request(j, nil)
		w.Granted(w.now, j, 30*ms)
		w.begin(j, limits)
	})
	w.run()
	w.wantSlots("a", 30*ms)
	w.wantSlots("b", sec+30*ms)
}

// A job that ends and is to run again goes before all others of its lane.
func TestFinishedAgainGoesFirst(t *testing.T) {
	for _, serial := range []bool{false, true} {
		w := newWorld(t, Config{Workers: many, Serial: serial})
		first := w.submit("a", limitOn("x", perKey))
		second := w.submit("a", limitOn("x", perKey))
		third := w.submit("a", limitOn("x", perKey))
		runs := map[*Job]int{}
		w.again = func(j *Job) bool { runs[j]++; return runs[j] < 3 && j == first }
		w.run()
		want := []*Job{first, first, first, second, third}
		for i, s := range w.starts {
			if s.Job != want[i] || s.slot != int64(i)*sec {
				t.Errorf("serial %v: start %d is at %v and of another job than wanted, or not at %d s",
					serial, i, time.Duration(s.slot), i)
			}
		}
		w.wantIdle()
	}
}

// A job may be to run again while the next of its lane is being asked for: then
// it comes right behind that, and before it again if that is refused.
func TestFinishedAgainBehindTheOneAsking(t *testing.T) {
	w := newWorld(t, Config{Workers: many})
	first := w.submit("a", limitOn("x", perKey))
	second := w.submit("a", limitOn("x", perKey))
	third := w.submit("a", limitOn("x", perKey))
	asks := func(now int64, want *Job) {
		t.Helper()
		if j, ask := w.Next(now); j != want || !ask {
			t.Fatalf("Next(%v) = %v, %v, want %v, to be asked for", time.Duration(now), j, ask, want)
		}
	}
	asks(0, first)
	w.Granted(0, first, 0)
	asks(sec, second)
	w.Finished(sec, first, true)
	w.Refused(sec, second, Refusal{Binding: 0, Until: 2 * sec})
	asks(2*sec, first)
	w.Granted(2*sec, first, 2*sec)
	asks(3*sec, second)
	w.Granted(3*sec, second, 3*sec)
	asks(4*sec, third)
	w.Granted(4*sec, third, 4*sec)
	for _, j := range []*Job{third, first, second} {
		w.Finished(5*sec, j, false)
	}
	w.wantIdle()
}

// The last of a lane comes back while the lane is empty, or has been refilled.
func TestFinishedAgainToAnEmptyLane(t *testing.T) {
	w := newWorld(t, Config{Workers: many})
	w.takes = func(*Job) int64 { return sec }
	first := w.submit("a")
	again := true
	w.again = func(j *Job) bool {
		defer func() { again = false }()
		return again
	}
	w.step()
	w.runUntil(sec / 2)
	w.run()
	w.wantSlots("a", 0, sec)
	if w.starts[1].Job != first {
		t.Error("the second start is of another job")
	}
	w.wantIdle()
}
