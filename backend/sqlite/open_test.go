package sqlite_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/sqlite"
)

// fails wants Open to fail, with an error that matches and says a word.
func fails(t *testing.T, path string, want error, word string) error {
	t.Helper()
	b, err := sqlite.Open(path, sqlite.Config{})
	if err == nil {
		_ = b.Close()
	}
	if !errors.Is(err, want) || !strings.Contains(fmt.Sprint(err), word) {
		t.Errorf("Open(%q) = %v, want an error that matches %q and says %q", path, err, want, word)
	}
	return err
}

// database opens a file with one connection, as another program does.
func database(t *testing.T, path string) *sql.Conn {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	c, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// run runs SQL on a file.
func run(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// scalar returns the only value of a query.
func scalar(t *testing.T, path, query string) (v string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow(query).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

// unchanged wants a file and its directory to be as they were.
func unchanged(t *testing.T, path string, f func()) {
	t.Helper()
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f()
	after, err := os.ReadFile(path)
	if err != nil || string(after) != string(before) {
		t.Errorf("the file has changed, %v", err)
	}
	names, _ := filepath.Glob(path + "*")
	if len(names) != 1 {
		t.Errorf("there are %q, want nothing new", names)
	}
}

// One at a time works on a file: in this process, and under any name of the file.
func TestOwnedByThisProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	b := open(t, path)
	me := fmt.Sprintf("process %d on", os.Getpid())
	fails(t, path, sqlite.ErrOwned, me)
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(path, link); err != nil {
		t.Skip(err)
	}
	err := fails(t, link, sqlite.ErrOwned, me)
	if owned, ok := errors.AsType[*sqlite.OwnedError](err); !ok || !strings.HasPrefix(owned.Owner, me) {
		t.Errorf("Open() = %#v, want an OwnedError with the owner", err)
	}
	if err := b.Write(t.Context(), &backend.Changes{Added: []backend.KeptJob{{Number: 1}}}); err != nil {
		t.Errorf("Write() after others have tried = %v, want nil", err)
	}
	// What others close in this process frees no lock: POSIX locks would go with any of them.
	cmd := exec.CommandContext(t.Context(), os.Args[0], path)
	cmd.Env = append(os.Environ(), child+"=own")
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), me) {
		t.Errorf("another process says %q, %v, want that the file is owned", out, err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, link)
}

// Another process owns the file until it ends, also if it is killed. Readers don't mind.
func TestOwnedByAnotherProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	p := start(t, "own", path)
	fails(t, path, sqlite.ErrOwned, fmt.Sprintf("process %d on", p.Process.Pid))
	if n := scalar(t, path, "SELECT count(*) FROM queue"); n != "0" {
		t.Errorf("a reader counts %s jobs, want 0", n)
	}
	p.kill()
	open(t, path)
}

// A file of another program, or of no database, stays as it is.
func TestForeign(t *testing.T) {
	text := filepath.Join(t.TempDir(), "notes.txt")
	if err := os.WriteFile(text, []byte(strings.Repeat("These are notes, and no database.\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	unchanged(t, text, func() { fails(t, text, sqlite.ErrForeign, "notes.txt") })

	other := filepath.Join(t.TempDir(), "other.db")
	run(t, other, "CREATE TABLE notes (text TEXT)", "INSERT INTO notes VALUES ('a note')")
	unchanged(t, other, func() { fails(t, other, sqlite.ErrForeign, "1 table") })
	run(t, other, "PRAGMA application_id = 7")
	unchanged(t, other, func() { fails(t, other, sqlite.ErrForeign, "0x7") })
}

// An empty file is a new one, also if a process died before it made the tables.
func TestEmptyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, path, "PRAGMA journal_mode = WAL")
	b := open(t, path)
	if r, err := b.Recover(t.Context()); err != nil || r.Next != 1 {
		t.Errorf("Recover() = %+v, %v, want Next 1", r, err)
	}
}

func TestNewerSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	run(t, path, "PRAGMA user_version = 2")
	before := scalar(t, path, "PRAGMA journal_mode")
	fails(t, path, sqlite.ErrNewer, "version 2")
	if after := scalar(t, path, "PRAGMA journal_mode"); after != before {
		t.Errorf("journal_mode = %s, want %s", after, before)
	}
}

