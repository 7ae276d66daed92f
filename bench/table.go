package main

import (
	"fmt"
	"io"
	"math"
	"runtime"
	"strconv"
	"strings"
)

// printHeader says what the figures were made with, and what they are.
func printHeader(w io.Writer, o options) {
	fmt.Fprintf(w, "%s %s/%s, %d cores; %d rounds of %v\n",
		strings.Replace(runtime.Version(), "go", "Go ", 1), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), o.rounds, o.time)
}

// printTable prints a line for each result, then one for each goal.
func printTable(w io.Writer, results []result) {
	width := 0
	for _, r := range results {
		width = max(width, len(r.name))
	}
	fmt.Fprintf(w, "\n%-*s  %11s  %21s  %7s\n", width+2, "", "per second", "min - max", "ratio")
	group := ""
	for i, r := range results {
		if r.group != group || i == 0 {
			group = r.group
			fmt.Fprintln(w, group)
		}
		fmt.Fprintf(w, "  %-*s  %11s  %21s  %7.2f\n", width, r.name, thousands(median(r.rates)), span(r.rates), median(r.ratios))
	}
	fmt.Fprintln(w, "\nMedians. A ratio is to the first line of its group, taken round by round.")
	for _, r := range results {
		if r.goal > 0 {
			fmt.Fprintln(w, verdict(r, results))
		}
	}
}

// span is the least and the greatest figure.
func span(figures []float64) string {
	least, most := math.Inf(1), math.Inf(-1)
	for _, f := range figures {
		least, most = min(least, f), max(most, f)
	}
	return thousands(least) + " - " + thousands(most)
}

// verdict says whether a goal is met.
func verdict(r result, results []result) string {
	base := ""
	for _, other := range results {
		if other.group == r.group {
			base = other.name
			break
		}
	}
	if base == r.name {
		return fmt.Sprintf("goal of %s: not measured, for what it is compared with was left out", r.path())
	}
	outcome := "met"
	if median(r.ratios) < r.goal {
		outcome = "MISSED"
	}
	return fmt.Sprintf("goal %s: %s, %s at least %g times %s: %.2f",
		outcome, r.group, r.name, r.goal, base, median(r.ratios))
}

// thousands writes a figure without decimals, in groups of three digits.
func thousands(f float64) string {
	digits := strconv.FormatFloat(math.Round(f), 'f', 0, 64)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
