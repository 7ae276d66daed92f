package main

import (
	"fmt"
	"math"
	"strconv"
)

// goal is what a figure of a measurement is to reach.
type goal struct {
	figure string
	bound  bound
	value  float64
	ratio  bool // the value is a ratio to the first of the group
}

type bound string

const (
	atLeast bound = "at least"
	atMost  bound = "at most"
)

// aims makes a list of goals.
func aims(goals ...goal) []goal { return goals }

// faster is the goal of a group with one figure, a rate.
func faster(ratio float64) []goal {
	return aims(goal{bound: atLeast, value: ratio, ratio: true})
}

// met says whether a figure is as it is to be.
func (g goal) met(figure float64) bool {
	if g.bound == atLeast {
		return figure >= g.value
	}
	return figure <= g.value
}

// outcome is what came of a goal.
type outcome int

const (
	isOpen outcome = iota // what it is compared with was not measured
	isMet
	isMissed
)

// verdict says whether a goal of a measurement is reached. The peer is what the
// figure is compared with, nil if that was not measured.
func (g goal) verdict(r, peer *result, f figure) (line string, of outcome) {
	what := r.group.heading(f) + ", " + r.name
	figures := r.figures[g.figure]
	reached, want := median(figures), aim(g.value)+" "+f.unit
	if g.ratio {
		if peer == nil || peer.name != r.group.first {
			return fmt.Sprintf("goal of %s: not measured, for what it is compared with was left out", what), isOpen
		}
		reached = median(r.ratios[g.figure])
		want = aim(g.value) + " times " + peer.name
	}
	if len(figures) == 0 || math.IsNaN(reached) {
		return fmt.Sprintf("goal MISSED: %s %s %s: not measured", what, g.bound, want), isMissed
	}
	is, word := isMissed, "MISSED"
	if g.met(reached) {
		is, word = isMet, "met"
	}
	shown := number(reached)
	if g.ratio {
		shown = factor(reached)
	}
	return fmt.Sprintf("goal %s: %s %s %s: %s", word, what, g.bound, want, shown), is
}

// aim writes what is to be reached.
func aim(f float64) string {
	if f >= 1000 {
		return thousands(f)
	}
	return strconv.FormatFloat(f, 'g', 3, 64)
}

// factor writes a ratio.
func factor(f float64) string {
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return "-"
	case f != 0 && f < 0.1:
		return strconv.FormatFloat(f, 'f', 3, 64)
	}
	return strconv.FormatFloat(f, 'f', 2, 64)
}
