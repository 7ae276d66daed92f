package backendtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// With a context that has ended, methods do nothing.
func testJournalContextEnded(j *journal) {
	m := j.fiveJobs()
	cancelled, cancel := context.WithCancel(j.Context())
	cancel()
	wants := func(call string, err error) {
		j.Helper()
		if !errors.Is(err, context.Canceled) {
			j.Errorf("%s with a context that has ended = %v, want %v", call, err, context.Canceled)
		}
	}
	wants("Write()", j.Write(cancelled, &backend.Changes{Added: []backend.KeptJob{someJob(6)}, Ended: []int64{1}}))
	_, err := j.Recover(cancelled)
	wants("Recover()", err)
	_, err = j.Jobs(cancelled, 0, make([]backend.KeptJob, 1))
	wants("Jobs()", err)
	_, err = j.DeadJobs(cancelled, 0, make([]backend.DeadJob, 1))
	wants("DeadJobs()", err)
	wants("Reserve()", j.b.Reserve(cancelled, []backend.Request{{Job: 2}}, make([]backend.Decision, 1)))

	// A context that ends meanwhile: all of a change or nothing.
	for n := range 20 {
		ctx, cancel := context.WithTimeout(j.Context(), time.Duration(n)*50*time.Microsecond)
		c := backend.Changes{Added: []backend.KeptJob{someJob(int64(100 + 2*n)), someJob(int64(101 + 2*n))}}
		written := j.Write(ctx, &c) == nil
		cancel()
		now, err := readModel(j.Context(), j.Journal)
		if err != nil {
			j.Fatal(err)
		}
		if _, ok := now.jobs[int64(100+2*n)]; ok || written {
			m.write(&c)
		}
		j.keepsNow("the journal after a context ended", m)
	}
	j.keeps(m)
}

// Write and Reserve keep nothing of the caller's, who may use it again at once.
func testJournalKeepsNothingOfTheCaller(j *journal) {
	m := newModel()
	mine := someJob(1)
	c := backend.Changes{Added: []backend.KeptJob{mine}, Settings: []backend.Setting{{Name: "n", Value: []byte("value")}}}
	j.writes(c)
	copy(c.Added[0].Payload, "changed")
	c.Added[0].Limits[0].Key, c.Added[0].Meta["traceparent"], c.Added[0].Retry.MaxAttempts = "changed", "changed", 99
	copy(c.Settings[0].Value, "other")
	m.write(&backend.Changes{Added: []backend.KeptJob{someJob(1)}, Settings: []backend.Setting{{Name: "n", Value: []byte("value")}}})
	again := someJob(2)
	j.both(m, backend.Changes{Added: []backend.KeptJob{again}})
	j.keeps(m)
}

// Many goroutines take jobs through their lives at once: none is lost, none comes back, and
// the windows of their limit hold.
func testJournalConcurrent(j *journal) {
	var (
		number atomic.Int64
		wg     sync.WaitGroup
		mu     sync.Mutex // guards what follows
		slots  []time.Time
		want   = newModel()
	)
	l := limit("shared", every(time.Hour, 30))
	for g := range goroutines {
		wg.Go(func() {
			for round := range rounds {
				n := number.Add(1)
				job := someJob(n)
				job.ID = fmt.Sprint("id ", n)
				if err := j.Write(j.Context(), &backend.Changes{Added: []backend.KeptJob{job}}); err != nil {
					j.Errorf("Write() = %v, want nil", err)
					return
				}
				d := make([]backend.Decision, 1)
				reqs := []backend.Request{{Job: n, Limits: []backend.Limit{l}, Horizon: backend.Unlimited}}
				if err := j.b.Reserve(j.Context(), reqs, d); err != nil || !d[0].Granted {
					j.Errorf("Reserve() = %+v, %v, want it granted", d[0], err)
					return
				}
				last := backend.Changes{Ended: []int64{n}}
				switch (g + round) % 4 {
				case 0:
					last = backend.Changes{Requeued: []backend.Requeue{{Number: n, Progress: someProgress}}}
				case 1:
					last = backend.Changes{Died: []backend.Death{{Number: n, Reason: "dead", At: someTime}}}
				case 2:
					last = backend.Changes{}
				}
				if err := j.Write(j.Context(), &last); err != nil {
					j.Errorf("Write() = %v, want nil", err)
					return
				}
				mu.Lock()
				slots = append(slots, d[0].Slot)
				want.write(&backend.Changes{Added: []backend.KeptJob{job}})
				want.claim(n)
				want.write(&last)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if err := CheckWindows(slots, l.Params, Tolerance); err != nil {
		j.Error(err)
	}
	j.keeps(want)
}
