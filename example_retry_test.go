package dispatcher_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend/memory"
	"github.com/freqlimit/dispatcher/gcra"
)

// The server answers 429 and asks to come back in 50 ms. The handler passes that on: its
// chat waits, the other one doesn't.
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

// Failed jobs are retried after a delay that grows.
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

// Retrying wouldn't help, so the job fails at once.
func ExamplePermanent() {
	d := newPool(func(context.Context, dispatcher.Job[string]) error {
		return dispatcher.Permanent(errors.New("403 blocked by the user"))
	}, dispatcher.Config[string]{Retry: dispatcher.Retry{MaxAttempts: 5}})
	mustSubmit(d, dispatcher.Job[string]{Payload: "hello"})
	drain(d)
	// Output:
	// hello: failed: 403 blocked by the user
}

// One job runs again later. Other jobs of its key don't wait for it.
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

// The server refuses the whole bot, not just one chat, so all chats wait.
func ExampleRetryAfterError_HoldingLimits() {
	perBot := gcra.PerSecond(1000)
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

// The handler waits as long as the header says, or a second if the header can't be parsed.
func ExampleParseRetryAfter() {
	answer := func(res *http.Response) error {
		if res.StatusCode == http.StatusTooManyRequests {
			wait, _ := dispatcher.ParseRetryAfter(res.Header.Get("Retry-After")) // 0 if there is none
			return dispatcher.RetryAfter(max(wait, time.Second), errors.New(res.Status))
		}
		return nil
	}
	for _, header := range []string{"2", "1.5", "99999999999999999999", ""} {
		fmt.Println(answer(&http.Response{
			Status: "429 Too Many Requests", StatusCode: http.StatusTooManyRequests,
			Header: http.Header{"Retry-After": {header}},
		}))
	}
	if _, err := dispatcher.ParseRetryAfter("soon"); err != nil {
		fmt.Println(err)
	}
	// Output:
	// dispatcher: retry after 2s: 429 Too Many Requests
	// dispatcher: retry after 1.5s: 429 Too Many Requests
	// dispatcher: retry after 8760h0m0s: 429 Too Many Requests
	// dispatcher: retry after 1s: 429 Too Many Requests
	// dispatcher: invalid Retry-After: want seconds or an HTTP date: "soon"
}
