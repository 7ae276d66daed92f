package schedule

import (
	"fmt"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// wantNothingKept fails the test if the scheduler remembers any key.
func (w *world) wantNothingKept() {
	w.tb.Helper()
	for what, n := range map[string]int{
		"keys":    w.keys.Len(),
		"lanes":   w.lanesKept(),
		"limits":  w.limitsKept(),
		"cohorts": w.cohorts.Len(),
		"debts":   w.debts.Len(),
		"timed":   w.timed.Len(),
		"ready":   w.Scheduler.ready.Len(),
		"free":    w.free.waiting.Len(),
		"dated":   w.dated.Len(),
		"dates":   w.dates.Len() + w.tried.Len() + len(w.ahead) + w.deadlines.Len(),
		"groups":  len(w.changedGroups),
		"costly":  w.costlySets.Len() + len(w.lowered),
	} {
		if n != 0 {
			w.tb.Errorf("%d %s are kept, want none", n, what)
		}
	}
}

// Memory follows the jobs that wait, not the keys ever seen: once 100,000 keys
// have passed and their debt is over, nothing is left of them. Before, their
// limits are remembered.
func TestMemoryFollowsWaitingJobs(t *testing.T) {
	const keys = 100_000
	w := newWorld(t, Config{Workers: many, Horizon: 5 * ms})
	shared := limitOn("shared", rate(1_000_000, time.Second, 10))
	for i := range keys {
		key := fmt.Sprint("chat", i)
		w.submit(key, shared, limitOn(key, perKey), limitOn(fmt.Sprint("group", i/10), rate(1_000_000, time.Second, 1)))
	}
	w.run()
	if len(w.starts) != keys || w.lanesKept() != 0 {
		t.Errorf("%d starts, want %d; %d lanes are kept, want none", len(w.starts), keys, w.lanesKept())
	}
	if n := w.limitsKept(); n < keys {
		t.Errorf("%d limits are kept while they are in debt, want %d at least", n, keys)
	}
	if room := w.keys.Room(); room < keys {
		t.Errorf("there is room for %d keys, want %d at least", room, keys)
	}
	at, ok := w.Tidy()
	if !ok || at < w.now || at > w.now+2*sec {
		t.Errorf("Tidy() = %d, %v, want an instant in the two seconds after %d", at, ok, w.now)
	}
	for ; ok; at, ok = w.Tidy() {
		w.runUntil(at)
	}
	w.wantNothingKept()
	if room := w.keys.Room() + w.cohorts.Room(); room > keys/10 {
		t.Errorf("nothing is kept of %d keys, and there is room for %d", keys, room)
	}
}

// Keys that come one after another are forgotten while others come: what is
// kept at any time is bounded by the debt.
func TestMemoryIsBoundedWhileKeysPass(t *testing.T) {
	w := newWorld(t, Config{Workers: many})
	most := 0
	for i := range 20_000 {
		w.runUntil(int64(i) * 10 * ms)
		key := fmt.Sprint(i)
		w.submit(key, limitOn("shared", rate(200, time.Second, 1)), limitOn(key, perKey))
		most = max(most, w.limitsKept())
	}
	if most > 110 {
		t.Errorf("%d limits are kept at once, want those of the last second, 101", most)
	}
	w.run()
	w.runUntil(w.now + 2*sec)
	w.wantNothingKept()
}

// Holds of keys that no job has are forgotten when they are over.
func TestMemoryOfHolds(t *testing.T) {
	w := newWorld(t, Config{Workers: many})
	for i := range 1000 {
		w.delay(fmt.Sprint(i), sec)
	}
	w.delay("999", 3*sec)
	w.runUntil(2 * sec)
	if n := w.limitsKept(); n != 1 {
		t.Errorf("%d holds are kept, want the one that is not over", n)
	}
	w.runUntil(4 * sec)
	w.wantNothingKept()
}

// Nothing is left of random workloads either, however their jobs ended.
func TestNothingIsKeptOfRandomWorkloads(t *testing.T) {
	inWorkloads(t, nil, func(_ *rapidT, w *world, _ workload) {
		w.runUntil(w.now + 1000)
		w.wantNothingKept()
	})
}

// lanesKept and limitsKept are how many are remembered.
func (s *Scheduler) lanesKept() (n int) {
	for _, at := range s.keys.All() {
		for range at.lanes() {
			n++
		}
	}
	return n
}

func (s *Scheduler) limitsKept() (n int) {
	for _, at := range s.keys.All() {
		if at.limit != nil {
			n++
		}
	}
	return n
}

// The memory of dates, pauses and unconfirmed limits follows those that there are, and not the most that
// there ever were, though some stay.
func TestMemoryOfWhatFewHave(t *testing.T) {
	const keys, left = 20_000, 10
	w := newWorld(t, Config{Workers: many})
	var dated []*Job
	for i := range keys {
		key := laneKey(i)
		dated = append(dated, newJob(i))
		w.SubmitDated(0, dated[i], key, 0, []backend.Limit{limitOn(key, perKey)}, Dates{NotBefore: sec})
		w.PauseKey(0, key)
		w.Invalidate(0, key)
	}
	rooms := func() map[string]int {
		return map[string]int{"dates": w.dated.Room(), "pauses": w.pauses.Room(), "unconfirmed": w.unconfirmed.Room()}
	}
	for what, room := range rooms() {
		if room < keys {
			t.Fatalf("there is room for %d %s, want %d at least", room, what, keys)
		}
	}
	for i, j := range dated[left:] {
		w.Remove(0, j)
		w.ResumeKey(0, laneKey(left+i))
	}
	w.runUntil(10 * sec)
	for what, room := range rooms() {
		if room > keys/8 {
			t.Errorf("there is room for %d %s, and %d keys have any", room, what, left)
		}
	}
}
