package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/pprof"
	"strings"
	"time"
)

// Each measurement is made in a process of its own, so that none pays for the
// garbage, the threads and the timers of those before it. The process is this
// program, run again with an order in its environment; the answer is its output.

// orderVariable is the environment variable that makes this program a child.
const orderVariable = "FREQLIMIT_BENCH_ORDER"

// patience is how long a child may take. The longest take a minute.
const patience = 5 * time.Minute

// order says what a child is to measure.
type order struct {
	Group, Name string
	Settings    settings
	Profile     string // where to write a CPU profile, "" if nowhere
}

// answer is what a child says.
type answer struct {
	Sample sample
	Err    string // "" if all is well
}

// inChild makes a measurement in a process of its own.
func inChild(ctx context.Context, o order) (sample, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return sample{}, err
	}
	program, err := os.Executable()
	if err != nil {
		return sample{}, err
	}
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(limited, program)
	cmd.Env = append(os.Environ(), orderVariable+"="+string(text))
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	// The child ends when this pipe does, so that none outlives this process.
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return sample{}, err
	}
	defer stdin.Close()
	ran := cmd.Run()
	if limited.Err() != nil && ctx.Err() == nil {
		return sample{}, fmt.Errorf("%s: no answer in %v", pathOf(o.Group, o.Name), patience)
	}
	s, err := readAnswer(&stdout, ran, stderr.String())
	if err != nil {
		return s, fmt.Errorf("%s: %w", pathOf(o.Group, o.Name), err)
	}
	return s, nil
}

// readAnswer reads what a child said. If that is nothing of use, the error tells
// how it ended and what it complained about.
func readAnswer(stdout io.Reader, ran error, stderr string) (sample, error) {
	var a answer
	if err := json.NewDecoder(stdout).Decode(&a); err != nil {
		return sample{}, fmt.Errorf("%w: %s", cmp.Or(ran, err), last(strings.TrimSpace(stderr), 2000))
	}
	if a.Err != "" {
		return sample{}, errors.New(a.Err)
	}
	return a.Sample, ran
}

// last returns the last n bytes of a text that is longer.
func last(text string, n int) string { return text[max(len(text)-n, 0):] }

// isChild does what an order in the environment says, and reports whether there
// was one.
func isChild() bool {
	text := os.Getenv(orderVariable)
	if text == "" {
		return false
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1) // the parent has gone
	}()
	s, err := obey(context.Background(), text)
	a := answer{Sample: s}
	if err != nil {
		a = answer{Err: err.Error()} // the figures are of no use, and may be none
	}
	if err := json.NewEncoder(os.Stdout).Encode(a); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
	return true
}

// obey makes the measurement that an order names.
func obey(ctx context.Context, text string) (sample, error) {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return sample{}, fmt.Errorf("%s: %w", orderVariable, err)
	}
	m, err := find(allGroups(o.Settings), o.Group, o.Name)
	if err != nil {
		return sample{}, err
	}
	stop, err := startProfile(o.Profile)
	if err != nil {
		return sample{}, err
	}
	s, err := m.run(ctx, o.Settings)
	return s, errors.Join(err, stop())
}

func find(groups []group, group, name string) (*measurement, error) {
	for _, g := range groups {
		for i := range g.measurements {
			if g.name == group && g.measurements[i].name == name {
				return &g.measurements[i], nil
			}
		}
	}
	return nil, fmt.Errorf("there is no measurement %q", pathOf(group, name))
}

// startProfile starts a CPU profile unless path is "".
func startProfile(path string) (stop func() error, err error) {
	if path == "" {
		return func() error { return nil }, nil
	}
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return file.Close()
	}, nil
}
