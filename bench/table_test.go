package main

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"
)

// tableOf is two groups of results as they come of a run.
func tableOf() []result {
	speed := &group{name: "speed", first: "peer", figures: []figure{{unit: "per second"}}, measurements: []measurement{
		{name: "peer"}, {name: "own", goals: faster(3)},
	}}
	late := &group{name: "late", first: "peer", figures: []figure{{name: "p50", unit: "µs"}, {name: "early", unit: "starts"}}, measurements: []measurement{
		{name: "peer"}, {name: "own", goals: aims(
			goal{figure: "p50", bound: atMost, value: 0.05, ratio: true},
			goal{figure: "early", bound: atMost},
		)},
	}}
	results := append(resultsOf(speed), resultsOf(late)...)
	results[0].figures[""] = []float64{1000, 2000, 500}
	results[1].figures[""] = []float64{4000, 5000, 2000}
	results[2].figures["p50"] = []float64{1067.4, 1000}
	results[3].figures["p50"] = []float64{12.34, 10}
	results[3].figures["early"] = []float64{0, 0}
	compare(results[:2])
	compare(results[2:])
	return results
}

func TestPrintTable(t *testing.T) {
	var table bytes.Buffer
	printTable(&table, tableOf())
	want := `
             median              min - max    ratio
speed: per second
  peer        1,000            500 - 2,000     1.00
  own         4,000          2,000 - 5,000     4.00
late, p50: µs
  peer        1,034          1,000 - 1,067     1.00
  own          11.2              10 - 12.3    0.011
late, early: starts
  own             0                  0 - 0        -

` + legend + "\n"
	if table.String() != want {
		t.Errorf("printTable() = %s\nwant %s", table.String(), want)
	}
}

func TestPrintMarkdown(t *testing.T) {
	var table bytes.Buffer
	printMarkdown(&table, tableOf())
	for _, want := range []string{
		"\n| | median | min - max | ratio |\n| --- | ---: | ---: | ---: |\n",
		"\n| **speed**: per second | | | |\n",
		"\n| own | 4,000 | 2,000 - 5,000 | 4.00 |\n",
	} {
		if strings.Count(table.String(), want) != 1 {
			t.Errorf("printMarkdown() = %s\nwant one %q", table.String(), want)
		}
	}
}

func TestPrintGoals(t *testing.T) {
	results := tableOf()
	results[2].err = errors.New("late/peer: broken")
	var goals bytes.Buffer
	printGoals(&goals, results, "- ")
	want := `- goal met: speed, own at least 3 times peer: 4.00
- failed: late/peer: broken
- goal met: late, p50, own at most 0.05 times peer: 0.011
- goal met: late, early, own at most 0 starts: 0

goals: 3 met, 0 missed
`
	if goals.String() != want {
		t.Errorf("printGoals() = %s\nwant %s", goals.String(), want)
	}
}

func TestVerdict(t *testing.T) {
	results := tableOf()
	speed, late := &results[1], &results[3]
	for _, c := range []struct {
		goal goal
		r    *result
		peer *result
		want string
		is   outcome
	}{
		{goal{bound: atLeast, value: 4.5, ratio: true}, speed, &results[0], "goal MISSED: speed, own at least 4.5 times peer: 4.00", isMissed},
		{goal{bound: atLeast, value: 1_000_000}, speed, nil, "goal MISSED: speed, own at least 1,000,000 per second: 4,000", isMissed},
		{goal{bound: atLeast, value: 4000}, speed, nil, "goal met: speed, own at least 4,000 per second: 4,000", isMet},
		{goal{figure: "p50", bound: atMost, value: 10}, late, nil, "goal MISSED: late, p50, own at most 10 µs: 11.2", isMissed},
		{goal{figure: "p50", bound: atMost, value: 11.17}, late, nil, "goal met: late, p50, own at most 11.2 µs: 11.2", isMet},
		{goal{figure: "p99", bound: atMost, value: 1}, late, nil, "goal MISSED: late, p99, own at most 1 : not measured", isMissed},
		{goal{bound: atLeast, value: 3, ratio: true}, speed, speed, "goal of speed, own: not measured, for what it is compared with was left out", isOpen},
		{goal{bound: atLeast, value: 3, ratio: true}, speed, nil, "goal of speed, own: not measured, for what it is compared with was left out", isOpen},
	} {
		line, is := c.goal.verdict(c.r, c.peer, c.r.group.figureOf(c.goal.figure))
		if line != c.want || is != c.is {
			t.Errorf("verdict(%+v) = %q, %v, want %q, %v", c.goal, line, is, c.want, c.is)
		}
	}
}

func TestNumbers(t *testing.T) {
	for f, want := range map[float64]string{
		0: "0", 7.4: "7.40", 99.98: "99.980", 12.34: "12.3", 999.6: "1,000", 47012: "47,012", 1234567.4: "1,234,567",
		-7.4: "-7.40", -1234: "-1,234", math.Inf(1): "-",
	} {
		if got := number(f); got != want {
			t.Errorf("number(%v) = %q, want %q", f, got, want)
		}
	}
	for f, want := range map[float64]string{4: "4.00", 0.0166: "0.017", 14.94: "14.94", math.Inf(1): "-"} {
		if got := factor(f); got != want {
			t.Errorf("factor(%v) = %q, want %q", f, got, want)
		}
	}
	if got := short(10_000_000) + short(1500) + short(0.1); got != "10M1.5k0.1" {
		t.Errorf("short() = %q, want 10M1.5k0.1", got)
	}
}
