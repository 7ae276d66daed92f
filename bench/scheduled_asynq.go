package main

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/hibiken/asynq"
)

// asynqQueue is where the tasks are.
const asynqQueue = "freqlimit-bench"

// asynqPoll is how often asynq looks for tasks that are due, by default.
const asynqPoll = 5 * time.Second

// scheduledAsynq is asynq as it comes. It keeps instants in whole seconds, so a
// task may start up to a second early. When there is less time than by default it looks
// more often, so that it does not take longer than it is given.
func scheduledAsynq(ctx context.Context, s settings) (done sample, err error) {
	client := connect(s.Redis)
	defer func() { err = errors.Join(err, client.Close()) }()
	defer func() {
		err = errors.Join(err, asynq.NewInspectorFromRedisClient(client).DeleteQueue(asynqQueue, true))
	}()

	at := instants(s, time.Second)
	late := make([]time.Duration, scheduledTasks)
	var all sync.WaitGroup
	all.Add(scheduledTasks)
	handler := func(_ context.Context, task *asynq.Task) error {
		now := time.Now()
		i, err := strconv.Atoi(string(task.Payload()))
		if err != nil {
			return err
		}
		late[i] = now.Sub(at[i])
		all.Done()
		return nil
	}
	server := asynq.NewServerFromRedisClient(client, asynq.Config{
		Queues:                   map[string]int{asynqQueue: 1},
		DelayedTaskCheckInterval: min(asynqPoll, time.Duration(asynqPoll.Seconds()*float64(s.Time))),
		LogLevel:                 asynq.FatalLevel,
	})
	if err := server.Start(asynq.HandlerFunc(handler)); err != nil {
		return sample{}, err
	}
	queue := asynq.NewClientFromRedisClient(client)
	for i := range at {
		task := asynq.NewTask("task", []byte(strconv.Itoa(i)))
		if _, err := queue.EnqueueContext(ctx, task, asynq.ProcessAt(at[i]), asynq.Queue(asynqQueue), asynq.MaxRetry(0)); err != nil {
			return sample{}, err
		}
	}
	all.Wait()
	server.Shutdown()
	return lateSample(late), nil
}
