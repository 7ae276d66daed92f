package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/backendtest"
	"github.com/freqlimit/dispatcher/backend/sqlite"
	"github.com/freqlimit/dispatcher/gcra"
)

const (
	dispatchJobs = 3000
	dispatchKeys = 20
)

var dispatchBot = backend.Limit{Key: "bot", Params: gcra.FreqLimitParams{Limit: 1500, Period: time.Second, Burst: 5}}

func dispatchConfig(atMostOnce bool) dispatcher.Config[int] {
	return dispatcher.Config[int]{
		Workers:    8,
		AtMostOnce: atMostOnce,
		Retry:      dispatcher.Retry{MaxAttempts: 3, Initial: 10 * time.Millisecond},
		Logger:     slog.New(slog.DiscardHandler),
		Limits: func(key string, _ int) []dispatcher.Limit {
			return []dispatcher.Limit{dispatchBot, {Key: key, Params: gcra.FreqLimitParams{Limit: 200, Period: time.Second, Burst: 2}}}
		},
	}
}

// dispatchUntilKilled runs the jobs of a file, and says when one begins and how it has ended. It ends when none
// is left.
func dispatchUntilKilled(path string, atMostOnce bool) {
	fail := func(err error) {
		fmt.Println(err)
		os.Exit(1)
	}
	b, err := sqlite.Open(path, sqlite.Config{})
	if err != nil {
		fail(err)
	}
	cfg := dispatchConfig(atMostOnce)
	cfg.Events.Done = func(_ context.Context, r dispatcher.Result[int]) {
		fmt.Println("ended", r.Job.Payload, r.Outcome, 0)
	}
	d, err := dispatcher.New(b, func(_ context.Context, j dispatcher.Job[int]) error {
		fmt.Println("begins", j.Payload, j.Key, j.Slot().UnixNano())
		time.Sleep(time.Duration(rand.IntN(3)) * time.Millisecond)
		if rand.IntN(10) == 0 {
			fmt.Println("fails", j.Payload, j.Key, 0)
			return errors.New("failed")
		}
		return nil
	}, cfg)
	if err != nil {
		fail(err)
	}
	fmt.Println("opened")
	go d.Run(context.Background())
	if err := d.Shutdown(context.Background()); err != nil {
		fail(err)
	}
	if err := b.Close(); err != nil {
		fail(err)
	}
	fmt.Println("drained", 0, "all", 0)
	os.Exit(0)
}

// dispatched is what is known of a job.
type dispatched struct {
	begun, failed, excused, ended int
	first                         int64 // its first slot
}

// Processes work off one file, one after another, and each is killed with SIGKILL but the last. No job
// is lost. One runs again only after an error, or if it was claimed when its process was killed; with
// AtMostOnce not even then. The limits hold over all processes, and jobs of a key begin in their order.
func TestDispatchersKilled(t *testing.T) {
	for how, atMostOnce := range map[string]bool{"dispatch": false, "dispatch at most once": true} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			rounds := 20
			if testing.Short() {
				rounds = 3
			}
			path := filepath.Join(t.TempDir(), "jobs.db")
			submitDispatched(t, path)
			var jobs [dispatchJobs]dispatched
			slots := map[string][]time.Time{}
			killed := 0
			for drained := false; !drained; {
				p := start(t, how, path)
				var lines []string
				if killed < rounds {
					time.Sleep(time.Duration(20+rand.IntN(150)) * time.Millisecond)
					killed++
				} else {
					for p.out.Scan() {
						lines = append(lines, strings.TrimSpace(p.out.Text()))
					}
				}
				for _, line := range append(lines, p.kill()...) {
					drained = noteDispatched(t, &jobs, slots, line) || drained
				}
				if !drained {
					excuseClaimed(t, path, &jobs, atMostOnce)
				}
			}
			checkDispatched(t, path, &jobs)
			for key, slots := range slots {
				params := dispatchConfig(false).Limits(key, 0)[1].Params
				if key == dispatchBot.Key {
					params = dispatchBot.Params
				}
				if err := backendtest.CheckWindows(slots, params, time.Millisecond); err != nil {
					t.Errorf("limit %s, over all processes: %v", key, err)
				}
			}
			t.Logf("%d processes were killed, and %d jobs began %d times", killed, dispatchJobs, len(slots[dispatchBot.Key]))
		})
	}
}

