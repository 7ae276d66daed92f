package dispatcher_test

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/freqlimit/dispatcher"
)

// The first middleware is the outermost.
func ExampleMiddleware() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if slices.Contains([]string{"time", "took", "stack"}, a.Key) {
			return slog.Attr{}
		}
		return a
	}}))
	handler := func(context.Context, dispatcher.Job[string]) error { panic("oh") }
	d := newPool(handler, dispatcher.Config[string]{
		Middleware: []dispatcher.Middleware{dispatcher.Log(logger), dispatcher.Timeout(time.Minute), dispatcher.Recover},
	})
	mustSubmit(d, dispatcher.Job[string]{Key: "chat", Payload: "hello"})
	drain(d)
	// Output:
	// level=WARN msg="dispatcher: handler returned" key=chat attempt=1 error="dispatcher: panic: oh"
	// hello: failed: dispatcher: panic: oh
}

// A panic becomes an error, which is retried.
func ExampleRecover() {
	handler := func(_ context.Context, job dispatcher.Job[string]) error {
		if job.Attempt() == 1 {
			panic("oh")
		}
		return nil
	}
	d := newPool(handler, dispatcher.Config[string]{
		Middleware: []dispatcher.Middleware{dispatcher.Recover},
		Retry:      dispatcher.Retry{MaxAttempts: 2, Initial: time.Millisecond},
	})
	mustSubmit(d, dispatcher.Job[string]{Payload: "hello"})
	drain(d)
	// Output:
	// hello: succeeded
}

// No run of the handler takes longer than the timeout.
func ExampleTimeout() {
	slow := func(ctx context.Context, _ dispatcher.Job[string]) error {
		<-ctx.Done()
		return ctx.Err()
	}
	d := newPool(slow, dispatcher.Config[string]{
		Middleware: []dispatcher.Middleware{dispatcher.Timeout(time.Millisecond)},
	})
	mustSubmit(d, dispatcher.Job[string]{Payload: "hello"})
	drain(d)
	// Output:
	// hello: failed: context deadline exceeded
}

// Log the errors that handlers return.
func ExampleLog() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "took" {
			return slog.Attr{}
		}
		return a
	}}))
	handler := func(context.Context, dispatcher.Job[string]) error { return errBusy }
	d := newPool(handler, dispatcher.Config[string]{
		Middleware: []dispatcher.Middleware{dispatcher.Log(logger)},
	})
	mustSubmit(d, dispatcher.Job[string]{Key: "chat", Payload: "hello"})
	drain(d)
	// Output:
	// level=WARN msg="dispatcher: handler returned" key=chat attempt=1 error="503 busy"
	// hello: failed: 503 busy
}
