package dispatcher_test

import (
	"testing"

	"go.uber.org/goleak"
)

// Guarantee 8, trap 31: no test, example or benchmark of this package leaves a
// goroutine behind. A bubble of testing/synctest sees to it for its own.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
