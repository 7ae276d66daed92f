package sqlite_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/backendtest"
	"github.com/freqlimit/dispatcher/backend/sqlite"
	"github.com/freqlimit/dispatcher/gcra"
)

// crashLimits are those of the jobs of the child: slower than it can claim, with a burst that must
// not come again.
var crashLimits = []backend.Limit{
	{Key: "burst", Params: gcra.FreqLimitParams{Limit: 1000, Period: time.Second, Burst: 50}},
	{Key: "even", Params: gcra.FreqLimitParams{Limit: 2000, Period: time.Second, Burst: 1}},
}

// workUntilKilled takes jobs through their lives, and says what was done after each step.
func workUntilKilled(path string) {
	b, err := sqlite.Open(path, sqlite.Config{})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("opened")
	ctx := context.Background()
	r, err := b.Recover(ctx)
	number := atomic.Int64{}
	number.Store(r.Next - 1)
	must := func(err error) {
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
	}
	must(err)
	for range 4 {
		go func() {
			for {
				n := number.Add(1)
				must(b.Write(ctx, &backend.Changes{Added: []backend.KeptJob{{Number: n, Limits: crashLimits, Payload: make([]byte, rand.IntN(3000))}}}))
				fmt.Println("added", n, 0)
				d := make([]backend.Decision, 1)
				must(b.Reserve(ctx, []backend.Request{{Job: n, Limits: crashLimits, Horizon: backend.Unlimited}}, d))
				fmt.Println("claimed", n, d[0].Slot.UnixNano())
				if n%7 == 0 {
					continue // it stays claimed
				}
				must(b.Write(ctx, &backend.Changes{Ended: []int64{n}}))
				fmt.Println("ended", n, 0)
			}
		}()
	}
	select {}
}

// Processes work on one file one after another, and each is killed with
// SIGKILL: what it was told of is there, and the limits hold over all of them.
func TestKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	rounds := 20
	if testing.Short() {
		rounds = 4
	}
	last := map[int64]string{} // what was done last to a job
	var slots []time.Time
	for range rounds {
		p := start(t, "work", path)
		time.Sleep(time.Duration(rand.IntN(150)) * time.Millisecond)
		for _, line := range p.kill() {
			var what string
			var n, slot int64
			if _, err := fmt.Sscan(line, &what, &n, &slot); err != nil {
				t.Fatalf("the child says %q", line)
			}
			last[n] = what
			if what == "claimed" {
				slots = append(slots, time.Unix(0, slot))
			}
		}
		checkKilled(t, path, last)
	}
	t.Logf("%d jobs, %d slots", len(last), len(slots))
	for _, l := range crashLimits {
		if err := backendtest.CheckWindows(slots, l.Params, time.Millisecond); err != nil {
			t.Errorf("limit %s, over all processes: %v", l.Key, err)
		}
	}
}

// checkKilled wants a job to be as it was told, or one step further.
func checkKilled(t *testing.T, path string, last map[int64]string) {
	t.Helper()
	b, err := sqlite.Open(path, sqlite.Config{})
	if err != nil {
		t.Fatalf("Open() after a kill = %v, want nil", err)
	}
	defer func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if err := check(path); err != nil {
			t.Error(err)
		}
	}()
	if err := backendtest.CheckJournal(t.Context(), b); err != nil {
		t.Error(err)
	}
	jobs := make([]backend.KeptJob, 100_000)
	n, err := b.Jobs(t.Context(), 0, jobs)
	if err != nil {
		t.Fatal(err)
	}
	state := map[int64]string{}
	for _, j := range jobs[:n] {
		state[j.Number] = "waiting"
		if j.Claimed {
			state[j.Number] = "claimed"
		}
	}
	fine := map[string][]string{"added": {"waiting", "claimed"}, "claimed": {"claimed", ""}, "ended": {""}}
	for number, what := range last {
		if s := state[number]; s != fine[what][0] && s != fine[what][len(fine[what])-1] {
			t.Errorf("job %d was %s when the process was killed, and is %q now", number, what, s)
		}
	}
	r, err := b.Recover(t.Context())
	for number := range last {
		if number >= r.Next || err != nil {
			t.Fatalf("Next = %d, %v after job %d", r.Next, err, number)
		}
	}
}
