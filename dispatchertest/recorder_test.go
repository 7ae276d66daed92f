package dispatchertest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/dispatchertest"
	"github.com/freqlimit/dispatcher/gcra"
)

// wantPayloads wants the results of these jobs, in this order.
func wantPayloads(t *testing.T, what string, results []result, want ...string) {
	t.Helper()
	ok := len(results) == len(want)
	var got []string
	for i, r := range results {
		got = append(got, r.Job.Payload)
		ok = ok && r.Job.Payload == want[i]
	}
	if !ok {
		t.Errorf("%s: results of %q, want %q", what, got, want)
	}
}

// Those who wait get the first results, as soon as they are there.
func TestRecorder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		begin := time.Now()
		var r dispatchertest.Recorder[string]
		d := newDispatcher(t, &dispatchertest.Backend{}, config{Params: gcra.PerSecond(1), Events: r.Events()}, func(_ context.Context, j job) error {
			if j.Payload == "2" {
				return errFailed
			}
			return nil
		})
		ended := make(chan error, 1)
		go func() { ended <- d.Run(context.Background()) }()
		for _, payload := range []string{"0", "1", "2", "3"} {
			if err := d.Submit(ctx, "chat", payload); err != nil {
				t.Fatal(err)
			}
		}
		wait := func(n int, at time.Duration, want ...string) {
			t.Helper()
			got, err := r.Wait(ctx, n)
			if err != nil || time.Since(begin) != at {
				t.Errorf("Wait(%d) returns after %v, %v, want %v", n, time.Since(begin), err, at)
			}
			wantPayloads(t, "Wait", got, want...)
		}
		wait(-1, 0)
		wait(2, time.Second, "0", "1")
		wait(1, time.Second, "0")
		failed, err := r.WaitFor(ctx, 1, func(r result) bool { return r.Outcome == dispatcher.Failed })
		if err != nil || time.Since(begin) != 2*time.Second {
			t.Errorf("WaitFor() returns after %v, %v, want 2s", time.Since(begin), err)
		}
		wantPayloads(t, "WaitFor", failed, "2")

		short, cancel := context.WithTimeoutCause(ctx, time.Minute, errFailed)
		defer cancel()
		got, err := r.Wait(short, 5)
		if !errors.Is(err, errFailed) || time.Since(begin) != time.Minute+2*time.Second {
			t.Errorf("Wait() = %v after %v, want %v after 1m2s", err, time.Since(begin), errFailed)
		}
		wantPayloads(t, "Wait that ends early", got, "0", "1", "2", "3")
		clear(got)
		clear(r.Results())
		wantPayloads(t, "Results", r.Results(), "0", "1", "2", "3")
		if err := d.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		<-ended
	})
}
