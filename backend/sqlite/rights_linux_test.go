package sqlite_test

import (
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// withoutRights takes from the test's goroutine, until the test ends, the right of root to write any file.
// Everybody may write the directory.
func withoutRights(t *testing.T, dir string) {
	t.Helper()
	if os.Getuid() != 0 {
		return
	}
	for d, mode := dir, os.FileMode(0o777); d != os.TempDir(); d, mode = filepath.Dir(d), 0o755 {
		if err := os.Chmod(d, mode); err != nil {
			t.Fatal(err)
		}
	}
	runtime.LockOSThread() // the ID for files is the thread's
	const nobody = 65534
	if err := syscall.Setfsuid(nobody); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Setfsuid(0); err == nil {
			runtime.UnlockOSThread()
		}
	})
}
