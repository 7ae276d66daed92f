package main

import (
	"context"
	"errors"
	"time"

	"github.com/go-redis/redis_rate/v10"
)

// errBound says that a limit was not wide enough, or that something else is
// wrong: then the figures are of no use.
var errBound = errors.New("a request was refused, though its limits are wide")

// allow is redis_rate: one call of its script for each request.
func allow(goroutines, keys int) redisWork {
	limit := redis_rate.Limit{Rate: wideRate, Burst: wideBurst, Period: time.Second}
	return func(ctx context.Context, r *onRedis) (tally, error) {
		names := r.names[:keys]
		limiter := redis_rate.NewLimiter(r.client)
		t, err := drive(ctx, goroutines, func() func(context.Context) (int, error) {
			return func(ctx context.Context) (int, error) {
				result, err := limiter.Allow(ctx, ours+pickFrom(names), limit)
				if err == nil && result.Allowed != 1 {
					err = errBound
				}
				return 1, err
			}
		})
		// The first part is what redis_rate puts before each key.
		return t, errors.Join(err, r.forget(ctx, "rate:"+ours, names))
	}
}
