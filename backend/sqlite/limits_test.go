package sqlite_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/sqlite"
	"github.com/freqlimit/dispatcher/gcra"
)

// reserve makes one request.
func reserve(t testing.TB, b *sqlite.Backend, r backend.Request) backend.Decision {
	t.Helper()
	d := make([]backend.Decision, 1)
	if err := b.Reserve(t.Context(), []backend.Request{r}, d); err != nil {
		t.Fatalf("Reserve() = %v, want nil", err)
	}
	return d[0]
}

func limit(key string, interval time.Duration) backend.Limit {
	return backend.Limit{Key: key, Params: gcra.Every(interval)}
}

// restart closes a backend, changes the file and opens it again.
func restart(t *testing.T, b *sqlite.Backend, path string, statements ...string) *sqlite.Backend {
	t.Helper()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	run(t, path, statements...)
	return open(t, path)
}

// What was written at a later time than now was written before the clock was set back: the
// remaining wait is what it was. If the clock was set forward, the time counts as passed.
func TestClockWasSet(t *testing.T) {
	const hour = int64(time.Hour)
	for _, x := range []struct {
		name    string
		set     int64 // how far the machine's clock was set meanwhile
		waiting time.Duration
	}{{"back", -5 * hour, time.Hour}, {"back by years", -20_000 * hour, time.Hour}, {"forward", hour / 3, 40 * time.Minute}, {"far forward", 2 * hour, 0}} {
		t.Run(x.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "jobs.db")
			b := open(t, path)
			l := limit("k", time.Hour)
			reserve(t, b, backend.Request{Limits: []backend.Limit{l}})
			if err := b.Hold(t.Context(), "held", time.Hour); err != nil {
				t.Fatal(err)
			}
			// Instead of this machine's clock, all instants in the file are set, the other way.
			b = restart(t, b, path, fmt.Sprintf("UPDATE limit_states SET tat = tat - %d, last = last - %[1]d, held_until = held_until - %[1]d, written_at = written_at - %[1]d", x.set))
			for _, l := range []backend.Limit{l, limit("held", time.Second)} {
				d := reserve(t, b, backend.Request{Limits: []backend.Limit{l}})
				if wait := time.Until(d.Slot); (wait - x.waiting).Abs() > time.Minute {
					t.Errorf("limit %s opens in %v, want %v", l.Key, wait, x.waiting)
				}
			}
		})
	}
}

// A refused request that changes the params of a limit is kept: rebased after a crash, the limit
// would open earlier.
func TestRebaseOfARefusedRequestIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	b := open(t, path)
	for range 3 {
		reserve(t, b, backend.Request{Limits: []backend.Limit{limit("k", time.Minute)}, Horizon: backend.Unlimited})
	}
	if d := reserve(t, b, backend.Request{Limits: []backend.Limit{limit("k", time.Hour)}}); d.Granted {
		t.Fatalf("Reserve() = %+v, want it refused", d)
	}
	if got := scalar(t, path, "SELECT interval/1000000000 FROM limit_states WHERE key = 'k'"); got != "3600" {
		t.Errorf("stored interval = %s s, want 3600: the rebase was not stored", got)
	}
}

// A charge that was undone because the file could not be written is not there, and a job is not
// claimed.
func TestFailedReserveChargesNothing(t *testing.T) {
	b := open(t, filepath.Join(t.TempDir(), "jobs.db"))
	if err := b.Write(t.Context(), &backend.Changes{Added: []backend.KeptJob{{Number: 1}}}); err != nil {
		t.Fatal(err)
	}
	if err := b.Exec("PRAGMA query_only = 1"); err != nil {
		t.Fatal(err)
	}
	r := backend.Request{Job: 1, Limits: []backend.Limit{limit("k", time.Hour)}}
	if err := b.Reserve(t.Context(), []backend.Request{r}, make([]backend.Decision, 1)); err == nil {
		t.Error("Reserve() = nil, want an error: its claim can't be written")
	}
	if err := b.Exec("PRAGMA query_only = 0"); err != nil {
		t.Fatal(err)
	}
	jobs := make([]backend.KeptJob, 1)
	if n, err := b.Jobs(t.Context(), 0, jobs); n != 1 || err != nil || jobs[0].Claimed {
		t.Errorf("Jobs() = %d, %v, %+v, want a job that is not claimed", n, err, jobs[0])
	}
	if d := reserve(t, b, r); !d.Granted {
		t.Errorf("Reserve() = %+v, want it granted", d)
	}
}

// The states of limits without debt are deleted.
func TestStatesWithoutDebtAreDeleted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	b := open(t, path)
	debt := limit("in debt", time.Hour)
	reserve(t, b, backend.Request{Limits: []backend.Limit{debt}})
	for batch := range 100 {
		reqs := make([]backend.Request, 50)
		for i := range reqs {
			reqs[i].Limits = []backend.Limit{limit(fmt.Sprint(batch, i), time.Millisecond)}
		}
		if err := b.Reserve(t.Context(), reqs, make([]backend.Decision, len(reqs))); err != nil {
			t.Fatal(err)
		}
	}
	var n int
	if _, err := fmt.Sscan(scalar(t, path, "SELECT count(*) FROM limit_states"), &n); err != nil || n > 2000 {
		t.Errorf("states of 5,000 limits without debt = %d, want most of them deleted", n)
	}
	b = restart(t, b, path)
	if d := reserve(t, b, backend.Request{Limits: []backend.Limit{debt}}); d.Granted {
		t.Error("the state of a limit with debt was deleted")
	}
}
