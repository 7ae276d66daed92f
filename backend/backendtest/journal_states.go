package backendtest

import (
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// both makes changes in the journal and in the model.
func (j *journal) both(m *model, c backend.Changes) {
	j.Helper()
	m.write(&c)
	j.writes(c)
}

// claimsBoth claims a job without limits in the journal and in the model.
func (j *journal) claimsBoth(m *model, numbers ...int64) {
	j.Helper()
	for _, n := range numbers {
		j.claims(n)
		m.claim(n)
	}
}

// fiveJobs starts a journal and its model with five jobs.
func (j *journal) fiveJobs() *model {
	j.Helper()
	m := newModel()
	c := backend.Changes{}
	for n := range int64(5) {
		c.Added = append(c.Added, someJob(n+1))
	}
	j.both(m, c)
	return m
}

var someProgress = backend.Progress{
	Attempts: 4, Failures: 3, Holds: 2, Losses: 1, RetryAt: someTime.Add(time.Minute), LastError: "it \x00 failed \xff",
}

// Trap 41: a job waits again with the progress that was written, once: what is not claimed stays
// as it is.
func testJournalRequeued(j *journal) {
	m := j.fiveJobs()
	j.claimsBoth(m, 1, 2)
	j.both(m, backend.Changes{Requeued: []backend.Requeue{
		{Number: 1, Progress: someProgress}, {Number: 2}, {Number: 3, Progress: someProgress}, {Number: 99, Progress: someProgress},
	}})
	j.claimsBoth(m, 1)
	j.both(m, backend.Changes{Requeued: []backend.Requeue{{Number: 1, Progress: backend.Progress{Attempts: 5}}}})
	j.keeps(m)
}

// A job ends in any state. Ending it again, or one that never was, changes nothing.
func testJournalEnded(j *journal) {
	m := j.fiveJobs()
	j.claimsBoth(m, 2)
	j.both(m, backend.Changes{Died: []backend.Death{{Number: 3, At: someTime}}})
	j.both(m, backend.Changes{Ended: []int64{1, 2, 3, 99}})
	j.both(m, backend.Changes{Ended: []int64{1, 2, 3}})
	j.keeps(m)
}

func testJournalDiedAndRevived(j *journal) {
	m := j.fiveJobs()
	j.claimsBoth(m, 1, 2, 3)
	j.both(m, backend.Changes{Requeued: []backend.Requeue{{Number: 2, Progress: someProgress}}})
	j.both(m, backend.Changes{Died: []backend.Death{
		{Number: 1, Reason: "first", At: someTime}, {Number: 2, Reason: "", At: someTime}, {Number: 4, Reason: "\x00\xff", At: someTime}, {Number: 99},
	}})
	j.both(m, backend.Changes{Died: []backend.Death{{Number: 1, Reason: "again", At: someTime.Add(time.Hour)}}})
	j.keepsNow("the journal with dead jobs", m)
	j.both(m, backend.Changes{Revived: []int64{2, 4, 5, 99}})
	j.claimsBoth(m, 2)
	j.keeps(m)
}

// A kept job gets another payload in any state, and stays what it is otherwise.
func testJournalReplaced(j *journal) {
	m := j.fiveJobs()
	j.claimsBoth(m, 2)
	j.both(m, backend.Changes{Died: []backend.Death{{Number: 3, At: someTime}}})
	j.both(m, backend.Changes{Replaced: []backend.Replacement{
		{Number: 1, Payload: []byte("one"), Version: 9}, {Number: 2, Payload: nil, Version: 4}, {Number: 3, Payload: []byte("three")}, {Number: 99},
	}})
	j.keeps(m)
}

// Settings keep the order in which they were written first.
func testJournalSettings(j *journal) {
	m := newModel()
	for _, s := range []backend.Setting{
		{Name: "b", Value: []byte("1")},
		{Name: "a", Value: []byte("2")},
		{Name: "", Value: []byte{}},
		{Name: "c", Value: []byte("\x00")},
		{Name: "b", Value: []byte("3")},
		{Name: "c"},
		{Name: "unknown"},
		{Name: "d", Value: []byte("4")},
		{Name: "c", Value: []byte("5")},
	} {
		j.both(m, backend.Changes{Settings: []backend.Setting{s}})
		j.keepsNow("the journal", m)
	}
	j.keeps(m)
}

// One Write may change one job several times: the fields come in order.
func testJournalInOrderOfTheFields(j *journal) {
	m := j.fiveJobs()
	j.claimsBoth(m, 1, 2)
	j.both(m, backend.Changes{
		Added:    []backend.KeptJob{someJob(6), someJob(7), someJob(8)},
		Replaced: []backend.Replacement{{Number: 6, Payload: []byte("replaced")}, {Number: 1, Payload: []byte("one")}},
		Requeued: []backend.Requeue{{Number: 1, Progress: someProgress}, {Number: 2}},
		Ended:    []int64{2, 7},
		Died:     []backend.Death{{Number: 1, Reason: "dies", At: someTime}, {Number: 8, Reason: "dies", At: someTime}, {Number: 7}},
		Revived:  []int64{8},
		Settings: []backend.Setting{{Name: "n", Value: []byte("1")}, {Name: "n", Value: []byte("2")}, {Name: "m", Value: []byte("3")}, {Name: "m"}},
	})
	j.keeps(m)
}

// Trap 42: a change whose answer was lost is written again. What was made already stays.
func testJournalRepeated(j *journal) {
	m := j.fiveJobs()
	j.claimsBoth(m, 1, 2, 3)
	for _, c := range []backend.Changes{
		{Replaced: []backend.Replacement{{Number: 1, Payload: []byte("new")}}},
		{Requeued: []backend.Requeue{{Number: 1, Progress: someProgress}}},
		{Ended: []int64{2}},
		{Died: []backend.Death{{Number: 3, Reason: "dead", At: someTime}}},
		{Revived: []int64{3}},
		{Settings: []backend.Setting{{Name: "n", Value: []byte("1")}}},
	} {
		j.both(m, c)
		j.writes(c)
		j.keepsNow("the journal after a repeated change", m)
	}
	j.keeps(m)
}
