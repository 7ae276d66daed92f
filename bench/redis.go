package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// The limits are the same for all, and never bind: what is measured is the cost
// of asking.
const (
	wideRate  = 1000 // per second
	wideBurst = 1_000_000_000
)

const (
	manyKeys = 10_000
	callers  = 64  // goroutines that ask for one thing at a time
	together = 256 // requests in a batch
)

// ours is what all keys of the measurements begin with.
const ours = "freqlimit-bench:"

// onRedis is what the measurements have: a client and keys.
type onRedis struct {
	client *redis.Client
	names  []string
}

// redisWork is what a measurement does over and over, until its context ends.
type redisWork func(ctx context.Context, r *onRedis) (tally, error)

// redisGroups are the measurements of backends on a Redis.
func redisGroups() []group {
	var groups []group
	for _, goroutines := range []int{1, callers} {
		for _, keys := range []int{1, manyKeys} {
			g := group{
				name: fmt.Sprintf("Redis, %s, %s", count(goroutines, "goroutine"), count(keys, "key")),
				measurements: []measurement{
					onServer("redis_rate Allow", allow(goroutines, keys)),
					onServer("goredis Reserve", reserve(goroutines, keys, 1, false)),
				},
			}
			if goroutines == callers {
				g.measurements[1].goals = faster(3)
			}
			if keys > 1 {
				g.measurements = append(g.measurements,
					onServer("goredis Reserve, two limits each", reserve(goroutines, keys, 1, true)))
			}
			groups = append(groups, g)
		}
	}
	groups = append(groups, group{
		name: fmt.Sprintf("Redis, batches of %d, %s", together, count(manyKeys, "key")),
		measurements: []measurement{
			onServer("script by hand, the wall", wall),
			onServer("goredis Reserve", reserve(batchCallers, manyKeys, together, false)),
			onServer("goredis Reserve, two limits each", reserve(batchCallers, manyKeys, together, true)),
			onServer("dispatcher, started jobs", dispatch),
		},
	})
	for i := range groups {
		groups[i].redis = true
		groups[i].figures = []figure{{unit: "per second"}}
	}
	return groups
}

// onServer is a measurement of work on the Redis.
func onServer(name string, work redisWork) measurement {
	return measurement{name: name, run: func(ctx context.Context, s settings) (done sample, err error) {
		client := connect(s.Redis)
		defer func() { err = errors.Join(err, client.Close()) }()
		r := &onRedis{client: client, names: namesOf(manyKeys)}
		t, err := timed(ctx, s.Time, func(ctx context.Context) (tally, error) { return work(ctx, r) })
		return only(t.perSecond()), err
	}}
}

// count writes a number of things.
func count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return thousands(float64(n)) + " " + thing
}

// connect returns a client with a connection for each goroutine: by default they
// would wait for one another where there are few cores.
func connect(addr string) *redis.Client {
	return redis.NewClient(&redis.Options{Addr: addr, PoolSize: callers})
}

// aboutRedis says what the Redis at an address is.
func aboutRedis(ctx context.Context, addr string) (string, error) {
	client := connect(addr)
	defer client.Close()
	info, err := client.Info(ctx, "server").Result()
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(info) {
		if version, ok := strings.CutPrefix(line, "redis_version:"); ok {
			return "Redis " + strings.TrimSpace(version) + " at " + addr, nil
		}
	}
	return "Redis at " + addr, nil
}

// forget deletes the keys that a measurement has left, so that the next one does
// not pay for their expiry.
func (r *onRedis) forget(ctx context.Context, prefix string, names []string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	_, err := r.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, name := range names {
			p.Unlink(ctx, prefix+name)
		}
		return nil
	})
	return err
}
