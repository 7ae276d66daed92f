package dispatcher_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend/memory"
)

// Without Limits and Params, a dispatcher is a pool of workers.
func ExampleConfig() {
	ctx := context.Background()
	square := func(ctx context.Context, job dispatcher.Job[int]) error {
		if job.Payload < 0 {
			return errors.New("below zero")
		}
		fmt.Println(job.Payload * job.Payload)
		return nil
	}
	d, err := dispatcher.New(memory.New(memory.Config{}), square, dispatcher.Config[int]{
		Workers: 4,
		Events: dispatcher.Events[int]{Done: func(_ context.Context, r dispatcher.Result[int]) {
			if r.Err != nil {
				fmt.Printf("%d: %v\n", r.Job.Payload, r.Err)
			}
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	go d.Run(ctx)
	for i := range 5 {
		if err := d.Submit(ctx, "numbers", i-1); err != nil {
			log.Fatal(err)
		}
	}
	if err := d.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}

	// Unordered output:
	// -1: below zero
	// 0
	// 1
	// 4
	// 9
}
