package schedule

import (
	"fmt"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// A job that was taken for a slot ahead of now is refused because of one of its limits, or was not
// asked about. The others open when they did before: not at that slot.
func TestRefusedLeavesOtherLimitsAsTheyWere(t *testing.T) {
	for name, answer := range map[string]func(w *world) func(*Job){
		"refused":  func(w *world) func(*Job) { return w.refuseUntil(0, sec) },
		"rejected": func(w *world) func(*Job) { return func(j *Job) { w.Rejected(w.now, j) } },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, Config{Workers: many, Horizon: 5 * ms})
			opensAt4 := limitOn("x", rate(1, 4*time.Millisecond, 1))
			y := limitOn("y", rate(1, time.Second, 2))
			w.submit("first", opensAt4)
			w.script("a", answer(w))
			w.step()
			w.submit("a", opensAt4, y) // is taken for 4 ms
			w.step()
			w.submit("b", costly("y", y.Params, 2))
			w.step()
			w.wantSlots("b", 0)
		})
	}
}

// Of several jobs of a batch that were all refused, in whatever order, the last one leaves the
// limit as it was.
func TestUnchargeTheLatestFirst(t *testing.T) {
	w := newWorld(t, Config{Workers: many, Horizon: 5 * ms})
	y := rate(1, time.Second, 3)
	var asked []*Job
	w.answer = func(j *Job) { asked = append(asked, j) }
	for _, key := range []string{"a", "b", "c"} {
		w.submit(key, limitOn("x"+key, perKey), limitOn("y", y))
	}
	w.step()
	if len(asked) != 3 {
		t.Fatalf("%d jobs are taken at once, want 3", len(asked))
	}
	for i := range asked {
		w.Refused(w.now, asked[len(asked)-1-i], Refusal{Binding: 0, Until: sec})
	}
	w.answer = nil
	w.submit("d", costly("y", y, 3))
	w.step()
	w.wantSlots("d", 0)
}

// A batch takes jobs at slots that one of their limits puts off. When the backend has refused
// them, the other limit is thought to be as it was, and not to be in debt up to those slots.
func TestRefusedBatchLeavesNoDebt(t *testing.T) {
	s := newScheduler(Config{Workers: 100, Horizon: 40 * ms, Lead: 20 * ms, Shared: true})
	bot := limitOn("bot", rate(100, time.Second, 1))
	for i := range 50 {
		s.Submit(0, &Job{}, fmt.Sprint("chat", i), 0, []backend.Limit{bot, limitOn(fmt.Sprint("tenant", i%2), rate(25, time.Second, 1))})
	}
	for now := int64(0); now < 200*ms; now += 40 * ms {
		var batch []*Job
		for j, _ := s.Next(now); j != nil; j, _ = s.Next(now) {
			batch = append(batch, j)
		}
		for j := s.Speculative(now); j != nil; j = s.Speculative(now) {
			batch = append(batch, j)
		}
		if len(batch) == 0 {
			t.Fatalf("nothing is asked for at %v", time.Duration(now))
		}
		for _, j := range batch {
			s.Refused(now, j, Refusal{Binding: 1, Until: now + 30*ms})
		}
		if open := s.limitOf("bot").gate.slot(); open > now {
			t.Errorf("after a batch of %d that was refused at %v the limit opens %v later, want it open",
				len(batch), time.Duration(now), time.Duration(open-now))
		}
	}
}
