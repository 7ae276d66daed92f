package dispatcher_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/gcra"
)

// Drop the waiting jobs of a chat that no longer exists.
func ExampleDispatcher_Drop() {
	d := newPool(func(context.Context, dispatcher.Job[string]) error { return nil }, dispatcher.Config[string]{})
	ctx := context.Background()
	d.PauseKey("chat 1")
	mustSubmit(d,
		dispatcher.Job[string]{Key: "chat 1", Payload: "a"},
		dispatcher.Job[string]{Key: "chat 1", Payload: "b"},
	)
	go d.Run(ctx)
	dropped, err := d.Drop(ctx, "chat 1")
	if err != nil {
		log.Fatal(err)
	}
	for _, job := range dropped {
		fmt.Println("got back", job.Payload)
	}
	if err := d.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	// Unordered output:
	// a: dropped: dispatcher: job dropped
	// b: dropped: dispatcher: job dropped
	// got back a
	// got back b
}

// Pause stops all starts until Resume.
func ExampleDispatcher_Pause() {
	d := newPool(func(context.Context, dispatcher.Job[string]) error { return nil }, dispatcher.Config[string]{})
	d.Pause()
	mustSubmit(d, dispatcher.Job[string]{Payload: "hello"})
	go d.Run(context.Background())
	fmt.Println("waiting:", d.Stats().Waiting)
	d.Resume()
	if err := d.WaitIdle(context.Background()); err != nil {
		log.Fatal(err)
	}
	_ = d.Shutdown(context.Background())
	// Output:
	// waiting: 1
	// hello: succeeded
}

// Raise a limit while jobs wait for it, and add workers.
func ExampleDispatcher_SetParams() {
	d := newPool(func(context.Context, dispatcher.Job[string]) error { return nil }, dispatcher.Config[string]{
		Params: gcra.PerHour(1),
	})
	mustSubmit(d, dispatcher.Job[string]{Key: "api", Payload: "a"}, dispatcher.Job[string]{Key: "api", Payload: "b"})
	if err := d.SetParams("api", gcra.PerSecond(1000)); err != nil {
		log.Fatal(err)
	}
	if err := d.SetWorkers(64); err != nil {
		log.Fatal(err)
	}
	drain(d)
	// Output:
	// a: succeeded
	// b: succeeded
}

// One chat is paused, and the others go on.
func ExampleDispatcher_PauseKey() {
	d := newPool(nothing, dispatcher.Config[string]{Workers: 1})
	d.PauseKey("chat 7")
	mustSubmit(d, dispatcher.Job[string]{Key: "chat 7", Payload: "first"}, dispatcher.Job[string]{Key: "chat 8", Payload: "second"})
	go d.Run(context.Background())
	for d.Stats().Succeeded == 0 {
		time.Sleep(time.Millisecond)
	}
	d.ResumeKey("chat 7")
	_ = d.Shutdown(context.Background())
	// Output:
	// second: succeeded
	// first: succeeded
}

// Change the number of workers while the dispatcher runs.
func ExampleDispatcher_SetWorkers() {
	d := newPool(nothing, dispatcher.Config[string]{Workers: 1})
	fmt.Println(d.SetWorkers(0))
	fmt.Println(d.SetWorkers(100))
	mustSubmit(d, dispatcher.Job[string]{Payload: "hello"})
	drain(d)
	// Output:
	// dispatcher: workers is 0: must be at least 1
	// <nil>
	// hello: succeeded
}

// One status page serves dispatchers of different types.
func ExampleController() {
	mails := newPool(nothing, dispatcher.Config[string]{})
	numbers, err := dispatcher.New(inMemory(), func(context.Context, dispatcher.Job[int]) error { return nil }, dispatcher.Config[int]{})
	if err != nil {
		panic(err)
	}
	mustSubmit(mails, dispatcher.Job[string]{Payload: "hello"})

	all := map[string]dispatcher.Controller{"mails": mails, "numbers": numbers}
	for name, d := range all {
		fmt.Println(name, "waiting:", d.Stats().Waiting)
	}
	drain(mails)
	// Unordered output:
	// mails waiting: 1
	// numbers waiting: 0
	// hello: succeeded
}
