package dispatcher_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend/memory"
	"github.com/freqlimit/dispatcher/gcra"
)

// Shutdown waits for the remaining jobs for some time. Then the end of Run's context drops
// those that are still waiting.
func ExampleDispatcher_Shutdown() {
	run, endRun := context.WithCancel(context.Background())
	defer endRun()
	first := make(chan struct{})
	work := func(ctx context.Context, job dispatcher.Job[int]) error {
		close(first) // the others are due in an hour and in two
		return nil
	}
	d, err := dispatcher.New(memory.New(memory.Config{}), work, dispatcher.Config[int]{
		Params: gcra.PerHour(1),
	})
	if err != nil {
		log.Fatal(err)
	}
	for i := range 3 {
		if err := d.Submit(run, "report", i); err != nil {
			log.Fatal(err)
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- d.Run(run) }()
	<-first

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	err = d.Shutdown(ctx)
	if left, ok := errors.AsType[*dispatcher.ShutdownError](err); ok {
		fmt.Println("still waiting:", left.Waiting)
		endRun()
	}
	fmt.Println("run:", <-ended)
	fmt.Println("dropped:", d.Stats().Dropped)

	// Output:
	// still waiting: 2
	// run: dispatcher: stopped with 2 jobs dropped: context canceled
	// dropped: 2
}

// Stopping soon: the running job ends, and the waiting ones are dropped. The program keeps
// them, so that it can submit them again later.
func ExampleStopError() {
	ctx, stop := context.WithCancel(context.Background()) // or signal.NotifyContext
	defer stop()
	work := func(ctx context.Context, job dispatcher.Job[string]) error {
		stop()
		time.Sleep(10 * time.Millisecond) // the context goes on for Config.StopTimeout
		return ctx.Err()
	}
	var unsent []string
	keep := func(_ context.Context, r dispatcher.Result[string]) {
		if r.Outcome == dispatcher.Dropped {
			unsent = append(unsent, r.Job.Payload)
		}
	}
	d, err := dispatcher.New(memory.New(memory.Config{}), work, dispatcher.Config[string]{
		Workers: 1,
		Events:  dispatcher.Events[string]{Done: keep},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, text := range []string{"hello", "how are you", "bye"} {
		if err := d.Submit(ctx, "chat", text); err != nil {
			log.Fatal(err)
		}
	}
	err = d.Run(ctx)
	if stopped, ok := errors.AsType[*dispatcher.StopError](err); ok {
		fmt.Println(stopped)
	}
	fmt.Println("succeeded:", d.Stats().Succeeded)
	fmt.Println("not sent:", unsent)

	// Output:
	// dispatcher: stopped with 2 jobs dropped: context canceled
	// succeeded: 1
	// not sent: [how are you bye]
}

// Wait until everything that was submitted is done. More jobs may come later.
func ExampleDispatcher_WaitIdle() {
	d := newPool(nothing, dispatcher.Config[string]{})
	go d.Run(context.Background())
	for _, payload := range []string{"a", "b"} {
		mustSubmit(d, dispatcher.Job[string]{Payload: payload})
		if err := d.WaitIdle(context.Background()); err != nil {
			log.Fatal(err)
		}
		fmt.Println("idle")
	}
	_ = d.Shutdown(context.Background())
	// Output:
	// a: succeeded
	// idle
	// b: succeeded
	// idle
}
