package dispatcher_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend/memory"
	"github.com/freqlimit/dispatcher/gcra"
)

// errBusy is what a server says that is to be asked again.
var errBusy = errors.New("503 busy")

// newPool returns a dispatcher that says what it does.
func newPool(handler dispatcher.Handler[string], cfg dispatcher.Config[string]) *dispatcher.Dispatcher[string] {
	cfg.Events.Done = func(_ context.Context, r dispatcher.Result[string]) {
		if r.Err != nil {
			fmt.Printf("%s: %v: %v\n", r.Job.Payload, r.Outcome, r.Err)
		} else {
			fmt.Printf("%s: %v\n", r.Job.Payload, r.Outcome)
		}
	}
	d, err := dispatcher.New(memory.New(memory.Config{}), handler, cfg)
	if err != nil {
		log.Fatal(err)
	}
	return d
}

func mustSubmit(d *dispatcher.Dispatcher[string], jobs ...dispatcher.Job[string]) {
	for _, job := range jobs {
		if err := d.SubmitJob(context.Background(), job); err != nil {
			log.Fatal(err)
		}
	}
}

func drain(d *dispatcher.Dispatcher[string]) {
	go d.Run(context.Background())
	if err := d.Shutdown(context.Background()); err != nil {
		log.Fatal(err)
	}
}

// Errors are retried, with more time between the runs each time.
func ExampleRetry() {
	d := newPool(func(_ context.Context, job dispatcher.Job[string]) error {
		if job.Attempt() < 3 {
			fmt.Println("attempt", job.Attempt())
			return errBusy
		}
		return nil
	}, dispatcher.Config[string]{Retry: dispatcher.Retry{MaxAttempts: 5, Initial: time.Millisecond}})
	mustSubmit(d, dispatcher.Job[string]{Payload: "hello"})
	drain(d)
	// Output:
	// attempt 1
	// attempt 2
	// hello: succeeded
}

// An error that no other run would mend.
func ExamplePermanent() {
	d := newPool(func(context.Context, dispatcher.Job[string]) error {
		return dispatcher.Permanent(errors.New("403 blocked by the user"))
	}, dispatcher.Config[string]{Retry: dispatcher.Retry{MaxAttempts: 5}})
	mustSubmit(d, dispatcher.Job[string]{Payload: "hello"})
	drain(d)
	// Output:
	// hello: failed: 403 blocked by the user
}

// One job waits; others of its key do not wait for it.
func ExampleSnooze() {
	d := newPool(func(_ context.Context, job dispatcher.Job[string]) error {
		if job.Payload == "report" && job.Attempt() == 1 {
			return dispatcher.Snooze(20 * time.Millisecond) // its data is not there yet
		}
		return nil
	}, dispatcher.Config[string]{Workers: 1})
	mustSubmit(d, dispatcher.Job[string]{Payload: "report"}, dispatcher.Job[string]{Payload: "hello"})
	drain(d)
	// Output:
	// hello: succeeded
	// report: succeeded
}

// The server has named the limit of the whole bot, not of a chat.
func ExampleRetryAfterError_HoldingLimits() {
	perBot := gcra.FreqLimitParams{Limit: 1000, Period: time.Second}
	begin := time.Now()
	d := newPool(func(_ context.Context, job dispatcher.Job[string]) error {
		if job.Attempt() == 1 && job.Payload == "first" {
			return dispatcher.RetryAfter(50*time.Millisecond, nil).HoldingLimits()
		}
		fmt.Println(job.Payload, "after 50ms:", time.Since(begin) > 50*time.Millisecond)
		return nil
	}, dispatcher.Config[string]{Workers: 1, Limits: func(string, string) []dispatcher.Limit {
		return []dispatcher.Limit{{Key: "bot", Params: perBot}}
	}})
	mustSubmit(d, dispatcher.Job[string]{Key: "chat 1", Payload: "first"}, dispatcher.Job[string]{Key: "chat 2", Payload: "second"})
	drain(d)
	// Unordered output:
	// first after 50ms: true
	// first: succeeded
	// second after 50ms: true
	// second: succeeded
}

// Dates, a deadline, and an ID that is refused twice.
func ExampleOptions() {
	d := newPool(func(context.Context, dispatcher.Job[string]) error { return nil }, dispatcher.Config[string]{})
	now := time.Now()
	mustSubmit(d,
		dispatcher.Job[string]{Payload: "too late", Options: &dispatcher.Options{Deadline: now.Add(-time.Minute)}},
		dispatcher.Job[string]{Payload: "soon", Options: &dispatcher.Options{NotBefore: now.Add(20 * time.Millisecond), ID: "invoice 7"}},
	)
	err := d.SubmitJob(context.Background(), dispatcher.Job[string]{Payload: "again", Options: &dispatcher.Options{ID: "invoice 7"}})
	fmt.Println(err)
	drain(d)
	// Output:
	// dispatcher: a job with ID "invoice 7" waits or runs
	// too late: expired: dispatcher: the deadline of the job has passed
	// soon: succeeded
}

