package dispatcher_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend/memory"
	"github.com/freqlimit/dispatcher/gcra"
)

// A job with its own priority and limits: a newsletter to 3 recipients counts as 3.
func ExampleDispatcher_SubmitJob() {
	ctx := context.Background()
	mail := func(ctx context.Context, job dispatcher.Job[string]) error {
		fmt.Println(job.Payload)
		return nil
	}
	d, err := dispatcher.New(memory.New(memory.Config{}), mail, dispatcher.Config[string]{Workers: 1})
	if err != nil {
		log.Fatal(err)
	}

	perServer := gcra.PerSecond(100).WithBurst(10)
	for _, job := range []dispatcher.Job[string]{
		{Key: "news", Payload: "newsletter to 3", Limits: []dispatcher.Limit{{Key: "smtp", Params: perServer, Cost: 3}}},
		{Key: "password", Payload: "password reset", Limits: []dispatcher.Limit{{Key: "smtp", Params: perServer}}, Priority: 1},
	} {
		if err := d.SubmitJob(ctx, job); err != nil {
			log.Fatal(err)
		}
	}

	go d.Run(ctx)
	if err := d.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}

	// Output:
	// password reset
	// newsletter to 3
}

// Jobs with a deadline, a start date and an ID. A second job with the same ID is refused.
func ExampleJob_dates() {
	d := newPool(func(context.Context, dispatcher.Job[string]) error { return nil }, dispatcher.Config[string]{})
	now := time.Now()
	mustSubmit(d,
		dispatcher.Job[string]{Payload: "too late", Deadline: now.Add(-time.Minute)},
		dispatcher.Job[string]{Payload: "soon", NotBefore: now.Add(20 * time.Millisecond), ID: "invoice 7"},
	)
	err := d.SubmitJob(context.Background(), dispatcher.Job[string]{Payload: "again", ID: "invoice 7"})
	fmt.Println(err)
	drain(d)
	// Output:
	// dispatcher: duplicate job ID "invoice 7": already queued or running
	// too late: expired: dispatcher: job deadline passed
	// soon: succeeded
}

// A message that is edited ten times while it waits is sent once.
func ExampleReplacePayload() {
	d := newPool(func(context.Context, dispatcher.Job[string]) error { return nil }, dispatcher.Config[string]{})
	for i := range 10 {
		mustSubmit(d, dispatcher.Job[string]{
			Payload:     fmt.Sprint("version ", i+1),
			ID:          "message 42",
			OnDuplicate: dispatcher.ReplacePayload,
		})
	}
	drain(d)
	// Output:
	// version 10: succeeded
}
