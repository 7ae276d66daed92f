package main

import (
	"context"
	_ "embed"
	"errors"

	"github.com/redis/go-redis/v9"
)

//go:embed wall.lua
var wallSource string

// wall is the best that asking Redis may come to: a script that knows no more
// than one limit for all keys, called for whole batches.
func wall(ctx context.Context, r *onRedis) (tally, error) {
	prefix := ours + "wall:"
	script := redis.NewScript(wallSource)
	interval, tau := wide.Interval().Microseconds(), wide.Tau().Microseconds()
	t, err := drive(ctx, batchCallers, func() func(context.Context) (int, error) {
		keys := make([]string, together)
		return func(ctx context.Context) (int, error) {
			for i := range keys {
				keys[i] = prefix + pickFrom(r.names)
			}
			waits, err := script.Run(ctx, r.client, keys, interval, tau).Int64Slice()
			if err != nil {
				return 0, err
			}
			for _, wait := range waits {
				if wait != 0 {
					return 0, errBound
				}
			}
			return len(waits), nil
		}
	})
	return t, errors.Join(err, r.forget(ctx, prefix, r.names))
}
