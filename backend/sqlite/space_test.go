package sqlite_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/sqlite"
)

func write(t testing.TB, b *sqlite.Backend, c backend.Changes) {
	t.Helper()
	if err := b.Write(t.Context(), &c); err != nil {
		t.Fatalf("Write() = %v, want nil", err)
	}
}

// fill adds jobs, and returns the number of the next.
func fill(t testing.TB, b *sqlite.Backend, next int64, n int) int64 {
	t.Helper()
	for range n / 1000 {
		var c backend.Changes
		for range 1000 {
			c.Added = append(c.Added, backend.KeptJob{Number: next, Key: fmt.Sprint("chat:", next%97), Payload: make([]byte, 200)})
			next++
		}
		write(t, b, c)
	}
	return next
}

// end ends jobs from one number up to another, which stays.
func end(t testing.TB, b *sqlite.Backend, from, to int64) {
	t.Helper()
	for from < to {
		var c backend.Changes
		for ; from < to && len(c.Ended) < 1000; from++ {
			c.Ended = append(c.Ended, from)
		}
		write(t, b, c)
	}
}

// size returns how many bytes the database and its log have on disk.
func size(t testing.TB, path string) (n int64) {
	t.Helper()
	for _, suffix := range files {
		if info, err := os.Stat(path + suffix); err == nil {
			n += info.Size()
		}
	}
	return n
}

// The file does not grow while jobs come and go: after ten times as many jobs as wait at a time it has
// the size that it had.
func TestChurn(t *testing.T) {
	sqlite.SetCheckpointPages(100)
	path := filepath.Join(memoryDir(t), "jobs.db")
	b := open(t, path)
	next := fill(t, b, 1, 5000)
	full := size(t, path)
	for oldest := int64(1); oldest < 50_000; oldest += 1000 {
		end(t, b, oldest, oldest+1000)
		next = fill(t, b, next, 1000)
	}
	if now := size(t, path); now > full*5/4 {
		t.Errorf("the file has %d KB after 50,000 jobs came and went, %d KB before", now>>10, full>>10)
	}
}

// A file whose queue has become short gives its space back, while the backend has nothing else to
// do.
func TestShrinks(t *testing.T) {
	sqlite.SetCheckpointPages(100)
	path := filepath.Join(memoryDir(t), "jobs.db")
	b := open(t, path)
	next := fill(t, b, 1, 30_000)
	full := scalar(t, path, "PRAGMA page_count")
	end(t, b, 1, next-100)
	for start := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		var now, before int
		fmt.Sscan(scalar(t, path, "PRAGMA page_count"), &now)
		fmt.Sscan(full, &before)
		if now < before/4 {
			break
		}
		if time.Since(start) > 20*time.Second {
			t.Fatalf("the file has %d pages, %d before: want less than a quarter", now, before)
		}
	}
	if r, err := b.Recover(t.Context()); err != nil || r.Jobs != 100 {
		t.Errorf("Recover() = %+v, %v, want 100 jobs", r, err)
	}
}

// The limits of jobs that share them are stored once, whatever the keys of the jobs are.
func TestLimitsAreStoredOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	b := open(t, path)
	var c backend.Changes
	for n := range int64(500) {
		key := fmt.Sprint("chat:", n)
		c.Added = append(c.Added, backend.KeptJob{Number: n + 1, Key: key, Limits: []backend.Limit{
			limit("bot", time.Second), limit(key, time.Minute), limit("bot:"+key, time.Hour),
		}})
	}
	write(t, b, c)
	if n := scalar(t, path, "SELECT count(*) FROM class_limits"); n != "3" {
		t.Errorf("limits stored for 500 jobs that share a class = %s, want 3", n)
	}
}

// Limits that no job has any more are deleted.
func TestClassesAreDeleted(t *testing.T) {
	path := filepath.Join(memoryDir(t), "jobs.db")
	sqlite.SetSweepFrom(500)
	b := open(t, path)
	next := int64(1)
	for range 35 {
		var c backend.Changes
		for range 100 {
			c.Added = append(c.Added, backend.KeptJob{Number: next, Limits: []backend.Limit{limit(fmt.Sprint("of one job: ", next), time.Second)}})
			if next%10 > 0 {
				c.Ended = append(c.Ended, next)
			}
			next++
		}
		write(t, b, c)
	}
	b = restart(t, b, path)
	var n int
	if _, err := fmt.Sscan(scalar(t, path, "SELECT count(*) FROM class_limits"), &n); err != nil || n > 2000 {
		t.Errorf("classes of 3,500 jobs, of which 350 are left = %d, want most of them deleted", n)
	}
	if err := check(path); err != nil {
		t.Error(err)
	}
	jobs := make([]backend.KeptJob, 350)
	if n, err := b.Jobs(t.Context(), 0, jobs); n != 350 || err != nil || jobs[349].Limits[0].Key != "of one job: 3500" {
		t.Errorf("Jobs() = %d, %v, last %+v, want 350 with their limits", n, err, jobs[349])
	}
}
