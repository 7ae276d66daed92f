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

// onRedis is what the measurements share: a server, a client and keys.
type onRedis struct {
	client *redis.Client
	names  []string
}

// redisSuite is the measurements on the Redis at an address, or on one that is
// started for them if the address is "".
func redisSuite(addr string) suite {
	r := &onRedis{names: namesOf(manyKeys)}
	s := suite{name: "redis", open: func(ctx context.Context) (string, func() error, error) {
		return r.open(ctx, addr)
	}}
	for _, goroutines := range []int{1, callers} {
		for _, keys := range []int{1, manyKeys} {
			group := fmt.Sprintf("Redis, %s, %s", count(goroutines, "goroutine"), count(keys, "key"))
			goal := 0.0
			if goroutines == callers {
				goal = 3
			}
			s.measurements = append(s.measurements,
				measurement{group, "redis_rate Allow", 0, r.allow(goroutines, keys)},
				measurement{group, "goredis Reserve", goal, r.reserve(goroutines, keys, 1, false)})
			if keys > 1 {
				s.measurements = append(s.measurements,
					measurement{group, "goredis Reserve, two limits each", 0, r.reserve(goroutines, keys, 1, true)})
			}
		}
	}
	group := fmt.Sprintf("Redis, batches of %d, %s", together, count(manyKeys, "key"))
	s.measurements = append(s.measurements,
		measurement{group, "script by hand, the wall", 0, r.wall},
		measurement{group, "goredis Reserve", 0, r.reserve(batchCallers, manyKeys, together, false)},
		measurement{group, "goredis Reserve, two limits each", 0, r.reserve(batchCallers, manyKeys, together, true)},
		measurement{group, "dispatcher, started jobs", 0, r.dispatch})
	return s
}

// count writes a number of things.
func count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return thousands(float64(n)) + " " + thing
}

// open connects to the Redis.
func (r *onRedis) open(ctx context.Context, addr string) (about string, closeAll func() error, err error) {
	closeAll = func() error { return nil }
	if addr == "" {
		server, err := startServer(ctx)
		if err != nil {
			return "", nil, err
		}
		addr, closeAll = server.addr, server.stop
	}
	// A connection for each goroutine: by default they would wait for one another
	// where there are few cores.
	r.client = redis.NewClient(&redis.Options{Addr: addr, PoolSize: callers})
	stopServer := closeAll
	closeAll = func() error { return errors.Join(r.client.Close(), stopServer()) }

	info, err := r.client.Info(ctx, "server").Result()
	if err != nil {
		return "", nil, errors.Join(err, closeAll())
	}
	for line := range strings.Lines(info) {
		if version, ok := strings.CutPrefix(line, "redis_version:"); ok {
			about = "Redis " + strings.TrimSpace(version) + " at " + addr
		}
	}
	return about, closeAll, nil
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
