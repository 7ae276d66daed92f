package dispatcher_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/gcra"
)

// nothing is a handler that has nothing to do.
func nothing(context.Context, dispatcher.Job[string]) error { return nil }

// hourly lets jobs wait.
var hourly = gcra.FreqLimitParams{Limit: 1, Period: time.Hour}

// What all those jobs wait for.
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

// Who keeps others waiting.
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
	for k := range busiest {
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
	// chat 7: dropped: dispatcher: dropped
	// chat 7: dropped: dispatcher: dropped
	// chat 7: dropped: dispatcher: dropped
	// chat 1: succeeded
	// chat 3: succeeded
}

// Three messages to one chat, which takes one in 200 ms: the second waits for that long
// after the first, the third after the second.
func ExampleDispatcher_Bottlenecks() {
	d := newPool(nothing, dispatcher.Config[string]{Params: gcra.FreqLimitParams{Limit: 5, Period: time.Second}})
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
	for l := range limits {
		fmt.Printf("%s (%v): %v lost\n", l.Key, l.Params, l.Lost.Round(10*time.Millisecond))
	}
	_ = d.Shutdown(context.Background())
	// Output:
	// message: succeeded
	// message: succeeded
	// message: succeeded
	// chat 7 (5/1s burst 1): 400ms lost
}

// One chat stops, the others go on.
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

// From one worker to a hundred, while it runs.
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

// All that was submitted is done, and more may come.
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

// When will the last message to this chat have gone?
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
	// b: dropped: dispatcher: dropped
	// c: dropped: dispatcher: dropped
}

// When a job will start, and which limit it waits for.
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
	// second: canceled: dispatcher: canceled
}

// The outcome of one job.
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

// A panic becomes an error, which can be retried.
func ExampleRecover() {
	handler := func(_ context.Context, job dispatcher.Job[string]) error {
		if job.Attempt() == 1 {
			panic("oh")
		}
		return nil
	}
	d := newPool(dispatcher.Chain(handler, dispatcher.Recover[string]()), dispatcher.Config[string]{
		Retry: dispatcher.Retry{MaxAttempts: 2, Initial: time.Millisecond},
	})
	mustSubmit(d, dispatcher.Job[string]{Payload: "hello"})
	drain(d)
	// Output:
	// hello: succeeded
}

// No run of a handler takes longer.
func ExampleTimeout() {
	slow := func(ctx context.Context, _ dispatcher.Job[string]) error {
		<-ctx.Done()
		return ctx.Err()
	}
	handler := dispatcher.Chain(slow, dispatcher.Timeout[string](time.Millisecond))
	err := handler(context.Background(), dispatcher.Job[string]{})
	fmt.Println(errors.Is(err, context.DeadlineExceeded))
	// Output:
	// true
}

// What a handler returned is logged.
func ExampleLog() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "took" {
			return slog.Attr{}
		}
		return a
	}}))
	handler := dispatcher.Chain(func(context.Context, dispatcher.Job[string]) error { return errBusy }, dispatcher.Log[string](logger))
	d := newPool(handler, dispatcher.Config[string]{})
	mustSubmit(d, dispatcher.Job[string]{Key: "chat", Payload: "hello"})
	drain(d)
	// Output:
	// level=WARN msg="dispatcher: handler returned" key=chat attempt=1 error="503 busy"
	// hello: failed: 503 busy
}

// A server says "429" when it is asked too often, and nowhere what that is: its limit goes
// at half the pace after the third time, and creeps back in five minutes.
func ExampleAdapt() {
	requests := 0
	handler := func(context.Context, dispatcher.Job[string]) error {
		if requests++; requests <= 3 {
			return dispatcher.RetryAfter(time.Millisecond, nil)
		}
		return nil
	}
	d := newPool(handler, dispatcher.Config[string]{
		Params: gcra.FreqLimitParams{Limit: 1000, Period: time.Second}, // what it is hoped to take
		Adapt:  &dispatcher.Adapt{},
		Logger: slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}})),
	})
	mustSubmit(d, dispatcher.Job[string]{Key: "api", Payload: "hello"})
	drain(d)
	// Output:
	// level=WARN msg="dispatcher: slowed down a limit" key=api share=0.5
	// hello: succeeded
}
