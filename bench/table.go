package main

import (
	"fmt"
	"io"
	"math"
	"runtime"
	"strconv"
	"strings"
	"unicode/utf8"
)

// printHeader says what the figures were made with.
func printHeader(w io.Writer, o options, about string) {
	fmt.Fprintf(w, "%s %s/%s, %d cores; %d rounds of %v",
		strings.Replace(runtime.Version(), "go", "Go ", 1), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), o.rounds, o.Time)
	if about != "" {
		fmt.Fprint(w, "; ", about)
	}
	fmt.Fprintln(w)
}

// block is the lines of the table for one figure of a group.
type block struct {
	group   *group
	figure  figure
	results []*result
}

// blocksOf puts the results in the order of the table.
func blocksOf(results []result) []block {
	var blocks []block
	for i, r := range results {
		if i > 0 && results[i-1].group == r.group {
			continue
		}
		for _, f := range r.group.figures {
			b := block{group: r.group, figure: f}
			for j := range results {
				if other := &results[j]; other.group == r.group && len(other.figures[f.name]) > 0 {
					b.results = append(b.results, other)
				}
			}
			if len(b.results) > 0 {
				blocks = append(blocks, b)
			}
		}
	}
	return blocks
}

// heading names a figure of a group.
func (g *group) heading(f figure) string {
	if f.name == "" {
		return g.name
	}
	return g.name + ", " + f.name
}

const legend = "Medians. A ratio is to the first line of its group, taken round by round."

// printTable prints a line for each figure of each result.
func printTable(w io.Writer, results []result) {
	width := 0
	for i := range results {
		width = max(width, utf8.RuneCountInString(results[i].name))
	}
	fmt.Fprintf(w, "\n%-*s  %11s  %21s  %7s\n", width+2, "", "median", "min - max", "ratio")
	for _, b := range blocksOf(results) {
		fmt.Fprintf(w, "%s: %s\n", b.group.heading(b.figure), b.figure.unit)
		for _, r := range b.results {
			figures := r.figures[b.figure.name]
			fmt.Fprintf(w, "  %-*s  %11s  %21s  %7s\n", width, r.name,
				number(median(figures)), span(figures), factor(median(r.ratios[b.figure.name])))
		}
	}
	fmt.Fprintln(w, "\n"+legend)
}

// printMarkdown is printTable for a README.
func printMarkdown(w io.Writer, results []result) {
	for i, b := range blocksOf(results) {
		if i == 0 {
			fmt.Fprintln(w, "\n| | median | min - max | ratio |\n| --- | ---: | ---: | ---: |")
		}
		fmt.Fprintf(w, "| **%s**: %s | | | |\n", b.group.heading(b.figure), b.figure.unit)
		for _, r := range b.results {
			figures := r.figures[b.figure.name]
			fmt.Fprintf(w, "| %s | %s | %s | %s |\n", r.name,
				number(median(figures)), span(figures), factor(median(r.ratios[b.figure.name])))
		}
	}
	fmt.Fprintf(w, "\n%s\n\n", legend)
}

// printGoals prints a line for each goal and one for each measurement that could
// not be made. Lines begin with a prefix.
func printGoals(w io.Writer, results []result, prefix string) {
	met, missed := 0, 0
	for i := range results {
		r := &results[i]
		if r.err != nil {
			fmt.Fprintf(w, "%sfailed: %v\n", prefix, r.err)
		}
		for _, g := range r.goals {
			line, how := g.verdict(r, peerOf(results, r, g.figure), r.group.figureOf(g.figure))
			switch how {
			case isMet:
				met++
			case isMissed:
				missed++
			}
			fmt.Fprintln(w, prefix+line)
		}
	}
	if met+missed > 0 {
		fmt.Fprintf(w, "\ngoals: %d met, %d missed\n", met, missed)
	}
}

// peerOf returns what a result is compared with, nil if that is not there.
func peerOf(results []result, r *result, figure string) *result {
	for i := range results {
		if other := &results[i]; other.group == r.group && len(other.figures[figure]) > 0 {
			return other
		}
	}
	return nil
}

func (g *group) figureOf(name string) figure {
	for _, f := range g.figures {
		if f.name == name {
			return f
		}
	}
	return figure{name: name}
}

// span is the least and the greatest figure.
func span(figures []float64) string {
	least, most := math.Inf(1), math.Inf(-1)
	for _, f := range figures {
		least, most = min(least, f), max(most, f)
	}
	return number(least) + " - " + number(most)
}

// number writes a figure with about three digits, or without decimals in groups
// of three digits. Shares near 100% keep their decimals.
func number(f float64) string {
	abs := math.Abs(f)
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return "-"
	case f == math.Trunc(f) || abs >= 100:
		return thousands(f)
	case abs >= 99:
		return strconv.FormatFloat(f, 'f', 3, 64)
	case abs >= 10:
		return strconv.FormatFloat(f, 'f', 1, 64)
	}
	return strconv.FormatFloat(f, 'f', 2, 64)
}

// thousands writes a figure without decimals, in groups of three digits.
func thousands(f float64) string {
	digits := strconv.FormatFloat(math.Round(math.Abs(f)), 'f', 0, 64)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	if f <= -0.5 {
		return "-" + digits
	}
	return digits
}