// A message that is edited ten times before it could be sent is sent once.
func ExampleOptions_replace() {
	d := newPool(func(context.Context, dispatcher.Job[string]) error { return nil }, dispatcher.Config[string]{})
	for i := range 10 {
		mustSubmit(d, dispatcher.Job[string]{
			Payload: fmt.Sprint("version ", i+1),
			Options: &dispatcher.Options{ID: "message 42", Replace: true},
		})
	}
	drain(d)
	// Output:
	// version 10: succeeded
}

// A handle cancels its job, and waits for it.
func ExampleHandle() {
	d := newPool(func(context.Context, dispatcher.Job[string]) error { return nil }, dispatcher.Config[string]{
		Params: gcra.FreqLimitParams{Limit: 1, Period: time.Hour},
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
	// second: canceled: dispatcher: canceled
}

// What waits for a chat that has gone.
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
	for job := range dropped {
		fmt.Println("got back", job.Payload)
	}
	if err := d.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	// Unordered output:
	// a: dropped: dispatcher: dropped
	// b: dropped: dispatcher: dropped
	// got back a
	// got back b
}

// All stops and goes on.
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

// More jobs than there is room for, of which one at a time is in memory.
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

// A limit is raised while jobs wait for it, and there are more workers.
func ExampleDispatcher_SetParams() {
	d := newPool(func(context.Context, dispatcher.Job[string]) error { return nil }, dispatcher.Config[string]{
		Params: gcra.FreqLimitParams{Limit: 1, Period: time.Hour},
	})
	mustSubmit(d, dispatcher.Job[string]{Key: "api", Payload: "a"}, dispatcher.Job[string]{Key: "api", Payload: "b"})
	if err := d.SetParams("api", gcra.FreqLimitParams{Limit: 1000, Period: time.Second}); err != nil {
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

// How long will this take?
func ExamplePlan() {
	perBot := dispatcher.Limit{Key: "bot", Params: gcra.FreqLimitParams{Limit: 30, Period: time.Second}}
	f, err := dispatcher.Plan(dispatcher.Config[string]{Order: dispatcher.Backlog}, func(yield func(dispatcher.Job[string]) bool) {
		for i := range 9001 {
			chat := fmt.Sprint("chat ", i%5000)
			perChat := dispatcher.Limit{Key: chat, Params: gcra.FreqLimitParams{Limit: 1, Period: time.Second}}
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

// What waits, and for how long.
func ExampleDispatcher_Forecast() {
	begun := make(chan struct{})
	d := newPool(func(context.Context, dispatcher.Job[string]) error {
		close(begun)
		return nil
	}, dispatcher.Config[string]{
		Params: gcra.FreqLimitParams{Limit: 1, Period: time.Hour},
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
	// b: dropped: dispatcher: stopped before the job was done: context canceled
	// c: dropped: dispatcher: stopped before the job was done: context canceled
}

// Middleware around a handler: the first is the outermost.
func ExampleChain() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if slices.Contains([]string{"time", "took"}, a.Key) {
			return slog.Attr{}
		}
		return a
	}}))
	handler := dispatcher.Chain(func(context.Context, dispatcher.Job[string]) error { panic("oh") },
		dispatcher.Log[string](logger), dispatcher.Timeout[string](time.Minute), dispatcher.Recover[string]())
	d := newPool(handler, dispatcher.Config[string]{})
	mustSubmit(d, dispatcher.Job[string]{Key: "chat", Payload: "hello"})
	drain(d)
	// Output:
	// level=WARN msg="dispatcher: handler returned" key=chat attempt=1 error="dispatcher: panic: oh"
	// hello: failed: dispatcher: panic: oh
}

// Events are called when something happens to a job.
func ExampleEvents() {
	send := func(_ context.Context, job dispatcher.Job[string]) error {
		if job.Attempt() == 1 {
			return errBusy
		}
		return nil
	}
	d, err := dispatcher.New(memory.New(memory.Config{}), send, dispatcher.Config[string]{
		Retry: dispatcher.Retry{MaxAttempts: 2, Initial: time.Millisecond, Jitter: -1},
		Events: dispatcher.Events[string]{
			Started: func(_ context.Context, job dispatcher.Job[string]) {
				fmt.Println("started, attempt", job.Attempt())
			},
			Retried: func(_ context.Context, _ dispatcher.Job[string], err error, delay time.Duration) {
				fmt.Println("retried in", delay, "because of", err)
			},
			Done: func(_ context.Context, r dispatcher.Result[string]) {
				fmt.Println("done:", r.Outcome)
			},
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	mustSubmit(d, dispatcher.Job[string]{Payload: "hello"})
	drain(d)
	// Output:
	// started, attempt 1
	// retried in 1ms because of 503 busy
	// started, attempt 2
	// done: succeeded
}

// Middleware wraps in the order in which it is given, and the log has the error.
func TestChainOrder(t *testing.T) {
	var got []string
	layer := func(name string) dispatcher.Middleware[string] {
		return func(next dispatcher.Handler[string]) dispatcher.Handler[string] {
			return func(ctx context.Context, j job) error {
				got = append(got, name)
				return next(ctx, j)
			}
		}
	}
	h := dispatcher.Chain(func(context.Context, job) error { return nil }, layer("outer"), layer("inner"))
	if err := h(context.Background(), job{}); err != nil || !slices.Equal(got, []string{"outer", "inner"}) {
		t.Errorf("the layers run as %q, %v, want outer, inner", got, err)
	}
}
