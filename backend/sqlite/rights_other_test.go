//go:build !linux

package sqlite_test

import (
	"os"
	"testing"
)

// withoutRights skips the test for root, who may write all files.
func withoutRights(t *testing.T, _ string) {
	t.Helper()
	if os.Getuid() == 0 {
		t.Skip("root may write all files")
	}
}
