package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/goredis"
	"github.com/freqlimit/dispatcher/backend/memory"
)

// Tasks that are to start at given instants, spread over a while.
const (
	scheduledTasks = 50
	scheduledTimes = 10 // times -time
)

func scheduledGroup() group {
	none := goal{figure: "early", bound: atMost}
	return group{
		name: "Scheduled starts", redis: true,
		figures: []figure{{name: "p50", unit: "µs"}, {name: "p99", unit: "µs"}, {name: "early", unit: "starts"}},
		measurements: []measurement{
			{name: "asynq ProcessAt, on Redis", rounds: 1, run: scheduledAsynq},
			{name: "dispatcher, a key held each, on Redis", rounds: 1, run: scheduledOnRedis, goals: aims(none)},
			{name: "dispatcher, a key held each, in memory", rounds: 1, run: scheduledInMemory, goals: aims(none)},
		},
	}
}

// instants returns when the tasks are to start: not before lead from now.
func instants(s settings, lead time.Duration) []time.Time {
	first, spread := time.Now().Add(lead), scheduledTimes*s.Time
	at := make([]time.Time, scheduledTasks)
	for i := range at {
		at[i] = first.Add(spread * time.Duration(i) / scheduledTasks)
	}
	return at
}

func scheduledInMemory(ctx context.Context, s settings) (sample, error) {
	return scheduledOn(ctx, s, memory.New(memory.Config{}))
}

func scheduledOnRedis(ctx context.Context, s settings) (done sample, err error) {
	r := &onRedis{client: connect(s.Redis)}
	defer func() { err = errors.Join(err, r.client.Close()) }()
	b, err := goredis.New(r.client, goredis.Config{Prefix: ours})
	if err != nil {
		return sample{}, err
	}
	done, err = scheduledOn(ctx, s, b)
	return done, errors.Join(err, r.forget(ctx, ours, namesOf(scheduledTasks)))
}

// scheduledOn gives each task a key of its own, under a limit that does not bind,
// and closes the key until the task is to start.
func scheduledOn(ctx context.Context, s settings, b backend.Backend) (sample, error) {
	late := make([]time.Duration, scheduledTasks)
	var at []time.Time
	d, err := dispatcher.New(b, func(_ context.Context, job dispatcher.Job[int]) error {
		late[job.Payload] = time.Since(at[job.Payload])
		return nil
	}, dispatcher.Config[int]{Params: wide})
	if err != nil {
		return sample{}, err
	}
	at = instants(s, time.Second/2)
	for i, name := range namesOf(scheduledTasks) {
		if err := errors.Join(d.Hold(ctx, name, time.Until(at[i])), d.Submit(ctx, name, i)); err != nil {
			return sample{}, err
		}
	}
	if !time.Now().Before(at[0]) {
		return sample{}, fmt.Errorf("it took more than %v to submit %d tasks", time.Second/2, scheduledTasks)
	}
	if err := runAll(ctx, d, scheduledTasks); err != nil {
		return sample{}, err
	}
	return lateSample(late), nil
}
