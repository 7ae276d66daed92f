package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend/memory"
	"github.com/freqlimit/dispatcher/gcra"
)

// How late work starts: from the instant that the limit allows to the instant
// that the work function is entered.

// latenessRates are per second.
var latenessRates = []int{30, 300, 1000}

// latenessTimes is how many times -time a measurement takes, for at 30 a second
// there is little to see in a second.
const latenessTimes = 3

// began is about when this process has.
var began = time.Now()

// waiter starts n pieces of work under a limit and returns how late each began.
type waiter func(ctx context.Context, rate, n int) ([]time.Duration, error)

func latenessGroups() []group {
	var groups []group
	for _, rate := range latenessRates {
		measured := func(name string, wait waiter, goals ...goal) measurement {
			return measurement{name: name, rounds: 3, goals: goals, run: lateness(rate, wait)}
		}
		goals := aims(
			goal{figure: "p50", bound: atMost, value: 1.0 / 20, ratio: true},
			goal{figure: "p99", bound: atMost, value: 1.0 / 5, ratio: true},
			goal{figure: "early", bound: atMost})
		if rate == 30 {
			goals = append(goals, goal{figure: "processor", bound: atMost, value: 5})
		}
		groups = append(groups, group{
			name: latenessGroup(rate),
			figures: []figure{
				{name: "p50", unit: "µs"},
				{name: "p99", unit: "µs"},
				{name: "early", unit: "starts"},
				{name: "processor", unit: "% of a core"},
			},
			measurements: []measurement{
				measured("goroutine + x/time/rate", waitXTime),
				measured("uber ratelimit, one loop", waitUber),
				measured("goroutine + FreqLimit.Wait", waitFreqLimit, goal{figure: "early", bound: atMost}),
				measured("dispatcher", waitDispatcher, goals...),
			},
		})
	}
	return groups
}

func latenessGroup(rate int) string { return "Lateness at " + thousands(float64(rate)) + "/s" }

// lateness measures a waiter. What the process has used includes its start.
func lateness(rate int, wait waiter) func(context.Context, settings) (sample, error) {
	return func(ctx context.Context, s settings) (sample, error) {
		late, err := wait(ctx, rate, s.scale(latenessTimes*rate, 3))
		if err != nil {
			return sample{}, err
		}
		used, _, err := usage()
		share := 100 * used.Seconds() / time.Since(began).Seconds()
		out := lateSample(late)
		out.Figures["processor"] = share
		return out, err
	}
}

// lateSample sums up how late starts were.
func lateSample(late []time.Duration) sample {
	sorted, early := make([]float64, len(late)), 0
	for i, d := range late {
		sorted[i] = microseconds(d)
		if d < 0 {
			early++
		}
	}
	slices.Sort(sorted)
	return sample{
		Figures: map[string]float64{
			"p50":   quantile(sorted, 0.5),
			"p99":   quantile(sorted, 0.99),
			"early": float64(early),
		},
		Late: sorted,
	}
}

func microseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

func perSecond(rate int) gcra.FreqLimitParams {
	return gcra.FreqLimitParams{Limit: rate, Period: time.Second}
}

// waitDispatcher is this project: jobs of 100 keys under one shared limit.
func waitDispatcher(ctx context.Context, rate, n int) ([]time.Duration, error) {
	late := make([]time.Duration, n)
	limits := []dispatcher.Limit{{Key: "shared", Params: perSecond(rate)}}
	d, err := dispatcher.New(memory.New(memory.Config{}), func(_ context.Context, job dispatcher.Job[int]) error {
		late[job.Payload] = time.Since(job.Slot())
		return nil
	}, dispatcher.Config[int]{Limits: func(string, int) []dispatcher.Limit { return limits }})
	if err != nil {
		return nil, err
	}
	for i := range n {
		if err := d.Submit(ctx, strconv.Itoa(i%100), i); err != nil {
			return nil, err
		}
	}
	return late, runAll(ctx, d, n)
}

// drain ends a dispatcher that runs, when all of its jobs are done.
func drain[T any](ctx context.Context, d *dispatcher.Dispatcher[T], ran <-chan error, jobs int) error {
	if err := d.Shutdown(ctx); err != nil {
		return err
	}
	if err := <-ran; err != nil {
		return err
	}
	if done := d.Stats().Succeeded; done != uint64(jobs) {
		return fmt.Errorf("%d jobs of %d have succeeded", done, jobs)
	}
	return nil
}

// start runs a dispatcher.
func start[T any](ctx context.Context, d *dispatcher.Dispatcher[T]) <-chan error {
	ran := make(chan error, 1)
	go func() { ran <- d.Run(ctx) }()
	return ran
}

// runAll runs a dispatcher until all of its jobs are done.
func runAll[T any](ctx context.Context, d *dispatcher.Dispatcher[T], jobs int) error {
	return drain(ctx, d, start(ctx, d), jobs)
}
