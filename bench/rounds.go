package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"
)

// result is what came of a measurement in all rounds.
type result struct {
	*measurement
	rates  []float64 // per second, by round
	ratios []float64 // to the first of the group, by round
}

// measure runs each measurement once in each round, for a time, after a round of
// a tenth of it that does not count: in it connections are made, scripts loaded
// and memory grown.
func measure(ctx context.Context, ms []measurement, rounds int, each time.Duration, begin func(round int)) ([]result, error) {
	results := make([]result, len(ms))
	for i := range ms {
		results[i].measurement = &ms[i]
		if _, err := once(ctx, &ms[i], each/10); err != nil {
			return nil, err
		}
	}
	for round := range rounds {
		begin(round + 1)
		for i := range ms {
			s, err := once(ctx, &ms[i], each)
			if err != nil {
				return nil, err
			}
			results[i].rates = append(results[i].rates, s.perSecond())
		}
	}
	compare(results)
	return results, nil
}

// once runs a measurement for a time. The garbage of others is not to be its.
func once(ctx context.Context, m *measurement, each time.Duration) (sample, error) {
	runtime.GC()
	limited, cancel := context.WithTimeout(ctx, each)
	defer cancel()
	s, err := m.run(limited)
	switch {
	case err != nil:
		return s, fmt.Errorf("%s: %w", m.path(), err)
	case ctx.Err() != nil:
		return s, context.Cause(ctx)
	case s.count == 0:
		return s, fmt.Errorf("%s: nothing was done in %v", m.path(), each)
	}
	return s, nil
}

// compare works out the ratios round by round, so that what slowed the machine
// down for some rounds is in both figures of a ratio.
func compare(results []result) {
	first := map[string]*result{}
	for i := range results {
		r := &results[i]
		base := first[r.group]
		if base == nil {
			first[r.group], base = r, r
		}
		for round, rate := range r.rates {
			r.ratios = append(r.ratios, rate/base.rates[round])
		}
	}
}

// median is of at least one figure.
func median(figures []float64) float64 {
	sorted := slices.Sorted(slices.Values(figures))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}
