package goredis

import (
	"testing"

	"github.com/freqlimit/dispatcher/internal/redistest"
	"go.uber.org/goleak"
)

// No test leaves a goroutine behind: neither one of the package nor, since every
// test closes its clients, one of go-redis. What a Docker client keeps for
// connections that may be used again is not ours to end; and go-redis sees only once a second
// that a client is closed which could not connect.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(redistest.Runner(m),
		goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"),
		goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}
