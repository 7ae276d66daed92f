package backendtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// CrashesEnv names the environment variable that says how many writes a test of crashes makes.
// Each of them is followed by a crash.
const CrashesEnv = "BACKENDTEST_CRASHES"

func crashes() int {
	if n, err := strconv.Atoi(os.Getenv(CrashesEnv)); err == nil {
		return n
	}
	if testing.Short() {
		return 60
	}
	return 400
}

// history makes random changes in a journal and in its model.
type history struct {
	*journal
	*rand.Rand
	m     *model
	was   *model // before the last change
	debts []backend.Limit
}

func (j *journal) history() *history {
	seed := rand.Uint64()
	j.Logf("seed %d", seed)
	h := &history{journal: j, Rand: rand.New(rand.NewPCG(seed, 0)), m: newModel()}
	for i := range 3 {
		l := limit(fmt.Sprint("debt ", i), every(time.Hour, 1+i))
		h.debts = append(h.debts, l)
		j.takes(costing(l, 1+i)) // from now on it is never open
	}
	return h
}

// any returns a random number of a job, mostly one that is kept.
func (h *history) any() int64 {
	if h.IntN(10) > 0 {
		for n := range h.m.jobs {
			return n
		}
	}
	for n := range h.m.dead {
		return n
	}
	return 1 + h.Int64N(h.m.next)
}

// step makes one change.
func (h *history) step() {
	h.Helper()
	h.was = h.m.clone()
	if h.IntN(3) == 0 {
		h.claim()
		return
	}
	var c backend.Changes
	for range h.IntN(4) {
		job := someJob(h.m.next + int64(len(c.Added)) + h.Int64N(2))
		if h.IntN(4) == 0 {
			job.ID = fmt.Sprint("id ", h.IntN(40))
		}
		if h.IntN(10) == 0 {
			job.Payload = make([]byte, h.IntN(40_000))
		}
		c.Added = append(c.Added, job)
	}
	for range h.IntN(3) {
		switch n := h.any(); h.IntN(7) {
		case 0:
			c.Replaced = append(c.Replaced, backend.Replacement{Number: n, Payload: fmt.Append(nil, h.Uint64())})
		case 1:
			c.Requeued = append(c.Requeued, backend.Requeue{Number: n, Progress: backend.Progress{Attempts: h.IntN(9), LastError: "failed"}})
		case 2, 3:
			c.Ended = append(c.Ended, n)
		case 4:
			c.Died = append(c.Died, backend.Death{Number: n, Reason: "dead", At: someTime})
		case 5:
			c.Revived = append(c.Revived, n)
		case 6:
			c.Settings = append(c.Settings, backend.Setting{Name: fmt.Sprint(h.IntN(5)), Value: [][]byte{nil, []byte("a"), []byte("b")}[h.IntN(3)]})
		}
	}
	h.m.write(&c)
	if err := h.Write(h.Context(), &c); err != nil {
		h.Fatalf("Write(%s) = %v, want nil", brief(c), err)
	}
}

// claim reserves for some jobs, far ahead under limits that have debt.
func (h *history) claim() {
	h.Helper()
	var reqs []backend.Request
	for range 1 + h.IntN(5) {
		n := h.any()
		if _, ok := h.m.jobs[n]; ok {
			l := h.debts[h.IntN(len(h.debts))]
			reqs = append(reqs, backend.Request{Job: n, Limits: []backend.Limit{l}, Horizon: backend.Unlimited})
			h.m.claim(n)
		}
	}
	for i, d := range h.batch(reqs...) {
		if !d.Granted {
			h.Fatalf("decision %d for job %d = %+v, want it granted", i, reqs[i].Job, d)
		}
	}
}

// slots returns the next slots of the limits.
func (h *history) slots(j *journal) (slots []time.Time) {
	h.Helper()
	for _, l := range h.debts {
		slots = append(slots, j.refused(l).Slot)
	}
	return slots
}

// What was reported as durable is there after a crash, whenever it comes: jobs, claims and debt.
func testJournalCrashAfterEachWrite(j *journal) {
	h := j.history()
	for range crashes() {
		h.step()
		after := j.crashed()
		after.keepsNow("the journal after a crash", h.m)
		want, got := h.slots(j), h.slots(after)
		for i := range want {
			j.notBefore("slot after a crash", got[i], want[i])
		}
		after.close()
		if h.IntN(50) == 0 {
			h.journal = j.reopened()
			j = h.journal
		}
		if j.Failed() {
			return
		}
	}
	h.keeps(h.m)
}

// A crash in the middle of a write leaves all of a change or nothing, of jobs and limits alike.
func testJournalCrashInEachWrite(j *journal) {
	if _, ok := j.store.(TornStore); !ok {
		j.Skip("the store is no TornStore")
	}
	h := j.history()
	made, total := 0, 0
	for range crashes() {
		before, slotsBefore := j.store.Clone(), h.slots(j)
		h.step()
		slotsAfter := h.slots(j)
		after := openJournal(j.T, j.store.(TornStore).Torn(before, min(1, 1.3*h.Float64())))
		got, err := readModel(j.Context(), after.Journal)
		if err != nil {
			j.Fatalf("after a crash in a write: %v", err)
		}
		slots, want := slotsBefore, h.was
		diff := got.differsFrom(h.was)
		if diff != "" {
			made++
			slots, want = slotsAfter, h.m
			if also := got.differsFrom(h.m); also != "" {
				j.Fatalf("after a crash in a write the journal is not as before (%s) and not as after (%s)", diff, also)
			}
		}
		// A change that leaves the jobs as they are may have charged a limit.
		unchanged := h.m.differsFrom(h.was) == ""
		for i, slot := range h.slots(after) {
			if !unchanged {
				j.notBefore("slot after a crash in a write", slot, slots[i])
			} else if slot.Before(slotsBefore[i].Add(-early)) {
				j.Errorf("slot after a crash in a write = %v, want %v at least", slot, slotsBefore[i])
			}
		}
		total++
		// The journal that was left works.
		after.both(want.clone(), backend.Changes{Added: []backend.KeptJob{someJob(want.next)}})
		after.close()
		if j.Failed() {
			return
		}
	}
	j.Logf("%d of %d changes were made", made, total)
}

// A change for which there is no room is not made, and says so. When there is room, all goes on.
func testJournalFull(j *journal) {
	s, ok := j.store.(FullStore)
	if !ok {
		j.Skip("the store is no FullStore")
	}
	m := j.fiveJobs()
	l := limit("k", every(time.Hour, 5))
	j.claims(1, l)
	m.claim(1)
	s.SetFull(true)
	var err error
	for n := int64(10); err == nil; n++ {
		if n > 10_000 {
			j.Fatal("10,000 jobs were written to a full journal")
		}
		job := someJob(n)
		job.Payload = make([]byte, 10_000)
		c := backend.Changes{Added: []backend.KeptJob{job}, Ended: []int64{2}}
		if err = j.Write(j.Context(), &c); err == nil {
			m.write(&c)
		}
	}
	if !errors.Is(err, backend.ErrJournalFull) {
		j.Errorf("Write() to a full journal = %v, want ErrJournalFull", err)
	}
	j.keepsNow("the full journal", m)
	j.crashed().keepsNow("the full journal after a crash", m)
	s.SetFull(false)
	j.both(m, backend.Changes{Added: []backend.KeptJob{someJob(20_000)}, Ended: []int64{3}})
	j.hasLeft(l, 4)
	j.keeps(m)
}
