package redistest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
)

// started is what the tests of this binary share, as far as it has been asked for,
// or why it is not there, which is found out once.
var started struct {
	mu        sync.Mutex
	shared    *shared
	noShared  error
	cluster   *cluster
	noCluster error
}

// Main runs the tests of a package, stops what they have started and returns the
// code to exit with. It is for a TestMain; m is its *testing.M.
//
// A test binary that is killed, or ends itself at its -timeout, does not get
// there. On Linux the processes end with it. A container ends with it everywhere:
// the program that runs it waits for that. Only if that program is killed too the
// container stays, and has the label org.testcontainers.
func Main(m interface{ Run() int }) int {
	code := m.Run()
	if err := Stop(); err != nil {
		fmt.Fprintf(os.Stderr, "redistest: stop: %v\n", err)
		if code == 0 {
			code = 1
		}
	}
	return code
}

// Runner returns an m whose Run is [Main], for goleak.VerifyTestMain: it counts
// goroutines when Run has returned.
func Runner(m interface{ Run() int }) interface{ Run() int } { return runner{m} }

type runner struct{ m interface{ Run() int } }

func (r runner) Run() int { return Main(r.m) }

// Stop stops the shared Redis and the cluster, if the tests have started them.
// It is for a TestMain that can't use [Main]. What is asked for later is started
// again.
func Stop() error {
	started.mu.Lock()
	defer started.mu.Unlock()
	var errs []error
	if started.shared != nil {
		errs = append(errs, started.shared.stop())
	}
	if started.cluster != nil {
		errs = append(errs, started.cluster.stop())
	}
	started.shared, started.noShared = nil, nil
	started.cluster, started.noCluster = nil, nil
	return errors.Join(errs...)
}

// Addr returns the host:port of the Redis that the tests of the package share.
// It is started at first use. Where there is none the test is skipped.
//
// Other tests use it at the same time, and it may be one that people use: keys
// begin with a [Prefix], and nothing is flushed or configured.
func Addr(t testing.TB) string {
	t.Helper()
	started.mu.Lock()
	defer started.mu.Unlock()
	if started.shared == nil && started.noShared == nil {
		started.shared, started.noShared = find()
	}
	switch err := started.noShared; {
	case errors.Is(err, errNone):
		t.Skip(err)
	case err != nil:
		t.Fatal(err)
	}
	return started.shared.addr
}

// Client returns a client of the server at [Addr]. It is closed when the test has
// ended.
func Client(t testing.TB) *redis.Client {
	t.Helper()
	return clientOf(t, Addr(t))
}

func clientOf(t testing.TB, addr string) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: addr})
	t.Cleanup(func() {
		// A test that has closed it already has a reason to.
		if err := c.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
			t.Errorf("close the client of %s: %v", addr, err)
		}
	})
	return c
}

// Prefix returns what the keys of a test begin with. No other test has it, and no
// other run of this one: a server at REDIS_ADDR keeps what earlier runs have left.
// It ends with a colon and has no braces, so that it leaves to the test which keys
// of a cluster go together.
func Prefix(t testing.TB) string {
	name := strings.Map(func(r rune) rune {
		if strings.ContainsRune("{}: ", r) {
			return '_'
		}
		return r
	}, t.Name())
	return name + "-" + rand.Text()[:12] + ":"
}
