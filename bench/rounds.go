package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
)

// result is what came of a measurement in all rounds.
type result struct {
	*measurement
	group   *group
	figures map[string][]float64 // by name, then by round
	ratios  map[string][]float64 // to the first of the group
	late    []float64            // of all rounds
	err     error                // if it could not be made
}

// runner makes a measurement once.
type runner func(ctx context.Context, g *group, m *measurement) (sample, error)

// measure makes each measurement of the groups once in each round. Those of a
// group take turns, so that what else the machine does hits all of them alike. One
// that fails is left out from then on. It returns an error if ctx ends.
func measure(ctx context.Context, groups []group, rounds int, once runner, progress io.Writer) ([]result, error) {
	var all []result
	for i := range groups {
		results := resultsOf(&groups[i])
		for round := range rounds {
			for j := range results {
				r := &results[j]
				if r.err != nil || r.rounds > 0 && round >= r.rounds {
					continue
				}
				fmt.Fprintf(progress, "round %d of %d: %s\n", round+1, rounds, r.path())
				s, err := once(ctx, r.group, r.measurement)
				if ctx.Err() != nil {
					return nil, context.Cause(ctx)
				}
				if r.err = err; err != nil {
					fmt.Fprintf(progress, "failed: %v\n", err)
					continue
				}
				r.add(s)
			}
		}
		compare(results)
		all = append(all, results...)
	}
	return all, nil
}

// resultsOf returns a result for each measurement of a group, with nothing in it.
func resultsOf(g *group) []result {
	results := make([]result, len(g.measurements))
	for i := range results {
		results[i] = result{
			measurement: &g.measurements[i],
			group:       g,
			figures:     map[string][]float64{},
			ratios:      map[string][]float64{},
		}
	}
	return results
}

func (r *result) path() string { return pathOf(r.group.name, r.name) }

// add adds the figures of one more round.
func (r *result) add(s sample) {
	for name, f := range s.Figures {
		r.figures[name] = append(r.figures[name], f)
	}
	r.late = append(r.late, s.Late...)
}

// compare works out the ratios of a group round by round, so that what slowed the
// machine down for some rounds is in both figures of a ratio.
func compare(results []result) {
	for i := range results {
		for name, figures := range results[i].figures {
			base := firstWith(results, name).figures[name]
			for round := range min(len(figures), len(base)) {
				results[i].ratios[name] = append(results[i].ratios[name], figures[round]/base[round])
			}
		}
	}
}

// firstWith returns the first result of a group that has a figure, nil if none
// has.
func firstWith(results []result, name string) *result {
	for i := range results {
		if len(results[i].figures[name]) > 0 {
			return &results[i]
		}
	}
	return nil
}

// median is NaN if there are no figures.
func median(figures []float64) float64 {
	if len(figures) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(figures))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// quantile returns the figure below which a share q of the sorted ones is.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	return sorted[int(q*float64(len(sorted)-1))]
}
