package dispatcher_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend/memory"
)

// Events are called when something happens to a job.
func ExampleEvents() {
	send := func(_ context.Context, job dispatcher.Job[string]) error {
		if job.Attempt() == 1 {
			return errBusy
		}
		return nil
	}
	d, err := dispatcher.New(memory.New(memory.Config{}), send, dispatcher.Config[string]{
		Retry: dispatcher.Retry{MaxAttempts: 2, Initial: time.Millisecond, Jitter: -1},
		Events: dispatcher.Events[string]{
			Started: func(_ context.Context, job dispatcher.Job[string]) {
				fmt.Println("started, attempt", job.Attempt())
			},
			Retried: func(_ context.Context, _ dispatcher.Job[string], err error, delay time.Duration) {
				fmt.Println("retried in", delay, "because of", err)
			},
			Done: func(_ context.Context, r dispatcher.Result[string]) {
				fmt.Println("done:", r.Outcome)
			},
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	mustSubmit(d, dispatcher.Job[string]{Payload: "hello"})
	drain(d)
	// Output:
	// started, attempt 1
	// retried in 1ms because of 503 busy
	// started, attempt 2
	// done: succeeded
}
