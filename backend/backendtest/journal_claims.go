package backendtest

import (
	"slices"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// early is by how much a slot may be earlier after a restart, because clocks are slewed.
const early = 10 * time.Millisecond

// notBefore wants a slot after a restart to be what it was: never early, and not later either.
func (j *journal) notBefore(what string, got, want time.Time) {
	j.Helper()
	if got.Before(want.Add(-early)) {
		j.Errorf("%s = %v, %v early: want %v", what, got, want.Sub(got), want)
	}
	j.at(what, got, want)
}

// afterEach calls f with the journal after a crash, and after an orderly end, which closes it.
func (j *journal) afterEach(f func(j *journal)) {
	j.Helper()
	f(j.crashed())
	f(j.reopened())
}

// A granted request claims its job. Claiming it again is the same.
func testJournalClaims(j *journal) {
	m := j.fiveJobs()
	l := limit("k", every(time.Hour, 10))
	j.claims(2, l)
	j.claims(4)
	j.claims(4)
	m.claim(2)
	m.claim(4)
	j.keepsNow("the journal", m)
	ds := j.batch(backend.Request{Job: 1, Limits: []backend.Limit{l}}, backend.Request{Limits: []backend.Limit{l}}, backend.Request{Job: 5})
	for i, d := range ds {
		if !d.Granted {
			j.Errorf("decision %d = %+v, want it granted", i, d)
		}
	}
	m.claim(1)
	m.claim(5)
	j.keeps(m)
}

func testJournalRefusedClaimsNothing(j *journal) {
	m := j.fiveJobs()
	l := limit("k", every(time.Hour, 1))
	j.takes(l)
	j.batch(
		backend.Request{Job: 1, Limits: []backend.Limit{l}},                                      // has debt
		backend.Request{Job: 2, Limits: []backend.Limit{{}}},                                     // is invalid
		backend.Request{Job: 3, NotBefore: time.Now().Add(time.Hour), Horizon: 20 * time.Minute}, // comes later
	)
	if err := j.b.Hold(j.Context(), "held", time.Hour); err != nil {
		j.Fatal(err)
	}
	j.batch(backend.Request{Job: 4, Limits: []backend.Limit{limit("held", every(time.Hour, 1))}})
	j.keeps(m)
}

// A request for a job that is not kept, or is dead, is refused with an error, and charges
// nothing. The rest of the batch is decided.
func testJournalClaimOfNoJob(j *journal) {
	m := j.fiveJobs()
	j.both(m, backend.Changes{Died: []backend.Death{{Number: 2, At: someTime}}, Ended: []int64{3}})
	l := limit("k", every(time.Hour, 3))
	on := []backend.Limit{l}
	if d := j.batch(backend.Request{Job: 99}, backend.Request{Job: 1, Limits: on})[1]; !d.Granted {
		j.Errorf("decision for a job that waits = %+v, want it granted", d)
	}
	for _, n := range []int64{2, 3, 99} {
		if d := j.batch(backend.Request{Job: n, Limits: on})[0]; d.Granted || d.Err == nil || d.Undecided {
			j.Errorf("decision for job %d, which can't be claimed = %+v, want an Err", n, d)
		}
	}
	m.claim(1)
	j.hasLeft(l, 2)
	j.keeps(m)
}

// Promise 5: after a crash the limits of claimed jobs have the debt that they had: no fresh
// burst, never early, and no slot is lost.
func testJournalLimitsSurvive(j *journal) {
	j.fiveJobs()
	burst, chain, costly := limit("burst", every(time.Hour, 3)), limit("chain", every(time.Hour, 1)), limit("costly", every(time.Minute, 100))
	for n := range int64(3) {
		j.claims(n+1, burst, chain)
	}
	j.claims(4, costing(costly, 60))
	want := []time.Time{j.refused(burst).Slot, j.refused(chain).Slot, j.refused(costing(costly, 50)).Slot}
	j.afterEach(func(j *journal) {
		for i, l := range []backend.Limit{burst, chain, costing(costly, 50)} {
			j.notBefore("slot of "+l.Key, j.refused(l).Slot, want[i])
		}
		j.hasLeft(burst, 0)
		j.hasLeft(chain, 0)
		j.hasLeft(costly, 40)
	})
}

// Limits keep their debt whether a job was claimed or not.
func testJournalLimitsWithoutJobsSurvive(j *journal) {
	var limits []backend.Limit
	for _, key := range oddKeys() {
		limits = append(limits, limit(key, every(time.Hour, 2)))
	}
	j.takes(limits...)
	j.afterEach(func(j *journal) {
		j.takes(limits...)
		for _, l := range limits {
			j.refused(l)
		}
	})
}

// Trap 12 after a crash: a hold that was reported as made is there.
func testJournalHoldsSurvive(j *journal) {
	l := limit("k", every(time.Minute, 3))
	from, to := j.closes("k", 2*time.Hour)
	j.takes(limit("other", every(time.Hour, 1)))
	j.afterEach(func(j *journal) {
		j.opens(l, from.Add(-early), to)
		d := j.batch(backend.Request{HeldBy: []string{"k"}, Limits: []backend.Limit{limit("free", every(time.Minute, 3))}})[0]
		if d.Granted || !d.Held {
			j.Errorf("Reserve() with a held key = %+v, want it refused by the hold", d)
		}
		if j.traits().Watcher != nil {
			news, stop := j.watches()
			j.hearsHold(news, "k", from.Add(-early), to)
			stop()
		}
	})
}

// A slot that was given back is free after an orderly end. After a crash it may be lost.
func testJournalReleaseSurvivesClose(j *journal) {
	l := limit("k", every(time.Hour, 1))
	first := j.takes(l)
	j.releases(j.books(l), l)
	d := j.crashed().refused(l)
	if !slices.ContainsFunc([]time.Duration{time.Hour, 2 * time.Hour}, func(after time.Duration) bool {
		return d.Slot.Sub(first.Add(after)).Abs() < Tolerance
	}) {
		j.Errorf("slot after a crash = %v, want an hour or two after %v", d.Slot, first)
	}
	again := j.reopened()
	again.notBefore("slot after a restart", again.refused(l).Slot, first.Add(time.Hour))
}

// Clear forgets limits, not jobs.
func testJournalClearSurvives(j *journal) {
	m := j.fiveJobs()
	l := limit("k", every(time.Hour, 2))
	j.claims(1, l)
	m.claim(1)
	j.closes("held", time.Hour)
	if err := j.b.Clear(j.Context()); err != nil {
		j.Fatalf("Clear() = %v, want nil", err)
	}
	j.keepsNow("the journal after Clear", m)
	j.afterEach(func(j *journal) {
		j.hasLeft(l, 2)
		j.takes(limit("held", every(time.Hour, 1)))
	})
}
