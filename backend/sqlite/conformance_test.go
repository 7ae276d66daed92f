package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/backendtest"
	"github.com/freqlimit/dispatcher/backend/sqlite"
)

func TestConformance(t *testing.T) {
	backendtest.Run(t, func(t *testing.T) backend.Backend {
		return open(t, filepath.Join(t.TempDir(), "jobs.db"))
	})
}

// open opens a file, and closes it when the test ends.
func open(t testing.TB, path string) *sqlite.Backend {
	t.Helper()
	b, err := sqlite.Open(path, sqlite.Config{})
	if err != nil {
		t.Fatalf("Open(%q) = %v, want nil", path, err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("Close() = %v, want nil", err)
		}
	})
	return b
}
