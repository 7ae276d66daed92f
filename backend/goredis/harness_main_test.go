package goredis

import (
	"testing"

	"github.com/freqlimit/dispatcher/internal/redistest"
	"go.uber.org/goleak"
)

// No test leaves a goroutine of this package behind, or of go-redis, since every test closes its
// clients. A client of go-redis that could not connect notices only once a second that it was closed.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(redistest.Runner(m),
		goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}
