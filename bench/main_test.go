package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The measurements run in processes of their own, which are this program.
func TestMain(m *testing.M) {
	if isChild() {
		return
	}
	os.Exit(m.Run())
}

// parsed are options as on the command line.
func parsed(t *testing.T, args ...string) options {
	t.Helper()
	o, err := parse(args, io.Discard)
	if err != nil {
		t.Fatalf("parse(%q) = %v, want nil", args, err)
	}
	return o
}

// Each measurement works, for a moment, has its lines in the table and its
// pictures are written.
func TestMeasurements(t *testing.T) {
	args := []string{"-rounds", "1", "-time", "5ms", "-max", "10000", "-pictures", filepath.Join(t.TempDir(), "pictures")}
	if _, err := exec.LookPath("redis-server"); err != nil {
		args = append(args, "-redis", noRedis)
	}
	o := parsed(t, args...)
	var table, progress bytes.Buffer
	if err := run(t.Context(), o, &table, &progress); err != nil {
		t.Errorf("run() = %v, want nil", err)
	}
	for _, g := range allGroups(o.settings) {
		if g.redis && o.Redis == noRedis {
			continue
		}
		for _, f := range g.figures {
			if !strings.Contains(table.String(), g.heading(f)+": ") {
				t.Errorf("table has no lines for %s", g.heading(f))
			}
		}
		for _, m := range g.measurements {
			path := pathOf(g.name, m.name)
			if !strings.Contains(table.String(), "  "+m.name+" ") {
				t.Errorf("table has no line for %s", path)
			}
			if n := strings.Count(progress.String(), "round 1 of 1: "+path+"\n"); n != 1 {
				t.Errorf("progress names %s %d times, want 1", path, n)
			}
		}
	}
	for _, name := range []string{"lateness.svg", "throughput.svg", "memory.svg"} {
		text, err := os.ReadFile(filepath.Join(o.pictures, name))
		if err != nil || !bytes.Contains(text, []byte("</svg>")) {
			t.Errorf("%s: %d bytes, error %v, want a picture", name, len(text), err)
		}
	}
	if t.Failed() {
		t.Log(table.String())
	}
}

// What never may be is not, in however short a time: early starts and limits
// exceeded.
func TestNothingEarly(t *testing.T) {
	var table bytes.Buffer
	o := parsed(t, "-rounds", "1", "-time", "20ms", "-only", "A million starts|held for.*/dispatcher", "-pictures", "")
	if err := run(t.Context(), o, &table, io.Discard); err != nil {
		t.Fatalf("run() = %v, want nil", err)
	}
	for _, goal := range []string{"A million starts, early", "A million starts, over", "1,000/s held for 10 s, violations"} {
		if !strings.Contains(table.String(), "goal met: "+goal) {
			t.Errorf("goal %q is not met:\n%s", goal, table.String())
		}
	}
}

// A profile of two measurements is one file, which can be read.
func TestProfile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cpu.prof")
	o := parsed(t, "-rounds", "1", "-time", "10ms", "-only", "one key/(x/time/rate AllowN|memory)", "-cpuprofile", path)
	if err := run(t.Context(), o, io.Discard, io.Discard); err != nil {
		t.Fatalf("run() = %v, want nil", err)
	}
	if _, err := readProfile(path); err != nil {
		t.Errorf("profile: %v", err)
	}
}

// Without redis-server the error says what to do.
func TestNoServer(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	err := run(t.Context(), parsed(t, "-only", "redis_rate"), io.Discard, io.Discard)
	if !errors.Is(err, errNoServer) || !strings.Contains(err.Error(), "-redis") {
		t.Errorf("run() without redis-server = %v, want errNoServer, which names -redis", err)
	}
}

// Without a Redis, what needs one is left out.
func TestRedisNone(t *testing.T) {
	o := parsed(t, "-redis", noRedis)
	all := allGroups(o.settings)
	kept, _, _, err := openRedis(t.Context(), &o, all)
	if err != nil || len(kept) == 0 || len(kept) == len(all) || needRedis(kept) {
		t.Errorf("openRedis() with none = %d groups of %d, %v, want those that need no Redis", len(kept), len(all), err)
	}
	err = run(t.Context(), parsed(t, "-redis", noRedis, "-only", "redis_rate"), io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "-redis") {
		t.Errorf("run() of nothing but Redis without one = %v, want an error", err)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, args := range [][]string{
		{"-rounds", "0"}, {"-rounds", "x"}, {"-time", "0s"}, {"-time", "-1s"}, {"-only", "("}, {"-max", "0"}, {"more"}, {"-unknown"},
	} {
		var stderr bytes.Buffer
		if _, err := parse(args, &stderr); err == nil || stderr.Len() == 0 {
			t.Errorf("parse(%q) = %v, says %q, want an error and a message", args, err, stderr.String())
		}
	}
	err := run(context.Background(), parsed(t, "-only", "no such thing"), io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "matches no measurement") {
		t.Errorf("run() of nothing = %v, want an error", err)
	}
}

func TestPick(t *testing.T) {
	all := []group{
		{name: "a", measurements: []measurement{{name: "x"}, {name: "y"}}},
		{name: "b", measurements: []measurement{{name: "x"}}},
	}
	for only, want := range map[string]string{"": "a/x a/y b/x", "x": "a/x b/x", "^a/": "a/x a/y", "z": ""} {
		var got []string
		for _, g := range pick(all, regexp.MustCompile(only)) {
			for _, m := range g.measurements {
				got = append(got, pathOf(g.name, m.name))
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("pick(%q) = %q, want %q", only, got, want)
		}
	}
}

// Names tell measurements apart, with as many jobs as may be and with few.
func TestNames(t *testing.T) {
	for _, most := range []string{"100", "5000", "10000000"} {
		seen := map[string]bool{}
		for _, g := range allGroups(parsed(t, "-max", most).settings) {
			for _, m := range g.measurements {
				path := pathOf(g.name, m.name)
				if seen[path] {
					t.Errorf("-max %s: two measurements are %s", most, path)
				}
				seen[path] = true
			}
		}
	}
}
