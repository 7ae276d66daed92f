package main

import (
	"context"
	"runtime"
	"slices"
	"time"

	"github.com/freqlimit/dispatcher"
)

// How long a call of Submit takes while other jobs wait, each call by the clock:
// two looks at it are in the figure.
const (
	submitCalls  = 200_000 // at the default time
	submitInARow = 100     // before what was submitted is waited for
	submitKeys   = 1000
)

func submitGroup(s settings) group {
	line := func(waiting int, goals ...goal) measurement {
		return measurement{name: count(waiting, "job") + " waiting", rounds: 3, goals: goals, run: submitBeside(waiting)}
	}
	quick := goal{figure: "p99", bound: atMost, value: 10_000}
	return group{
		name:    "Submit",
		figures: []figure{{name: "p50", unit: "ns"}, {name: "p99", unit: "ns"}},
		measurements: []measurement{
			line(min(1000, s.Max/2), quick),
			line(min(1_000_000, s.Max), quick, goal{figure: "p50", bound: atMost, value: 2, ratio: true}),
		},
	}
}

// submitBeside measures calls of Submit beside jobs that wait. The jobs that are
// submitted start at once, so that as many wait all the time.
func submitBeside(waiting int) func(context.Context, settings) (sample, error) {
	return func(ctx context.Context, s settings) (sample, error) {
		names := namesOf(waiting/jobsPerKey + submitKeys)
		waits, starts := names[submitKeys:], names[:submitKeys]
		// The limits of each key are made beforehand, by the number of the job.
		limits := make([][]dispatcher.Limit, len(names))
		for i, name := range names {
			limits[i] = []dispatcher.Limit{{Key: name, Params: slow}}
			if i < submitKeys {
				limits[i][0].Params = loose
			}
		}
		d, err := queue(dispatcher.Config[int]{Limits: func(_ string, i int) []dispatcher.Limit {
			if i < 0 {
				return limits[(-i-1)%submitKeys]
			}
			return limits[submitKeys+i%len(waits)]
		}})
		if err != nil {
			return sample{}, err
		}
		if err := fill(ctx, d, waits, waiting/jobsPerKey*jobsPerKey, len(waits)); err != nil {
			return sample{}, err
		}
		took, err := timeSubmits(ctx, d, starts, s.scale(submitCalls, 1000))
		if err != nil {
			return sample{}, err
		}
		return sample{Figures: map[string]float64{"p50": quantile(took, 0.5), "p99": quantile(took, 0.99)}}, nil
	}
}

// timeSubmits submits n jobs, with negative payloads, and returns how many
// nanoseconds each call took, sorted.
func timeSubmits(ctx context.Context, d *dispatcher.Dispatcher[int], names []string, n int) ([]float64, error) {
	took, waiting := make([]float64, n), d.Stats().Waiting
	runtime.GC()
	for i := range n {
		from := time.Now()
		err := d.Submit(ctx, names[i%len(names)], -1-i)
		took[i] = float64(time.Since(from).Nanoseconds())
		if err != nil {
			return nil, err
		}
		for i%submitInARow == 0 && d.Stats().Waiting > waiting {
			runtime.Gosched()
		}
	}
	slices.Sort(took)
	return took, nil
}