// The header of each file says what it is.
func TestHeader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	for pragma, want := range map[string]string{"application_id": fmt.Sprint(0x64697370), "user_version": "1", "journal_mode": "wal", "auto_vacuum": "2"} {
		if got := scalar(t, path, "PRAGMA "+pragma); got != want {
			t.Errorf("PRAGMA %s = %s, want %s", pragma, got, want)
		}
	}
	if owner := scalar(t, path, "SELECT ifnull(owner, 'nobody') FROM journal"); owner != "nobody" {
		t.Errorf("owner after Close = %s, want nobody", owner)
	}
}

func TestCorrupt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	b := open(t, path)
	var c backend.Changes
	for n := range int64(1000) {
		c.Added = append(c.Added, backend.KeptJob{Number: n + 1, Payload: make([]byte, 500)})
	}
	if err := b.Write(t.Context(), &c); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 20 * 4096; i < len(content); i++ {
		content[i] = 0x5a
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	b, err = sqlite.Open(path, sqlite.Config{})
	if err == nil {
		_, err = b.Jobs(t.Context(), 0, make([]backend.KeptJob, 1000))
		_ = b.Close()
	}
	if !errors.Is(err, sqlite.ErrCorrupt) || !strings.Contains(err.Error(), path) {
		t.Errorf("Jobs() of a damaged file = %v, want ErrCorrupt and the path", err)
	}
}

func TestNoDirectory(t *testing.T) {
	fails(t, filepath.Join(t.TempDir(), "none", "jobs.db"), sqlite.ErrNoFile, "none")
	if _, err := sqlite.Open("", sqlite.Config{}); err == nil {
		t.Error(`Open("") = nil, want an error`)
	}
}

// A file that may not be written can't be opened.
func TestReadOnlyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o444); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path + "-owner"); err != nil {
		t.Fatal(err)
	}
	withoutRights(t, filepath.Dir(path))
	fails(t, path, sqlite.ErrReadOnly, "jobs.db")
}

// Writes fail while the file can't be written, and go on when it can.
func TestReadOnlyForATime(t *testing.T) {
	b := open(t, filepath.Join(t.TempDir(), "jobs.db"))
	if err := b.Exec("PRAGMA query_only = 1"); err != nil {
		t.Fatal(err)
	}
	c := backend.Changes{Added: []backend.KeptJob{{Number: 1}}}
	if err := b.Write(t.Context(), &c); !errors.Is(err, sqlite.ErrReadOnly) {
		t.Errorf("Write() = %v, want ErrReadOnly", err)
	}
	if err := b.Exec("PRAGMA query_only = 0"); err != nil {
		t.Fatal(err)
	}
	if err := b.Write(t.Context(), &c); err != nil {
		t.Errorf("Write() = %v, want nil", err)
	}
}

func TestOddPaths(t *testing.T) {
	for _, name := range []string{"with space.db", "100%.db", "a?b=c#d.db", "ü&amp;.db", "plus+.db"} {
		path := filepath.Join(t.TempDir(), name)
		if err := open(t, path).Close(); err != nil {
			t.Errorf("%q: Close() = %v", name, err)
		}
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
}

func TestClosed(t *testing.T) {
	b := open(t, filepath.Join(t.TempDir(), "jobs.db"))
	for range 2 {
		if err := b.Close(); err != nil {
			t.Errorf("Close() = %v, want nil", err)
		}
	}
	_, recoverErr := b.Recover(t.Context())
	for call, err := range map[string]error{
		"Write":   b.Write(t.Context(), &backend.Changes{}),
		"Reserve": b.Reserve(t.Context(), nil, nil),
		"Hold":    b.Hold(t.Context(), "k", 1),
		"Clear":   b.Clear(t.Context()),
		"Recover": recoverErr,
	} {
		if !errors.Is(err, sqlite.ErrClosed) {
			t.Errorf("%s after Close = %v, want ErrClosed", call, err)
		}
	}
}

// A commit waits for the disk, unless the user wants otherwise.
func TestSyncs(t *testing.T) {
	for noSync, want := range map[bool]string{false: "2", true: "1"} { // FULL and NORMAL
		path := filepath.Join(t.TempDir(), "jobs.db")
		b, err := sqlite.Open(path, sqlite.Config{NoSync: noSync})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := b.Value("PRAGMA synchronous"); got != want || err != nil {
			t.Errorf("with NoSync %t, PRAGMA synchronous = %s, %v, want %s", noSync, got, err, want)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}
