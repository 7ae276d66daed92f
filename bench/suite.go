package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"
)

// suite is measurements that need the same things.
type suite struct {
	name string

	// open gets what the measurements need, and returns a line about it and what
	// gives it back. It is called if there is a measurement to make.
	open func(ctx context.Context) (about string, close func() error, err error)

	measurements []measurement
}

// measurement is one line of the table. The first of a group is the one that the
// others of the group are compared with.
type measurement struct {
	group string
	name  string

	// goal is the ratio to the first of the group that is to be reached, 0 if
	// there is none.
	goal float64

	// run works until ctx ends, which is not an error, and says how much it has
	// done and how long that took, without what it takes to get ready and to
	// clear up.
	run func(ctx context.Context) (sample, error)
}

// sample is what came of running a measurement once.
type sample struct {
	count   int
	elapsed time.Duration
}

func (s sample) perSecond() float64 { return float64(s.count) / s.elapsed.Seconds() }

// path is what -only is matched against.
func (m *measurement) path() string { return m.group + "/" + m.name }

// pick returns the suites with only those measurements that match.
func pick(suites []suite, only *regexp.Regexp) []suite {
	var picked []suite
	for _, s := range suites {
		var some []measurement
		for _, m := range s.measurements {
			if only.MatchString(m.path()) {
				some = append(some, m)
			}
		}
		if s.measurements = some; len(some) > 0 {
			picked = append(picked, s)
		}
	}
	return picked
}

// run makes the measurements of a suite and prints their lines of the table.
func (s suite) run(ctx context.Context, o options, stdout, stderr io.Writer) (err error) {
	about, closeSuite, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeSuite()) }()
	fmt.Fprintln(stdout, about)
	results, err := measure(ctx, s.measurements, o.rounds, o.time, func(round int) {
		fmt.Fprintf(stderr, "%s: round %d of %d\n", s.name, round, o.rounds)
	})
	if err != nil {
		return err
	}
	printTable(stdout, results)
	return nil
}
