package dispatcher_test

import (
	"log/slog"
	"testing"

	"go.uber.org/goleak"
)

// Guarantee 8, trap 31: no test, example or benchmark of this package leaves a
// goroutine behind. A bubble of testing/synctest sees to it for its own.
//
// What dispatchers without a Logger log would bury the failures of tests.
func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	goleak.VerifyTestMain(m)
}
