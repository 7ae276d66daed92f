package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

// Measurements of a group take turns; one that needs few rounds is in the first
// ones; one that fails harms no other.
func TestMeasure(t *testing.T) {
	broken := errors.New("broken")
	groups := []group{
		{name: "a", measurements: []measurement{{name: "x"}, {name: "once", rounds: 1}, {name: "bad"}}},
		{name: "b", measurements: []measurement{{name: "x"}}},
	}
	var order []string
	once := func(_ context.Context, g *group, m *measurement) (sample, error) {
		order = append(order, pathOf(g.name, m.name))
		if m.name == "bad" {
			return sample{}, broken
		}
		return sample{Figures: map[string]float64{"": float64(len(order))}, Late: []float64{1}}, nil
	}
	var progress bytes.Buffer
	results, err := measure(t.Context(), groups, 2, once, &progress)
	if err != nil {
		t.Fatalf("measure() = %v, want nil", err)
	}
	if got, want := strings.Join(order, " "), "a/x a/once a/bad a/x b/x b/x"; got != want {
		t.Errorf("order = %q, want %q", got, want)
	}
	if got, want := results[0].figures[""], []float64{1, 4}; !slices.Equal(got, want) || len(results[0].late) != 2 {
		t.Errorf("figures = %v, %d late, want %v, 2", got, len(results[0].late), want)
	}
	if got := results[1].ratios[""]; !slices.Equal(got, []float64{2}) {
		t.Errorf("ratios of what is in one round = %v, want 2, to that round", got)
	}
	if !errors.Is(results[2].err, broken) || failures(results) == nil || failures(results[:2]) != nil {
		t.Errorf("failures() = %v, want the failure of a/bad", failures(results))
	}
	if text := progress.String(); !strings.Contains(text, "round 2 of 2: a/x\n") || strings.Count(text, "failed: broken\n") != 1 {
		t.Errorf("progress = %q, want the rounds and one failure", text)
	}
}

// A run that is stopped says so, and has no figures.
func TestStopped(t *testing.T) {
	stopped := errors.New("stopped")
	ctx, stop := context.WithCancelCause(t.Context())
	stop(stopped)
	groups := []group{{name: "a", measurements: []measurement{{name: "x"}}}}
	once := func(context.Context, *group, *measurement) (sample, error) { return only(1), nil }
	if results, err := measure(ctx, groups, 1, once, io.Discard); !errors.Is(err, stopped) || results != nil {
		t.Errorf("measure() of a context that has ended = %v, %v, want %v", results, err, stopped)
	}
}

// A start before its instant counts as early.
func TestLateSample(t *testing.T) {
	s := lateSample([]time.Duration{3000, -1, 1000, 0})
	if s.Figures["early"] != 1 || s.Figures["p50"] != 0 || len(s.Late) != 4 {
		t.Errorf("lateSample() = %v, want 1 early and a p50 of 0", s)
	}
}

// What is measured again and again gives its median.
func TestRepeated(t *testing.T) {
	runs := 0
	c, err := repeated(t.Context(), repeatJobs/5, func(context.Context, int) (costs, error) {
		runs++
		return costs{submit: float64(runs), run: float64(runs * runs), memory: 1}, nil
	})
	if want := (costs{3, 9, 1}); err != nil || runs != 5 || c != want {
		t.Errorf("repeated() = %v, %v after %d runs, want %v after 5", c, err, runs, want)
	}
}

func TestMedianAndQuantile(t *testing.T) {
	if got := median([]float64{4, 1, 3, 2}); got != 2.5 {
		t.Errorf("median(4, 1, 3, 2) = %v, want 2.5", got)
	}
	sorted := []float64{1, 2, 3, 4, 5}
	for q, want := range map[float64]float64{0: 1, 0.5: 3, 0.99: 4, 1: 5} {
		if got := quantile(sorted, q); got != want {
			t.Errorf("quantile(%v) = %v, want %v", q, got, want)
		}
	}
}
