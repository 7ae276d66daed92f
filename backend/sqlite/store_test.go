package sqlite_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/backendtest"
	"github.com/freqlimit/dispatcher/backend/sqlite"
)

func TestJournal(t *testing.T) {
	sqlite.SetCheckpointPages(50) // so that crashes come in the middle of these too
	backendtest.RunJournal(t, newStore)
}

// store is a file in a directory of its own.
type store struct {
	t      testing.TB
	path   string            // "": not yet on disk
	cloned map[string][]byte // what its files hold, by suffix, if it is a clone
	b      *sqlite.Backend
}

func newStore(t *testing.T) backendtest.JournalStore {
	return &store{t: t, path: filepath.Join(memoryDir(t), "jobs.db")}
}

// memoryDir returns a directory in memory if there can be one: the suite opens a thousand
// files, and syncs each of them.
func memoryDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "sqlite-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// Open implements backendtest.JournalStore.
func (s *store) Open() (backend.Backend, func() error, error) {
	if s.path == "" {
		s.path = filepath.Join(memoryDir(s.t), "jobs.db")
		for suffix, content := range s.cloned {
			if err := os.WriteFile(s.path+suffix, content, 0o600); err != nil {
				return nil, nil, err
			}
		}
	}
	b, err := sqlite.Open(s.path, sqlite.Config{})
	if err != nil {
		return nil, nil, err
	}
	s.b = b
	return b, b.Close, nil
}

// files are the suffixes of what a database consists of. The log's index, -shm, is rebuilt.
var files = []string{"", "-wal"}

// Clone implements backendtest.JournalStore.
func (s *store) Clone() backendtest.JournalStore {
	return s.cloneWith(func(suffix string) []byte { return s.read(suffix) })
}

// Torn implements backendtest.TornStore: a commit appends to the log or begins it again, a
// checkpoint writes to the file while the log is complete.
func (s *store) Torn(since backendtest.JournalStore, n float64) backendtest.JournalStore {
	before := since.(*store)
	torn := "-wal"
	if string(before.read("")) != string(s.read("")) {
		torn = ""
	}
	return s.cloneWith(func(suffix string) []byte {
		if suffix != torn {
			return s.read(suffix)
		}
		return tear(before.read(suffix), s.read(suffix), n)
	})
}

// tear returns what a file holds after a part of the bytes that differ were written.
func tear(before, after []byte, n float64) []byte {
	same := 0
	for same < min(len(before), len(after)) && before[same] == after[same] {
		same++
	}
	end := len(after)
	for end > same && end <= len(before) && before[end-1] == after[end-1] {
		end--
	}
	cut := same + int(n*float64(end-same+1))
	cut = min(cut, len(after))
	torn := append([]byte{}, after[:cut]...)
	if cut < len(before) {
		torn = append(torn, before[cut:]...)
	}
	return torn
}

func (s *store) read(suffix string) []byte {
	s.t.Helper()
	if s.cloned != nil {
		return s.cloned[suffix]
	}
	content, err := os.ReadFile(s.path + suffix)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.t.Fatal(err)
	}
	return content
}

func (s *store) cloneWith(content func(suffix string) []byte) *store {
	s.t.Helper()
	clone := &store{t: s.t, cloned: make(map[string][]byte)}
	for _, suffix := range files {
		clone.cloned[suffix] = content(suffix)
	}
	return clone
}

// SetFull implements backendtest.FullStore.
func (s *store) SetFull(full bool) {
	s.t.Helper()
	script := "PRAGMA max_page_count = 1" // as many as there are
	if !full {
		script = "PRAGMA max_page_count = 1000000"
	}
	if err := s.b.Exec(script); err != nil {
		s.t.Fatal(err)
	}
}

// Check implements backendtest.CheckedStore. A clone is not opened again.
func (s *store) Check() error {
	err := check(s.path)
	if s.cloned != nil {
		return errors.Join(err, os.RemoveAll(filepath.Dir(s.path)))
	}
	return err
}

// check walks all of a database: its pages, and what one table says of another.
func check(path string) error {
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		return err
	}
	defer db.Close()
	for _, c := range []struct{ query, want string }{
		{"PRAGMA integrity_check", "ok"},
		{"SELECT count(*) FROM jobs WHERE state NOT IN ('waiting', 'claimed', 'dead')", "0"},
		{"SELECT count(*) FROM jobs WHERE (state = 'dead') <> (reason IS NOT NULL)", "0"},
		{"SELECT count(*) FROM jobs WHERE state <> 'dead' AND died_at IS NOT NULL", "0"},
		{"SELECT count(*) FROM jobs WHERE class > 0 AND class NOT IN (SELECT class FROM class_limits)", "0"},
		{"SELECT count(*) FROM (SELECT class FROM class_limits GROUP BY class HAVING max(position) <> count(*) - 1)", "0"},
		{"SELECT count(*) FROM jobs, journal WHERE number >= next_number", "0"},
		{"SELECT count(*) FROM journal", "1"},
		{"SELECT count(*) FROM limit_states WHERE interval < 0 OR last > tat", "0"},
	} {
		var got string
		if err := db.QueryRow(c.query).Scan(&got); err != nil || got != c.want {
			return fmt.Errorf("%s = %q, %w, want %q", c.query, got, err, c.want)
		}
	}
	return nil
}