// submitDispatched submits all jobs, by a dispatcher that never runs.
func submitDispatched(t *testing.T, path string) {
	t.Helper()
	b := open(t, path)
	d, err := dispatcher.New(b, func(context.Context, dispatcher.Job[int]) error { return nil }, dispatchConfig(false))
	if err != nil {
		t.Fatal(err)
	}
	n, err := d.SubmitAll(t.Context(), func(yield func(dispatcher.Job[int]) bool) {
		for i := range dispatchJobs {
			if !yield(dispatcher.Job[int]{Key: "key" + strconv.Itoa(i%dispatchKeys), Payload: i}) {
				return
			}
		}
	})
	if n != dispatchJobs || err != nil {
		t.Fatalf("SubmitAll() = %d, %v, want %d", n, err, dispatchJobs)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

// noteDispatched notes what a process has said, and reports whether it has drained the file.
func noteDispatched(t *testing.T, jobs *[dispatchJobs]dispatched, slots map[string][]time.Time, line string) bool {
	t.Helper()
	var what, word string
	var n int
	var slot int64
	if _, err := fmt.Sscan(line, &what, &n, &word, &slot); err != nil {
		t.Fatalf("the child says %q", line)
	}
	j := &jobs[n]
	switch what {
	case "begins":
		if j.begun++; j.begun == 1 {
			j.first = slot
		}
		if j.begun > 1+j.failed+j.excused {
			t.Errorf("job %d begins %d times, want %d at most", n, j.begun, 1+j.failed+j.excused)
		}
		for _, key := range []string{dispatchBot.Key, word} {
			slots[key] = append(slots[key], time.Unix(0, slot))
		}
	case "fails":
		j.failed++
	case "ended":
		j.ended++
	case "drained":
		return true
	}
	return false
}

// excuseClaimed excuses the jobs that were claimed when a process was killed: they may run again.
func excuseClaimed(t *testing.T, path string, all *[dispatchJobs]dispatched, atMostOnce bool) {
	t.Helper()
	b := open(t, path)
	defer b.Close()
	jobs := make([]backend.KeptJob, dispatchJobs)
	n, err := b.Jobs(t.Context(), 0, jobs)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range jobs[:n] {
		if payload, err := strconv.Atoi(string(k.Payload)); err != nil {
			t.Fatal(err)
		} else if k.Claimed && !atMostOnce {
			all[payload].excused++
		}
	}
}

func checkDispatched(t *testing.T, path string, jobs *[dispatchJobs]dispatched) {
	t.Helper()
	b := open(t, path)
	defer b.Close()
	dead := map[string]bool{}
	found := make([]backend.DeadJob, dispatchJobs)
	n, err := b.DeadJobs(t.Context(), 0, found)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range found[:n] {
		dead[string(d.Payload)] = true
	}
	var last [dispatchKeys]int64
	for n := range jobs {
		j := &jobs[n]
		if j.ended != 1 && (j.ended > 1 || j.begun == 0 && !dead[strconv.Itoa(n)]) {
			// A process may have been killed after it wrote the end and before it said so. A job that is
			// uncertain may not even have begun.
			t.Errorf("job %d began %d times and has ended %d times", n, j.begun, j.ended)
		}
		if j.excused > 0 || j.begun == 0 {
			continue // it may have been claimed, and not have begun
		}
		if j.first < last[n%dispatchKeys] {
			t.Errorf("job %d has its first slot before an earlier job of its key", n)
		}
		last[n%dispatchKeys] = j.first
	}
	if r, err := b.Recover(t.Context()); err != nil || r.Jobs != 0 {
		t.Errorf("Recover() = %+v, %v, want no jobs", r, err)
	}
}
