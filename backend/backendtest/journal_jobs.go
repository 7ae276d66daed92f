package backendtest

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// someTime is a time that every journal can keep exactly: they need not keep nanoseconds.
var someTime = time.UnixMilli(1_800_000_000_123)

// someJob is a job with all fields set.
func someJob(number int64) backend.KeptJob {
	return backend.KeptJob{
		Number: number, Key: fmt.Sprint("chat:", number%5), Priority: int(number%3) - 1,
		Limits: []backend.Limit{
			costing(limit("bot", every(time.Second, 30)), 2),
			limit(fmt.Sprint("chat:", number%5), every(time.Minute, 20)),
		},
		Submitted: someTime, NotBefore: someTime.Add(time.Hour), Deadline: someTime.Add(24 * time.Hour), Timeout: 7 * time.Second,
		Retry: &backend.KeptRetry{MaxAttempts: 5, MaxHolds: 3, Initial: time.Second, Max: time.Hour, Multiplier: 1.7, Jitter: 0.1},
		Meta:  map[string]string{"traceparent": "00-abc", "": "empty"}, Payload: fmt.Appendf(nil, "payload %d", number), Version: 3,
	}
}

func testJournalEmpty(j *journal) {
	r, err := j.Recover(j.Context())
	if err != nil || r.Next != 1 || r.Jobs != 0 || r.Dead != 0 || len(r.Settings) != 0 {
		j.Errorf("Recover() of an empty journal = %+v, %v, want Next 1, nil", r, err)
	}
	j.writes(backend.Changes{})
	j.keeps(newModel())
}

// What was written is read again: each field, with values from one end to the other.
func testJournalKeepsAllFields(j *journal) {
	extreme := someJob(math.MaxInt32 + 5)
	extreme.Priority, extreme.Version = math.MinInt32, math.MaxInt32
	extreme.Timeout = math.MaxInt64
	extreme.Retry = &backend.KeptRetry{MaxAttempts: -1, Multiplier: math.MaxFloat64, Jitter: 0.1 + 0.2, Max: 1}
	extreme.NotBefore, extreme.Deadline = time.UnixMilli(-5), time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
	withID := someJob(9)
	withID.ID = "an ID"
	none, empty, big := backend.KeptJob{Number: 2}, backend.KeptJob{Number: 3}, backend.KeptJob{Number: 4}
	empty.Limits, empty.Payload, empty.Meta, empty.Retry = []backend.Limit{}, []byte{}, map[string]string{}, &backend.KeptRetry{}
	big.Payload = []byte(strings.Repeat("\x00payload\xff", 300_000))
	m := newModel()
	c := backend.Changes{Added: []backend.KeptJob{someJob(1), none, empty, big, someJob(5), withID, extreme}}
	m.write(&c)
	j.writes(c)
	j.keeps(m)
}

// Trap 47: strings and payloads of any bytes are kept as they are.
func testJournalOddStrings(j *journal) {
	m := newModel()
	for i, s := range oddKeys() {
		if len(s) > 1000 && i%2 == 1 {
			continue // one long string is enough
		}
		job := someJob(int64(i + 1))
		job.Key, job.ID, job.Payload, job.Meta = s, "id"+s, []byte(s), map[string]string{s: s, "plain": "text"}
		job.Limits = []backend.Limit{limit(s, every(time.Hour, 1)), limit("before "+s, every(time.Hour, 1)), limit(s+" after", every(time.Hour, 1))}
		c := backend.Changes{Added: []backend.KeptJob{job}, Settings: []backend.Setting{{Name: s, Value: []byte(s)}}}
		m.write(&c)
		j.writes(c)
	}
	for n := range m.jobs {
		if n%3 == 0 {
			c := backend.Changes{Died: []backend.Death{{Number: n, Reason: m.jobs[n].Key, At: someTime}}}
			m.write(&c)
			j.writes(c)
		}
	}
	j.keeps(m)
}

