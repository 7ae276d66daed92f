package dispatcher_test

import (
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/gcra"
)

// A server answers 429 to too many requests and doesn't publish its limit. The rate is
// halved after the third refusal, and recovers within five minutes. The Logger is called by a
// goroutine of its own, so the two lines may come in either order.
func ExampleAdapt() {
	requests := 0
	handler := func(context.Context, dispatcher.Job[string]) error {
		if requests++; requests <= 3 {
			return dispatcher.RetryAfter(time.Millisecond, nil)
		}
		return nil
	}
	d := newPool(handler, dispatcher.Config[string]{
		Params: gcra.PerSecond(1000), // the most that the server may accept
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
	// Unordered output:
	// level=WARN msg="dispatcher: limit slowed down" key=api factor=0.5
	// hello: succeeded
}
