package main

import (
	"context"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend/backendtest"
	"github.com/freqlimit/dispatcher/backend/memory"
)

// How much of a limit is used while there is always work: the time that so many
// starts take at the limit's pace, in % of the time that they took, from the first
// instant allowed to the last start.
const (
	heldRate  = 1000
	heldTimes = 10 // times -time
)

func heldGroup() group {
	return group{
		name: "1,000/s held for 10 s",
		figures: []figure{
			{name: "share of the limit", unit: "%"},
			{name: "violations", unit: "early starts and windows exceeded"},
		},
		measurements: []measurement{
			{name: "goroutine + x/time/rate", rounds: 1, run: heldXTime},
			{
				name: "dispatcher", rounds: 1, run: heldDispatcher,
				goals: aims(goal{figure: "share of the limit", bound: atLeast, value: 99.9}, goal{figure: "violations", bound: atMost}),
			},
		},
	}
}

// share is what n starts have used of the limit.
func share(n int, from, to time.Time) float64 {
	ideal := time.Duration(n-1) * perSecond(heldRate).Interval()
	return 100 * ideal.Seconds() / to.Sub(from).Seconds()
}

func heldXTime(ctx context.Context, s settings) (sample, error) {
	n := s.scale(heldRate*heldTimes, 10)
	from := time.Now()
	if _, err := waitXTime(ctx, heldRate, n); err != nil {
		return sample{}, err
	}
	return sample{Figures: map[string]float64{"share of the limit": share(n, from, time.Now())}}, nil
}

func heldDispatcher(ctx context.Context, s settings) (sample, error) {
	n := s.scale(heldRate*heldTimes, 10)
	noted := make([]startOf, n)
	params := perSecond(heldRate)
	d, err := dispatcher.New(memory.New(memory.Config{}), func(_ context.Context, job dispatcher.Job[int]) error {
		noted[job.Payload] = startOf{job.Slot(), time.Now()}
		return nil
	}, dispatcher.Config[int]{Params: params})
	if err != nil {
		return sample{}, err
	}
	for i := range n {
		if err := d.Submit(ctx, "shared", i); err != nil {
			return sample{}, err
		}
	}
	if err := runAll(ctx, d, n); err != nil {
		return sample{}, err
	}
	violations, last := 0, noted[0].start
	slots := make([]time.Time, n)
	for i, s := range noted {
		slots[i] = s.slot
		if s.start.Before(s.slot) {
			violations++
		}
		if s.start.After(last) {
			last = s.start
		}
	}
	if backendtest.CheckWindows(slots, params, 0) != nil {
		violations++
	}
	return sample{Figures: map[string]float64{
		"share of the limit": share(n, slots[0], last),
		"violations":         float64(violations),
	}}, nil
}