// Jobs and DeadJobs return full pages until there are no more, and keep nothing of one.
func testJournalPages(j *journal) {
	var c backend.Changes
	for n := range int64(25) {
		c.Added = append(c.Added, someJob(n+1))
		if n%5 == 0 {
			c.Died = append(c.Died, backend.Death{Number: n + 1, Reason: "it had to", At: someTime})
		}
	}
	j.writes(c)
	for _, x := range []struct {
		after  int64
		length int
		want   []int64
	}{
		{0, 3, []int64{2, 3, 4}},
		{4, 3, []int64{5, 7, 8}},
		{22, 3, []int64{23, 24, 25}},
		{23, 3, []int64{24, 25}},
		{25, 3, nil},
		{0, 0, nil},
		{1000, 1, nil},
		{-5, 1, []int64{2}},
	} {
		page := make([]backend.KeptJob, x.length)
		n, err := j.Jobs(j.Context(), x.after, page)
		if err != nil {
			j.Fatalf("Jobs(%d) = %v, want nil", x.after, err)
		}
		var got []int64
		for _, job := range page[:n] {
			got = append(got, job.Number)
			job.Payload[0]++ // it is the caller's
			job.Limits[0].Key = "changed"
		}
		if !slices.Equal(got, x.want) {
			j.Errorf("Jobs(%d) of %d = %v, want %v", x.after, x.length, got, x.want)
		}
	}
	page := make([]backend.KeptJob, 1)
	if _, err := j.Jobs(j.Context(), 1, page); err != nil || !sameJob(page[0], someJob(2)) {
		j.Errorf("Jobs() after the caller has changed what it got = %+v, %v, want %+v", page[0], err, someJob(2))
	}
	dead := make([]backend.DeadJob, 3)
	if n, err := j.DeadJobs(j.Context(), 6, dead); err != nil || n != 3 || dead[0].Number != 11 || dead[2].Number != 21 {
		j.Errorf("DeadJobs(6) = %d, %v, %s, want the jobs 11, 16, 21", n, err, brief(dead))
	}
}

// Writes of different goroutines may come in any order of their numbers.
func testJournalNumbersInAnyOrder(j *journal) {
	m := newModel()
	for _, n := range []int64{5, 3, 9, 1, 7} {
		c := backend.Changes{Added: []backend.KeptJob{someJob(n)}}
		m.write(&c)
		j.writes(c)
	}
	j.keeps(m)
}

// Trap 37: no number is used twice, even if all jobs are gone.
func testJournalNextNumber(j *journal) {
	j.writes(backend.Changes{Added: []backend.KeptJob{someJob(1), someJob(41)}})
	j.writes(backend.Changes{Ended: []int64{41}})
	j.writes(backend.Changes{Ended: []int64{1}})
	j.writes(backend.Changes{Added: []backend.KeptJob{someJob(7)}, Ended: []int64{7}})
	m := newModel()
	m.next = 42
	j.keeps(m)
}

// Trap 42: an append whose answer was lost is made again, and changes nothing.
func testJournalAddedTwice(j *journal) {
	first := backend.Changes{Added: []backend.KeptJob{someJob(1), someJob(2)}}
	first.Added[0].ID = "one"
	m := newModel()
	m.write(&first)
	j.writes(first)
	j.claims(2)
	m.claim(2)
	j.writes(first)
	other := someJob(1)
	other.Payload = []byte("another payload")
	j.writes(backend.Changes{Added: []backend.KeptJob{other}})
	j.keeps(m)
}

// Several jobs may have one ID. Find returns the latest of them that is not dead.
func testJournalFind(j *journal) {
	withID := func(n int64, id string) backend.KeptJob {
		job := someJob(n)
		job.ID = id
		return job
	}
	m := newModel()
	want := func(number int64) {
		if n, err := j.Find(j.Context(), "a"); n != number || err != nil {
			j.Errorf("Find() = %d, %v, want %d", n, err, number)
		}
	}
	want(0)
	j.both(m, backend.Changes{Added: []backend.KeptJob{withID(1, "a"), withID(2, "b"), withID(3, ""), withID(4, "a"), withID(5, "a")}})
	want(5)
	j.both(m, backend.Changes{Ended: []int64{5}})
	want(4)
	j.both(m, backend.Changes{Died: []backend.Death{{Number: 4, At: someTime}}})
	want(1)
	j.both(m, backend.Changes{Revived: []int64{4}, Ended: []int64{1}})
	want(4)
	if n, err := j.Find(j.Context(), "none"); n != 0 || err != nil {
		j.Errorf("Find() of an ID that no job has = %d, %v, want 0", n, err)
	}
	j.keeps(m)
}
