package seeds

import (
	"flag"
	"fmt"
	"runtime"
	"slices"
	"testing"
)

// recorder is a test that may fail.
type recorder struct {
	testing.TB
	failed bool
	logs   []string
}

func (r *recorder) Failed() bool  { return r.failed }
func (r *recorder) Skipped() bool { return false }
func (r *recorder) Logf(format string, args ...any) {
	r.logs = append(r.logs, fmt.Sprintf(format, args...))
}

// use runs a test with the seeds 0 to 9 up to its end, and returns the seeds that it has had.
func use(r *recorder, test func(seed uint64)) (had []uint64) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { _ = recover() }()
		for seed := range First(r, 10) {
			had = append(had, seed)
			test(seed)
		}
	}()
	<-done
	return had
}

// However a test fails, its log has the seeds with which it did, and no others.
func TestLogNamesTheSeed(t *testing.T) {
	for name, c := range map[string]struct {
		fail func(r *recorder)
		last uint64
	}{
		"Error": {func(r *recorder) { r.failed = true }, 9},
		"Fatal": {func(r *recorder) { r.failed = true; runtime.Goexit() }, 4},
		"panic": {func(*recorder) { panic("on purpose") }, 4},
	} {
		r := &recorder{}
		had := use(r, func(seed uint64) {
			if seed == 4 {
				c.fail(r)
			}
		})
		if want := []string{"failed with -seed 4"}; !slices.Equal(r.logs, want) {
			t.Errorf("%s: the log is %q, want %q", name, r.logs, want)
		}
		if had[0] != 0 || had[len(had)-1] != c.last {
			t.Errorf("%s: the seeds are %v, want those from 0 to %d", name, had, c.last)
		}
	}
	r := &recorder{}
	if use(r, func(uint64) {}); len(r.logs) > 0 {
		t.Errorf("the log of a test that passes is %q, want none", r.logs)
	}
}

// The numbers are those of the seed.
func TestSeedsRepeat(t *testing.T) {
	numbers := func() (all []uint64) {
		for _, r := range First(t, 3) {
			all = append(all, r.Uint64())
		}
		return all
	}
	first, second := numbers(), numbers()
	if !slices.Equal(first, second) || first[0] == first[1] {
		t.Errorf("the seeds give %v and then %v, want the same, and not one number for all", first, second)
	}
	var all []uint64
	for seed := range Random(t, 3) {
		all = append(all, seed)
	}
	if len(all) != 3 || all[0] == all[1] {
		t.Errorf("Random(3) returns %v, want three seeds", all)
	}
}

func TestSeedFlag(t *testing.T) {
	defer func(old *uint64) { only = old }(only)
	if err := flag.Set("seed", "17"); err != nil {
		t.Fatal(err)
	}
	for seed, r := range First(t, 3) {
		if seed != 17 || r == nil {
			t.Errorf("with -seed 17, First yields %d, %v", seed, r)
		}
	}
	n := 0
	for seed := range Random(t, 3) {
		n++
		if seed != 17 {
			t.Errorf("with -seed 17, Random yields %d", seed)
		}
	}
	if n != 1 {
		t.Errorf("with -seed 17, Random yields %d seeds, want 1", n)
	}
	if err := flag.Set("seed", "x"); err == nil {
		t.Error("-seed x is no error, want one")
	}
}
