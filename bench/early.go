package main

import (
	"context"
	"fmt"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend/backendtest"
	"github.com/freqlimit/dispatcher/backend/memory"
)

// A million starts, under limits that are never idle: none may be early, and no
// limit may be exceeded in any window. It takes about 10 s.
const (
	earlyLimits = 2000
	earlyRate   = 50 // per second and limit
	earlyTimes  = 10 // times -time
)

func earlyGroup() group {
	return group{
		name: "A million starts",
		figures: []figure{
			{name: "early", unit: "starts"},
			{name: "over", unit: "limits exceeded in a window"},
			{name: "rate", unit: "starts per second"},
		},
		measurements: []measurement{{
			name:   fmt.Sprintf("dispatcher, %s limits of %d/s", thousands(earlyLimits), earlyRate),
			rounds: 1,
			goals:  aims(goal{figure: "early", bound: atMost}, goal{figure: "over", bound: atMost}),
			run:    measureEarly,
		}},
	}
}

// startOf is what is noted of a job, by its handler alone.
type startOf struct{ slot, start time.Time }

func measureEarly(ctx context.Context, s settings) (sample, error) {
	each := s.scale(earlyTimes*earlyRate, 2)
	names := namesOf(earlyLimits)
	noted := make([]startOf, each*earlyLimits)
	params := perSecond(earlyRate)
	d, err := dispatcher.New(memory.New(memory.Config{}), func(_ context.Context, job dispatcher.Job[int]) error {
		noted[job.Payload] = startOf{job.Slot(), time.Now()}
		return nil
	}, dispatcher.Config[int]{Params: params, Capacity: len(noted)})
	if err != nil {
		return sample{}, err
	}
	for i := range noted {
		if err := d.Submit(ctx, names[i%earlyLimits], i); err != nil {
			return sample{}, err
		}
	}
	from := time.Now()
	if err := runAll(ctx, d, len(noted)); err != nil {
		return sample{}, err
	}
	elapsed := time.Since(from)
	early, over := 0, 0
	for limit := range earlyLimits {
		var slots []time.Time
		for i := limit; i < len(noted); i += earlyLimits {
			slots = append(slots, noted[i].slot)
			if noted[i].start.Before(noted[i].slot) {
				early++
			}
		}
		if backendtest.CheckWindows(slots, params, 0) != nil {
			over++
		}
	}
	return sample{Figures: map[string]float64{
		"early": float64(early),
		"over":  float64(over),
		"rate":  tally{len(noted), elapsed}.perSecond(),
	}}, nil
}
