package dispatcher_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/gcra"
)

// A handle estimates when its job will start, cancels it and waits for it.
func ExampleHandle() {
	d := newPool(func(context.Context, dispatcher.Job[string]) error { return nil }, dispatcher.Config[string]{
		Params: gcra.PerHour(1),
	})
	ctx := context.Background()
	mustSubmit(d, dispatcher.Job[string]{Payload: "first"})
	h, err := d.Track(ctx, dispatcher.Job[string]{Payload: "second"})
	if err != nil {
		log.Fatal(err)
	}
	go d.Run(ctx)
	estimate, err := h.Estimate(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("second: in about %v\n", time.Until(estimate.Start).Round(time.Minute))
	fmt.Println("canceled:", h.Cancel())
	if _, err := h.Wait(ctx); err != nil {
		log.Fatal(err)
	}
	if err := d.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	// Unordered output:
	// first: succeeded
	// second: in about 1h0m0s
	// canceled: true
	// second: canceled: dispatcher: job canceled
}

// Wait for one job and read its outcome.
func ExampleDispatcher_Track() {
	d := newPool(nothing, dispatcher.Config[string]{})
	go d.Run(context.Background())
	h, err := d.Track(context.Background(), dispatcher.Job[string]{Payload: "hello"})
	if err != nil {
		log.Fatal(err)
	}
	r, err := h.Wait(context.Background())
	fmt.Println("attempts:", r.Job.Attempt(), err)
	_ = d.Shutdown(context.Background())
	// Unordered output:
	// hello: succeeded
	// attempts: 1 <nil>
}
