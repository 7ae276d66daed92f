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

// A job with a priority and limits of its own: a mailing of 3 counts as 3.
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

	perServer := gcra.FreqLimitParams{Limit: 100, Period: time.Second, Burst: 10}
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

// A handler that is told "429, come back in 50 ms" passes that on. Its chat
// waits, the other one does not.
func ExampleRetryAfter() {
	ctx := context.Background()
	send := func(ctx context.Context, job dispatcher.Job[string]) error {
		if job.Key == "alice" && job.Payload == "hello" && job.Attempt() == 1 {
			fmt.Println("alice: 429")
			return dispatcher.RetryAfter(50*time.Millisecond, nil)
		}
		fmt.Printf("%s: %s\n", job.Key, job.Payload)
		return nil
	}
	d, err := dispatcher.New(memory.New(memory.Config{}), send, dispatcher.Config[string]{Workers: 1, Serial: true})
	if err != nil {
		log.Fatal(err)
	}
	for _, m := range []struct{ chat, text string }{{"alice", "hello"}, {"alice", "goodbye"}, {"bob", "hello"}} {
		if err := d.Submit(ctx, m.chat, m.text); err != nil {
			log.Fatal(err)
		}
	}
	go d.Run(ctx)
	if err := d.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}

	// Output:
	// alice: 429
	// bob: hello
	// alice: hello
	// alice: goodbye
}

// To wait in place: 20 calls per second and user, 3 of them at once.
func ExampleFreqLimit_Do() {
	ctx := context.Background()
	perUser := gcra.FreqLimitParams{Limit: 20, Period: time.Second, Burst: 3}
	limiter, err := dispatcher.NewFreqLimit(memory.New(memory.Config{}), perUser)
	if err != nil {
		log.Fatal(err)
	}
	begin := time.Now()
	for i := range 5 {
		err := limiter.Do(ctx, "user:42", func(ctx context.Context) error {
			early := time.Since(begin) < time.Duration(i-2)*50*time.Millisecond
			fmt.Printf("call %d, early: %t\n", i+1, early)
			return nil
		})
		if err != nil {
			log.Fatal(err)
		}
	}

	// Output:
	// call 1, early: false
	// call 2, early: false
	// call 3, early: false
	// call 4, early: false
	// call 5, early: false
}

// To stop: some time for what is left, and then the end of Run's context for
// what is left then.
func ExampleDispatcher_Shutdown() {
	run, endRun := context.WithCancel(context.Background())
	defer endRun()
	first := make(chan struct{})
	work := func(ctx context.Context, job dispatcher.Job[int]) error {
		close(first) // the others are due in an hour and in two
		return nil
	}
	d, err := dispatcher.New(memory.New(memory.Config{}), work, dispatcher.Config[int]{
		Params: gcra.FreqLimitParams{Limit: 1, Period: time.Hour},
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
	// run: dispatcher: stopped, 2 jobs dropped: context canceled
	// dropped: 2
}

// To stop at once: the job that runs ends, the others are dropped, and whoever keeps them can submit
// them again another day.
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
	// dispatcher: stopped, 2 jobs dropped: context canceled
	// succeeded: 1
	// not sent: [how are you bye]
}

// With neither Limits nor Params a dispatcher is a pool of workers.
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
