package dispatcher_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/gcra"
)

// How long will this take?
func ExamplePlan() {
	perBot := dispatcher.Limit{Key: "bot", Params: gcra.PerSecond(30)}
	f, err := dispatcher.Plan(dispatcher.Config[string]{Order: dispatcher.Backlog}, func(yield func(dispatcher.Job[string]) bool) {
		for i := range 9001 {
			chat := fmt.Sprint("chat ", i%5000)
			perChat := dispatcher.Limit{Key: chat, Params: gcra.PerSecond(1)}
			if !yield(dispatcher.Job[string]{Key: chat, Limits: []dispatcher.Limit{perBot, perChat}}) {
				return
			}
		}
	}, 0)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d messages in %v\n", f.Jobs, f.Last.Round(time.Second))
	// Output:
	// 9001 messages in 5m0s
}

// How many jobs are waiting, and when will the last one start?
func ExampleDispatcher_Forecast() {
	begun := make(chan struct{})
	d := newPool(func(context.Context, dispatcher.Job[string]) error {
		close(begun)
		return nil
	}, dispatcher.Config[string]{
		Params: gcra.PerHour(1),
	})
	for _, payload := range []string{"a", "b", "c"} {
		mustSubmit(d, dispatcher.Job[string]{Key: "chat", Payload: payload})
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- d.Run(ctx) }()
	<-begun
	f, err := d.Forecast(ctx, 0)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d jobs, the last in %v\n", f.Jobs, f.Last.Round(time.Hour))
	cancel()
	<-ended
	// Unordered output:
	// a: succeeded
	// 2 jobs, the last in 2h0m0s
	// b: dropped: dispatcher: stopped before the job ended: context canceled
	// c: dropped: dispatcher: stopped before the job ended: context canceled
}

// When will the last message to this chat be sent?
func ExampleDispatcher_ForecastKey() {
	d := newPool(nothing, dispatcher.Config[string]{Params: hourly})
	for _, payload := range []string{"a", "b", "c"} {
		mustSubmit(d, dispatcher.Job[string]{Key: "chat 7", Payload: payload})
	}
	mustSubmit(d, dispatcher.Job[string]{Key: "chat 8", Payload: "d"})
	go d.Run(context.Background())
	for d.Stats().Succeeded < 2 { // the first of each chat
		time.Sleep(time.Millisecond)
	}
	f, err := d.ForecastKey(context.Background(), "chat 7", 0)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d jobs, the last in %v\n", f.Jobs, f.Last.Round(time.Hour))
	if _, err := d.Drop(context.Background(), "chat 7"); err != nil {
		log.Fatal(err)
	}
	_ = d.Shutdown(context.Background())
	// Unordered output:
	// a: succeeded
	// d: succeeded
	// 2 jobs, the last in 2h0m0s
	// b: dropped: dispatcher: job dropped
	// c: dropped: dispatcher: job dropped
}

// When will a job start, and which limit does it wait for?
func ExampleHandle_Estimate() {
	d := newPool(nothing, dispatcher.Config[string]{Params: hourly})
	ctx := context.Background()
	mustSubmit(d, dispatcher.Job[string]{Key: "chat 7", Payload: "first"})
	h, err := d.Track(ctx, dispatcher.Job[string]{Key: "chat 7", Payload: "second"})
	if err != nil {
		log.Fatal(err)
	}
	go d.Run(ctx)
	estimate, err := h.Estimate(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("in %v, by the limit %q\n", time.Until(estimate.Start).Round(time.Hour), estimate.Limit)
	h.Cancel()
	_ = d.Shutdown(ctx)
	// Unordered output:
	// first: succeeded
	// in 1h0m0s, by the limit "chat 7"
	// second: canceled: dispatcher: job canceled
}
