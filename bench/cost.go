package main

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
)

// What a job costs when many wait. Each is under the limit of its key, which is
// wide, and under one that all share and that is closed until all of them wait.
//
//   - submit is the time from the first submit until all have been taken in,
//   - run is the time from the opening to the end of the last one,
//   - memory is what is in use while all wait, more than before there was
//     anything but the keys and limits, less the payload.

// costSizes are how many jobs wait.
var costSizes = []int{10_000, 100_000, 1_000_000, 10_000_000}

const (
	// costPeerMost is how many goroutines may wait.
	costPeerMost = 1_000_000

	residentJobs  = 10_000_000
	residentLimit = 2200 << 20 // bytes, for the garbage collector to aim at
	residentGoal  = 2500       // MB

	// repeatJobs is how many jobs there are in all where few are measured again
	// and again: alone, what takes milliseconds is at the mercy of the machine.
	repeatJobs = 100_000

	costDispatcher = "dispatcher"
	costGoroutines = "goroutine + x/time/rate"
)

func costGroup(s settings) group {
	g := group{
		name: "Cost of a job when many wait",
		figures: []figure{
			{name: "submit", unit: "ns/job"},
			{name: "run", unit: "ns/job"},
			{name: "memory", unit: "bytes a job, without its payload"},
		},
	}
	for _, of := range []struct {
		series string
		most   int
		run    func(ctx context.Context, jobs int) (costs, error)
	}{
		{costDispatcher, s.Max, costOfDispatcher},
		{costGoroutines, min(s.Max, costPeerMost), costOfGoroutines},
	} {
		for _, jobs := range sizesUpTo(of.most) {
			m := measurement{name: of.series + ", " + count(jobs, "job"), series: of.series, size: jobs, rounds: 3}
			if jobs >= 1_000_000 {
				m.rounds = 1
			}
			if of.series == costDispatcher && jobs == 10_000_000 {
				m.goals = aims(goal{figure: "run", bound: atMost, value: 2, ratio: true})
			}
			m.run = func(ctx context.Context, _ settings) (sample, error) {
				c, err := repeated(ctx, jobs, of.run)
				return sample{Figures: map[string]float64{"submit": c.submit, "run": c.run, "memory": c.memory}}, err
			}
			g.measurements = append(g.measurements, m)
		}
	}
	return g
}

// sizesUpTo returns the sizes that are not above a number, at least one.
func sizesUpTo(most int) []int {
	sizes := slices.DeleteFunc(slices.Clone(costSizes), func(n int) bool { return n > most })
	if len(sizes) == 0 {
		return []int{most}
	}
	return sizes
}

// residentGroup is about the memory of the whole process, with the garbage of ten
// million submits and all that is not the queue's.
func residentGroup(s settings) group {
	jobs := min(residentJobs, s.Max)
	m := measurement{
		name:   fmt.Sprintf("dispatcher, %s, GOMEMLIMIT %d MiB", count(jobs, "job"), residentLimit>>20),
		rounds: 1,
		run: func(ctx context.Context, _ settings) (sample, error) {
			debug.SetMemoryLimit(residentLimit)
			c, err := costOfDispatcher(ctx, jobs)
			if err != nil {
				return sample{}, err
			}
			_, resident, err := usage()
			return sample{Figures: map[string]float64{"resident": resident / 1e6, "run": c.run}}, err
		},
	}
	if jobs == residentJobs {
		m.goals = aims(goal{figure: "resident", bound: atMost, value: residentGoal})
	}
	return group{
		name:         "A process in which all jobs wait, then run",
		figures:      []figure{{name: "resident", unit: "MB"}, {name: "run", unit: "ns/job"}},
		measurements: []measurement{m},
	}
}

// costs are nanoseconds and bytes for each job.
type costs struct{ submit, run, memory float64 }

// repeated returns the medians of as many runs as make repeatJobs jobs.
func repeated(ctx context.Context, jobs int, run func(ctx context.Context, jobs int) (costs, error)) (costs, error) {
	var submit, running, memory []float64
	for range max(repeatJobs/jobs, 1) {
		c, err := run(ctx, jobs)
		if err != nil {
			return costs{}, err
		}
		submit, running, memory = append(submit, c.submit), append(running, c.run), append(memory, c.memory)
	}
	return costs{median(submit), median(running), median(memory)}, nil
}
