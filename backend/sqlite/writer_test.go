package sqlite_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/sqlite"
)

// together makes calls that share one transaction, in this order, and returns their errors.
func together(t *testing.T, b *sqlite.Backend, calls ...func() error) []error {
	t.Helper()
	release := b.Block()
	errs := make([]error, len(calls))
	done := make(chan struct{})
	for i, call := range calls {
		go func() {
			errs[i] = call()
			done <- struct{}{}
		}()
		waitFor(t, func() bool { return b.Waiting() == i+1 })
	}
	release()
	for range calls {
		<-done
	}
	return errs
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for start := time.Now(); !ok(); time.Sleep(time.Millisecond) {
		if time.Since(start) > 10*time.Second {
			t.Fatal("it does not come to that")
		}
	}
}

// A call that fails in a shared transaction fails alone: the others are made, and what it charged
// or stored is gone.
func TestFailsAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	b := open(t, path)
	write(t, b, backend.Changes{Added: []backend.KeptJob{{Number: 1, ID: "a"}}})
	add := func(jobs ...backend.KeptJob) func() error {
		return func() error { return b.Write(t.Context(), &backend.Changes{Added: jobs}) }
	}
	bot := []backend.Limit{limit("bot", time.Hour)}
	errs := together(t, b,
		add(backend.KeptJob{Number: 2}),
		add(backend.KeptJob{Number: 80, Limits: bot}, backend.KeptJob{Number: 0}), // fails, with the class that it added
		add(backend.KeptJob{Number: 4, Limits: bot}),
		func() error {
			return b.Reserve(t.Context(), []backend.Request{{Job: 1, Limits: bot}}, make([]backend.Decision, 1))
		},
		add(backend.KeptJob{Number: 0}), // an invalid number
		func() error { return b.Hold(t.Context(), "held", time.Hour) },
	)
	for i, err := range errs {
		switch {
		case (i == 1 || i == 4) && err == nil:
			t.Errorf("call %d = nil, want an error", i)
		case i != 1 && i != 4 && err != nil:
			t.Errorf("call %d = %v, want nil", i, err)
		}
	}
	b = restart(t, b, path)
	jobs := make([]backend.KeptJob, 9)
	n, err := b.Jobs(t.Context(), 0, jobs)
	if err != nil || n != 3 || !jobs[0].Claimed || jobs[1].Number != 2 || jobs[2].Number != 4 || len(jobs[2].Limits) != 1 {
		t.Errorf("Jobs() = %d, %v, %+v, want the jobs 1, claimed, 2 and 4 with its limit", n, err, jobs[:n])
	}
	for _, l := range []backend.Limit{bot[0], limit("held", time.Second)} {
		if d := reserve(t, b, backend.Request{Limits: []backend.Limit{l}}); d.Granted {
			t.Errorf("limit %s is open after a restart", l.Key)
		}
	}
	if r, err := b.Recover(t.Context()); err != nil || r.Next != 5 {
		t.Errorf("Recover() = %+v, %v, want Next 5: a number of a call that failed was not used", r, err)
	}
}

// A call whose context ends while it waits returns at once, and does nothing.
func TestContextEndsWhileWaiting(t *testing.T) {
	b := open(t, filepath.Join(t.TempDir(), "jobs.db"))
	release := b.Block()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- b.Write(ctx, &backend.Changes{Added: []backend.KeptJob{{Number: 1}}}) }()
	waitFor(t, func() bool { return b.Waiting() == 1 })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Write() = %v, want context.Canceled", err)
	}
	release()
	if r, err := b.Recover(t.Context()); err != nil || r.Jobs != 0 || r.Next != 1 {
		t.Errorf("Recover() = %+v, %v, want nothing", r, err)
	}
}

// Close waits for the calls that have begun.
func TestCloseWaits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	b := open(t, path)
	release := b.Block()
	written, closed := make(chan error), make(chan error)
	go func() { written <- b.Write(t.Context(), &backend.Changes{Added: []backend.KeptJob{{Number: 1}}}) }()
	waitFor(t, func() bool { return b.Waiting() == 1 })
	go func() { closed <- b.Close() }()
	release()
	if err := <-written; err != nil {
		t.Errorf("Write() that began before Close = %v, want nil", err)
	}
	if err := <-closed; err != nil {
		t.Errorf("Close() = %v, want nil", err)
	}
	if r, err := open(t, path).Recover(t.Context()); err != nil || r.Jobs != 1 {
		t.Errorf("Recover() = %+v, %v, want one job", r, err)
	}
}

// While another program writes to the file, calls wait for it.
func TestWaitsForAnotherWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	b := open(t, path)
	db := database(t, path)
	if _, err := db.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(200*time.Millisecond, func() { _, _ = db.ExecContext(context.Background(), "COMMIT") })
	write(t, b, backend.Changes{Added: []backend.KeptJob{{Number: 1}}})
}
