package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Each measurement works, for a moment, and has its line in the table.
func TestMeasurements(t *testing.T) {
	o, err := parse([]string{"-rounds", "2", "-time", "5ms"}, io.Discard)
	if err != nil {
		t.Fatalf("parse() = %v, want nil", err)
	}
	var table, progress bytes.Buffer
	err = run(t.Context(), o, &table, &progress)
	if errors.Is(err, errNoServer) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatalf("run() = %v, want nil", err)
	}
	for _, m := range redisSuite("").measurements {
		if !strings.Contains(table.String(), m.group+"\n") || !strings.Contains(table.String(), "  "+m.name+" ") {
			t.Errorf("table has no line for %s", m.path())
		}
	}
	if n := strings.Count(table.String(), "\ngoal "); n != 2 {
		t.Errorf("goals in the table = %d, want 2", n)
	}
	if want := "redis: round 1 of 2\nredis: round 2 of 2\n"; progress.String() != want {
		t.Errorf("progress = %q, want %q", progress.String(), want)
	}
	if t.Failed() {
		t.Log(table.String())
	}
}

// A run that is stopped says so, and prints no figures.
func TestStopped(t *testing.T) {
	stopped := errors.New("stopped")
	ctx, stop := context.WithCancelCause(t.Context())
	stop(stopped)
	ms := []measurement{{name: "m", run: func(context.Context) (sample, error) { return sample{1, 1}, nil }}}
	if results, err := measure(ctx, ms, 1, time.Second, func(int) {}); !errors.Is(err, stopped) {
		t.Errorf("measure() of a context that has ended = %v, %v, want %v", results, err, stopped)
	}
}

// Without redis-server the error says what to do.
func TestNoServer(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	o, err := parse([]string{"-only", "redis_rate"}, io.Discard)
	if err != nil {
		t.Fatalf("parse() = %v, want nil", err)
	}
	err = run(t.Context(), o, io.Discard, io.Discard)
	if !errors.Is(err, errNoServer) || !strings.Contains(err.Error(), "-redis") {
		t.Errorf("run() without redis-server = %v, want errNoServer, which names -redis", err)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, args := range [][]string{
		{"-rounds", "0"}, {"-rounds", "x"}, {"-time", "0s"}, {"-time", "-1s"}, {"-only", "("}, {"more"}, {"-unknown"},
	} {
		var stderr bytes.Buffer
		if _, err := parse(args, &stderr); err == nil || stderr.Len() == 0 {
			t.Errorf("parse(%q) = %v, says %q, want an error and a message", args, err, stderr.String())
		}
	}
}

func TestPick(t *testing.T) {
	all := []suite{{measurements: []measurement{{group: "a", name: "x"}, {group: "a", name: "y"}}}, {measurements: []measurement{{group: "b", name: "x"}}}}
	for only, want := range map[string]string{"": "a/x a/y b/x", "x": "a/x b/x", "^a/": "a/x a/y", "z": ""} {
		var got []string
		for _, s := range pick(all, regexp.MustCompile(only)) {
			for _, m := range s.measurements {
				got = append(got, m.path())
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("pick(%q) = %q, want %q", only, got, want)
		}
	}
}

func TestCompare(t *testing.T) {
	peer, own, other := &measurement{group: "a", name: "peer"}, &measurement{group: "a", name: "own", goal: 3}, &measurement{group: "b", name: "own", goal: 3}
	results := []result{
		{measurement: peer, rates: []float64{1000, 2000, 500}},
		{measurement: own, rates: []float64{4000, 5000, 2000}},
		{measurement: other, rates: []float64{1, 2, 3, 4}},
	}
	compare(results)
	for i, want := range []float64{1, 4, 1} {
		if got := median(results[i].ratios); got != want {
			t.Errorf("median ratio of result %d = %v, want %v", i, got, want)
		}
	}
	if got := median(results[2].rates); got != 2.5 {
		t.Errorf("median(1, 2, 3, 4) = %v, want 2.5", got)
	}
	if got, want := verdict(results[1], results), "goal met: a, own at least 3 times peer: 4.00"; got != want {
		t.Errorf("verdict() = %q, want %q", got, want)
	}
	own.goal = 4.5
	if got, want := verdict(results[1], results), "goal MISSED: a, own at least 4.5 times peer: 4.00"; got != want {
		t.Errorf("verdict() = %q, want %q", got, want)
	}
	if got := verdict(results[2], results); !strings.Contains(got, "not measured") {
		t.Errorf("verdict() without the peer = %q, want that it was not measured", got)
	}
}

func TestThousands(t *testing.T) {
	for f, want := range map[float64]string{0: "0", 7.4: "7", 999.6: "1,000", 47012: "47,012", 1234567: "1,234,567"} {
		if got := thousands(f); got != want {
			t.Errorf("thousands(%v) = %q, want %q", f, got, want)
		}
	}
}
