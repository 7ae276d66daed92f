package dispatcher_test

import (
	"context"
	"fmt"
	"log"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend/memory"
)

// SubmitAll submits more jobs than there is room for, and makes only one at a time.
func ExampleDispatcher_SubmitAll() {
	done := 0
	count := dispatcher.Events[int]{Done: func(context.Context, dispatcher.Result[int]) { done++ }}
	d, err := dispatcher.New(memory.New(memory.Config{}), func(context.Context, dispatcher.Job[int]) error { return nil },
		dispatcher.Config[int]{Capacity: 10, Workers: 1, Events: count})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	go d.Run(ctx)
	n, err := d.SubmitAll(ctx, func(yield func(dispatcher.Job[int]) bool) {
		for i := range 1000 {
			if !yield(dispatcher.Job[int]{Payload: i}) {
				return
			}
		}
	})
	fmt.Println("submitted:", n, err)
	_ = d.Shutdown(ctx)
	fmt.Println("done:", done)
	// Output:
	// submitted: 1000 <nil>
	// done: 1000
}
