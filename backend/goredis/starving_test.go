package goredis

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/redistest"
)

// Jobs under two limits, each of which is busy in another process, get a share of the
// slots: none starves, whoever has turns.
func TestTwoLimitsBusyElsewhere(t *testing.T) {
	const lanes, jobs, lasts = 50, 4000, 4 * time.Second
	prefix, client := redistest.Prefix(t), redistest.Client(t)
	at := gcra.FreqLimitParams{Limit: 200, Period: time.Second}
	a, b := limit("a", at), limit("b", at)
	process := func(limits ...dispatcher.Limit) *atomic.Int64 {
		starts := new(atomic.Int64)
		d, err := dispatcher.New(newBackend(t, client, Config{Prefix: prefix}), func(context.Context, dispatcher.Job[string]) error {
			starts.Add(1)
			return nil
		}, dispatcher.Config[string]{Limits: func(string, string) []dispatcher.Limit { return limits }})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- d.Run(ctx) }()
		t.Cleanup(func() { stop(); <-ended })
		for i := range jobs {
			if err := d.Submit(t.Context(), fmt.Sprint(i%lanes), ""); err != nil {
				t.Fatal(err)
			}
		}
		return starts
	}
	onA, onB, onBoth := process(a), process(b), process(a, b)
	time.Sleep(lasts)
	alone, both := min(onA.Load(), onB.Load()), onBoth.Load()
	t.Logf("in %v: %d under a, %d under b, %d under both", lasts, onA.Load(), onB.Load(), both)
	if both < alone/10 {
		t.Errorf("%d jobs under both limits have started, and %d under one, want a tenth of that at least", both, alone)
	}
}
