package main

import (
	"context"
	"errors"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/goredis"
	"github.com/freqlimit/dispatcher/gcra"
)

// batchCallers is how many goroutines ask in batches: while the server decides
// one batch, the next is made.
const batchCallers = 2

// sharedName is the key of the limit that all requests are under where they have
// two.
const sharedName = "shared"

var wide = gcra.FreqLimitParams{Limit: wideRate, Period: time.Second, Burst: wideBurst}

// reserve is this project's backend, asked for so many requests at a time.
func reserve(goroutines, keys, requests int, shared bool) redisWork {
	return func(ctx context.Context, r *onRedis) (tally, error) {
		names := r.names[:keys]
		b, err := goredis.New(r.client, goredis.Config{Prefix: ours})
		if err != nil {
			return tally{}, err
		}
		t, err := drive(ctx, goroutines, func() func(context.Context) (int, error) {
			w := newReserver(b, names, requests, shared)
			return w.work
		})
		return t, errors.Join(err, r.forget(ctx, ours, append(names[:keys:keys], sharedName)))
	}
}

// reserver is one goroutine that asks.
type reserver struct {
	backend   backend.Backend
	names     []string
	requests  []backend.Request
	decisions []backend.Decision
}

func newReserver(b backend.Backend, names []string, requests int, shared bool) *reserver {
	w := &reserver{
		backend:   b,
		names:     names,
		requests:  make([]backend.Request, requests),
		decisions: make([]backend.Decision, requests),
	}
	for i := range w.requests {
		w.requests[i].Limits = []backend.Limit{{Params: wide}}
		if shared {
			w.requests[i].Limits = append(w.requests[i].Limits, backend.Limit{Key: sharedName, Params: wide})
		}
	}
	return w
}

func (w *reserver) work(ctx context.Context) (int, error) {
	for i := range w.requests {
		w.requests[i].Limits[0].Key = pickFrom(w.names)
	}
	if err := w.backend.Reserve(ctx, w.requests, w.decisions); err != nil {
		return 0, err
	}
	for i := range w.decisions {
		if d := &w.decisions[i]; d.Err != nil {
			return i, d.Err
		} else if !d.Granted {
			return i, errBound
		}
	}
	return len(w.requests), nil
}
