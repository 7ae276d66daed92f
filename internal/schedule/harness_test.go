package schedule

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"
)

type rapidT = rapid.T

// underRace says that the race detector is on: it makes histories ten times as slow, and finds
// nothing in a package without goroutines.
var underRace bool

// checkSome is rapid.Check with a tenth of the workloads: for what the oracle
// does not have to say again.
func checkSome(t *testing.T, prop func(*rapidT)) {
	checks := flag.Lookup("rapid.checks").Value
	all := checks.String()
	n, err := strconv.Atoi(all)
	if err != nil {
		t.Fatal(err)
	}
	_ = checks.Set(strconv.Itoa(max(1, n/10)))
	defer func() { _ = checks.Set(all) }()
	rapid.Check(t, prop)
}

// withSeed has rapid draw the same workloads each time, unless -rapid.seed says otherwise, until
// the test ends.
func withSeed(t *testing.T, seed string) {
	f := flag.Lookup("rapid.seed").Value
	old := f.String()
	if old != "0" {
		return
	}
	if err := f.Set(seed); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Set(old) })
}

func span(t *rapidT, label string, from, to int) int { return rapid.IntRange(from, to).Draw(t, label) }

// workloads is how many random workloads the scheduler and the oracle agree on.
const workloads = 10_000

func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		n := workloads
		if underRace {
			n /= 10
		}
		_ = f.Value.Set(fmt.Sprint(n))
	}
	os.Exit(m.Run())
}

// The limits that most tests use: one that jobs share, and one of each key.
var (
	perShared = rate(30, time.Second, 1)
	perKey    = rate(1, time.Second, 1)
)
