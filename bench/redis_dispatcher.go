package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend/goredis"
)

const (
	// workers are many, for each is set aside until its slot has come, a round
	// trip and a horizon.
	workers = 512

	// backlog is how many jobs wait at any time: some for each key.
	backlog = 4 * manyKeys

	// drainFor is how long the jobs that wait at the end may take.
	drainFor = 30 * time.Second
)

// tracked is a job that counts what happens to it.
type tracked struct{ started, ended atomic.Int32 }

// dispatch is the whole dispatcher on this project's backend: how many jobs that
// do nothing it starts, with a queue that never runs dry.
func dispatch(ctx context.Context, r *onRedis) (tally, error) {
	b, err := goredis.New(r.client, goredis.Config{Prefix: ours})
	if err != nil {
		return tally{}, err
	}
	handler := func(_ context.Context, job dispatcher.Job[*tracked]) error {
		job.Payload.started.Add(1)
		return nil
	}
	d, err := dispatcher.New(b, handler, dispatcher.Config[*tracked]{
		Workers:  workers,
		Capacity: backlog,
		Params:   wide,
		Events: dispatcher.Events[*tracked]{Done: func(_ context.Context, r dispatcher.Result[*tracked]) {
			if r.Outcome == dispatcher.Succeeded {
				r.Job.Payload.ended.Add(1)
			}
		}},
	})
	if err != nil {
		return tally{}, err
	}
	t, err := r.fill(ctx, d)
	return t, errors.Join(err, r.forget(ctx, ours, r.names))
}

// fill runs a dispatcher, keeps it full until ctx ends and drains it.
func (r *onRedis) fill(ctx context.Context, d *dispatcher.Dispatcher[*tracked]) (tally, error) {
	jobs, err := r.submit(d, nil, backlog)
	if err != nil {
		return tally{}, err
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ran := make(chan error, 1)
	start := time.Now()
	go func() { ran <- d.Run(running) }()
	for err == nil && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
		jobs, err = r.submit(d, jobs, backlog-d.Stats().Waiting)
	}
	draining, cancel := context.WithTimeout(running, drainFor)
	defer cancel()
	err = errors.Join(err, d.Shutdown(draining))
	t := tally{count: len(jobs), elapsed: time.Since(start)}
	stop()
	return t, errors.Join(err, <-ran, checkJobs(jobs))
}

// submit submits n jobs, one key after another, and adds them to those that have
// been before.
func (r *onRedis) submit(d *dispatcher.Dispatcher[*tracked], jobs []*tracked, n int) ([]*tracked, error) {
	for range n {
		job := &tracked{}
		if err := d.Submit(context.Background(), r.names[len(jobs)%len(r.names)], job); err != nil {
			return jobs, err
		}
		jobs = append(jobs, job)
	}
	return jobs, nil
}

// checkJobs returns an error unless each job was started once and has ended.
func checkJobs(jobs []*tracked) error {
	for i, job := range jobs {
		if started, ended := job.started.Load(), job.ended.Load(); started != 1 || ended != 1 {
			return fmt.Errorf("job %d of %d was started %d times and has succeeded %d times", i, len(jobs), started, ended)
		}
	}
	return nil
}
