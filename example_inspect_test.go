package dispatcher_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/gcra"
)

// What are all these jobs waiting for?
func ExampleDispatcher_Load() {
	d := newPool(nothing, dispatcher.Config[string]{})
	d.PauseKey("chat 7")
	for range 3 {
		mustSubmit(d, dispatcher.Job[string]{Key: "chat 7", Payload: "hello"})
	}
	go d.Run(context.Background())
	load, err := d.Load(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(load.Paused, "of", load.Waiting(), "are paused")
	d.ResumeKey("chat 7")
	_ = d.Shutdown(context.Background())
	// Output:
	// 3 of 3 are paused
	// hello: succeeded
	// hello: succeeded
	// hello: succeeded
}

// Which chats have the most jobs?
func ExampleDispatcher_Busiest() {
	d := newPool(nothing, dispatcher.Config[string]{Workers: 1})
	d.Pause()
	for _, key := range []string{"chat 1", "chat 7", "chat 7", "chat 3", "chat 7"} {
		mustSubmit(d, dispatcher.Job[string]{Key: key, Payload: key})
	}
	go d.Run(context.Background())
	busiest, err := d.Busiest(context.Background(), 2)
	if err != nil {
		log.Fatal(err)
	}
	for _, k := range busiest {
		fmt.Printf("%s: %d jobs\n", k.Key, k.Waiting)
	}
	if _, err := d.Drop(context.Background(), "chat 7"); err != nil {
		log.Fatal(err)
	}
	d.Resume()
	_ = d.Shutdown(context.Background())
	// Unordered output:
	// chat 7: 3 jobs
	// chat 1: 1 jobs
	// chat 7: dropped: dispatcher: job dropped
	// chat 7: dropped: dispatcher: job dropped
	// chat 7: dropped: dispatcher: job dropped
	// chat 1: succeeded
	// chat 3: succeeded
}

// A chat takes one message every 200 ms, and there are three. The second waits 200 ms after
// the first, and the third 200 ms after the second.
func ExampleDispatcher_Bottlenecks() {
	d := newPool(nothing, dispatcher.Config[string]{Params: gcra.PerSecond(5)})
	for range 3 {
		mustSubmit(d, dispatcher.Job[string]{Key: "chat 7", Payload: "message"})
	}
	go d.Run(context.Background())
	for d.Stats().Succeeded < 3 {
		time.Sleep(time.Millisecond)
	}
	limits, err := d.Bottlenecks(context.Background(), 3)
	if err != nil {
		log.Fatal(err)
	}
	for _, l := range limits {
		fmt.Printf("%s (%v): at least %v lost\n", l.Key, l.Params, l.Lost.Truncate(200*time.Millisecond))
	}
	_ = d.Shutdown(context.Background())
	// Output:
	// message: succeeded
	// message: succeeded
	// message: succeeded
	// chat 7 (5/1s burst 1): at least 400ms lost
}
