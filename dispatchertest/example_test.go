package dispatchertest_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend/memory"
	"github.com/freqlimit/dispatcher/dispatchertest"
	"github.com/freqlimit/dispatcher/gcra"
)

// t stands for the parameter of a test function.
var t = &testing.T{}

// send is the handler under test.
func send(_ context.Context, job dispatcher.Job[string]) error {
	if job.Payload == "" {
		return dispatcher.Permanent(errors.New("empty message"))
	}
	return nil
}

// Test a handler with two jobs.
func ExampleRun() {
	d, err := dispatcher.New(memory.New(memory.Config{}), send, dispatcher.Config[string]{})
	if err != nil {
		log.Fatal(err)
	}
	results := dispatchertest.Run(t, d,
		dispatcher.Job[string]{Key: "alice", Payload: "hello"},
		dispatcher.Job[string]{Key: "bob"},
	)
	for _, r := range results {
		fmt.Println(r.Job.Key, r.Outcome, r.Err)
	}
	// Output:
	// alice succeeded <nil>
	// bob failed empty message
}

// If the program under test calls Run itself, give its dispatcher the Events of a Recorder.
func ExampleRecorder() {
	var r dispatchertest.Recorder[string]
	d, err := dispatcher.New(memory.New(memory.Config{}), send, dispatcher.Config[string]{Events: r.Events()})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	go d.Run(ctx)
	if err := d.Submit(ctx, "alice", "hello"); err != nil {
		log.Fatal(err)
	}
	results, err := r.Wait(ctx, 1)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(results[0].Job.Payload, results[0].Outcome)
	// Output:
	// hello succeeded
}

// While the backend fails, jobs wait, and Events report it.
func ExampleBackend() {
	var b dispatchertest.Backend
	d, err := dispatcher.New(&b, send, dispatcher.Config[string]{
		Params: gcra.PerSecond(1),
		Events: dispatcher.Events[string]{
			BackendDown: func(_ context.Context, err error) {
				fmt.Println("down:", err)
				b.Fail(nil)
			},
			BackendUp: func(context.Context) { fmt.Println("up") },
		},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	b.Fail(errors.New("connection refused"))
	results := dispatchertest.Run(t, d, dispatcher.Job[string]{Key: "alice", Payload: "hello"})
	fmt.Println(results[0].Outcome)
	// Output:
	// down: connection refused
	// up
	// succeeded
}
