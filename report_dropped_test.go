package dispatcher_test

import (
	"context"
	"testing"

	"github.com/freqlimit/dispatcher"
)

type submitNumber struct{}

// A job on the fast path that a worker drops, because Run's context has ended, is reported with the
// values of its own Submit, though the worker has gone on to the next one.
func TestDoneOfFastJobThatWorkerDrops(t *testing.T) {
	for range 20 {
		ctx, stop := context.WithCancel(t.Context())
		wrong, dropped := 0, 0
		d, err := dispatcher.New(inMemory(), func(context.Context, dispatcher.Job[int]) error { stop(); return nil }, dispatcher.Config[int]{
			Workers: 2,
			Events: dispatcher.Events[int]{Done: func(ctx context.Context, r dispatcher.Result[int]) {
				if r.Outcome != dispatcher.Dropped {
					return
				}
				dropped++ // the reporter alone calls it for these
				if n, ok := ctx.Value(submitNumber{}).(int); !ok || n != r.Job.Payload {
					wrong++
				}
			}},
		})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 2000 {
			if err := d.Submit(context.WithValue(context.Background(), submitNumber{}, i), "k", i); err != nil {
				t.Fatal(err)
			}
		}
		_ = d.Run(ctx)
		if wrong > 0 {
			t.Errorf("%d of %d dropped jobs are reported with the values of another Submit, or none", wrong, dropped)
		}
	}
}
