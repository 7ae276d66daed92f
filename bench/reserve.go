package main

import (
	"context"
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/memory"
	"github.com/freqlimit/dispatcher/gcra"
)

// Asking a limiter that does not bind, from two goroutines: the time by the clock
// for what both have asked together.
const (
	reservers     = 2
	reserveKeys   = 100_000
	reserveRate   = 1_000_000_000 // per second
	reserveBurst  = 1_000_000_000
	reserveInARow = 1000 // between two looks whether the time is up
)

// asker is a function for each goroutine, which asks for one of its keys, and
// answers whether it was granted.
type asker func(keys []string) (newAsk func() func(key string) (bool, error), err error)

func reserveGroups() []group {
	allocs := goal{figure: "allocations", bound: atMost}
	figures := []figure{{name: "time", unit: "ns/op"}, {name: "allocations", unit: "allocs/op"}}
	line := func(name string, keys int, ask asker, goals ...goal) measurement {
		return measurement{name: name, goals: goals, run: reserved(keys, ask)}
	}
	return []group{
		{
			name: "Reserve, one key", figures: figures,
			measurements: []measurement{
				line("x/time/rate AllowN", 1, askXTimeAllow),
				line("x/time/rate ReserveN", 1, askXTimeReserve),
				line("uber ratelimit Take", 1, askUber),
				line("throttled, in memory", 1, askThrottled),
				line("memory.Reserve", 1, askMemory, goal{figure: "time", bound: atMost, value: 0.5, ratio: true}, allocs),
				line("a clock and a compare-and-swap", 1, askWord),
			},
		},
		{
			name: "Reserve, 100,000 keys", figures: figures,
			measurements: []measurement{
				line("throttled, in memory", reserveKeys, askThrottled),
				line("map + mutex + x/time/rate", reserveKeys, askMap),
				line("memory.Reserve", reserveKeys, askMemory, goal{figure: "time", bound: atMost, value: 1.0 / 3, ratio: true}, allocs),
				line("a clock and a map that is only read", reserveKeys, askWord),
			},
		},
	}
}

// reserved measures an asker. Allocations are in whole ones for each operation,
// as go test counts them.
func reserved(keys int, ask asker) func(context.Context, settings) (sample, error) {
	return func(ctx context.Context, s settings) (sample, error) {
		names := namesOf(keys)
		newAsk, err := ask(names)
		if err != nil {
			return sample{}, err
		}
		askAll := newAsk()
		for _, name := range names { // so that all are known
			if _, err := askAll(name); err != nil {
				return sample{}, err
			}
		}
		var allocations uint64
		t, err := timed(ctx, s.Time, func(ctx context.Context) (tally, error) {
			before := mallocs()
			t, err := drive(ctx, reservers, func() func(context.Context) (int, error) { return inARow(names, newAsk()) })
			allocations = mallocs() - before
			return t, err
		})
		if err != nil {
			return sample{}, err
		}
		return sample{Figures: map[string]float64{
			"time":        t.each(),
			"allocations": float64(allocations / uint64(t.count)),
		}}, nil
	}
}

// inARow asks many times, for one key after another in an order that processors
// do not foresee.
func inARow(names []string, ask func(string) (bool, error)) func(context.Context) (int, error) {
	const stride = 7919 // a prime, so that it comes by all
	i := rand.IntN(len(names))
	return func(context.Context) (int, error) {
		for n := range reserveInARow {
			granted, err := ask(names[i])
			if err != nil {
				return n, err
			}
			if !granted {
				return n, errBound
			}
			i = (i + stride) % len(names)
		}
		return reserveInARow, nil
	}
}

func mallocs() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Mallocs
}

// askMemory is this project's memory backend.
func askMemory([]string) (func() func(string) (bool, error), error) {
	b := memory.New(memory.Config{IdleTTL: time.Hour})
	params := gcra.FreqLimitParams{Limit: reserveRate, Period: time.Second, Burst: reserveBurst}
	return func() func(string) (bool, error) {
		ctx := context.Background()
		limits := []backend.Limit{{Params: params}}
		requests, decisions := []backend.Request{{Limits: limits}}, make([]backend.Decision, 1)
		return func(key string) (bool, error) {
			limits[0].Key = key
			err := b.Reserve(ctx, requests, decisions)
			return decisions[0].Granted, err
		}
	}, nil
}
