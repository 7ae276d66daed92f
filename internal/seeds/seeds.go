// Package seeds seeds the random tests. The package of a test that uses it has a flag: with
// -seed N the test runs with that seed alone, as it did when it failed and told the seed.
package seeds

import (
	"flag"
	"iter"
	"math/rand/v2"
	"strconv"
	"testing"
)

// only is the value of the flag, or nil.
var only *uint64

func init() {
	flag.Func("seed", "run random tests with this seed alone", func(value string) error {
		seed, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			return err
		}
		only = &seed
		return nil
	})
}

// First returns the seeds below n, each with a source of random numbers. So a test has the same
// numbers in every run. With -seed, First returns that seed alone.
//
// If the test fails, or panics, while a seed is in use, its log names the seed.
func First(t testing.TB, n int) iter.Seq2[uint64, *rand.Rand] {
	return each(t, n, func(i int) uint64 { return uint64(i) })
}

// Random is like First, but returns n seeds that are different in every run.
func Random(t testing.TB, n int) iter.Seq2[uint64, *rand.Rand] {
	return each(t, n, func(int) uint64 { return rand.Uint64() })
}

func each(t testing.TB, n int, seed func(i int) uint64) iter.Seq2[uint64, *rand.Rand] {
	return func(yield func(uint64, *rand.Rand) bool) {
		if only != nil {
			run(t, *only, yield)
			return
		}
		for i := range n {
			if !run(t, seed(i), yield) {
				return
			}
		}
	}
}

// run yields a seed. The test may end in yield, by Fatal or by a panic.
func run(t testing.TB, seed uint64, yield func(uint64, *rand.Rand) bool) bool {
	failed, returned := t.Failed(), false
	defer func() {
		if t.Failed() && !failed || !returned && !t.Skipped() {
			t.Logf("failed with -seed %d", seed)
		}
	}()
	goOn := yield(seed, rand.New(rand.NewPCG(seed, 0)))
	returned = true
	return goOn
}
