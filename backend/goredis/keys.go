package goredis

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/redis/go-redis/v9"
)

// Hold implements [backend.Backend]. It notifies other processes in a second step.
func (b *Backend) Hold(ctx context.Context, key string, d time.Duration) error {
	if err := b.enter(ctx); err != nil || d <= 0 {
		return err
	}
	return b.bounded(ctx, func(ctx context.Context) error {
		micros := ceilMicros(min(d, backend.Unlimited))
		foreign, err := holdScript.Run(ctx, b.client, []string{b.prefix + key}, micros, b.ttl).Bool()
		if err == nil && foreign {
			return &backend.LimitError{Key: key, Err: ErrForeign}
		}
		if err == nil {
			b.tellHold(key, time.Now(), time.Duration(micros)*time.Microsecond)
			err = b.announceHold(ctx, key, micros)
		}
		return b.setupError(err)
	})
}

// Release implements [backend.Releaser]. A token is the slot in microseconds since 1970 by the
// server's clock. After an error the slot may or may not have been given back: do not release
// it again.
func (b *Backend) Release(ctx context.Context, limits []backend.Limit, token int64) error {
	if err := b.enter(ctx); err != nil || len(limits) == 0 {
		return err
	}
	if err := b.Check(limits); err != nil {
		return err
	}
	keys := make([]string, len(limits))
	for i := range limits {
		keys[i] = b.prefix + limits[i].Key
	}
	limits = slices.Clone(limits) // the call may outlive Release
	return b.bounded(ctx, func(ctx context.Context) error {
		given, err := b.release(ctx, "evalsha", releaseHash, keys, token, limits)
		if redis.HasErrorPrefix(err, "NOSCRIPT") {
			given, err = b.release(ctx, "eval", releaseSource, keys, token, limits)
		}
		for _, i := range given {
			b.news.watchers.Tell(backend.Change{Kind: backend.ChangeRelease, Key: limits[i-1].Key})
		}
		return b.setupError(err)
	})
}

// release returns the limits that took the slot back, by index counted from 1.
func (b *Backend) release(ctx context.Context, command, script string, keys []string, token int64, limits []backend.Limit) ([]int64, error) {
	args := []any{command, script, len(keys)}
	for _, key := range keys {
		args = append(args, key)
	}
	channel, head := b.news.heading(aboutRelease)
	args = append(args, encodeRelease(token, limits), b.ttl, channel, head)
	cmd := once{redis.NewCmd(ctx, args...)}
	cmd.SetStepCount(1)            // as in exec
	_ = b.client.Process(ctx, cmd) // the command has its error
	return cmd.Int64Slice()
}

// once is a command that the client does not send again if the answer is lost. Giving a slot
// back twice might give back another job's slot at the same instant.
type once struct{ *redis.Cmd }

// NoRetry implements [redis.Cmder].
func (once) NoRetry() bool { return true }

// Clear implements [backend.Backend]. It deletes all keys that begin with the prefix, using
// SCAN and UNLINK, which do not block the server. Keys that others charge at the same time
// may remain.
func (b *Backend) Clear(ctx context.Context) error {
	if err := b.enter(ctx); err != nil {
		return err
	}
	err := b.eachServer(ctx, b.clear)
	if err == nil {
		err = b.announceClear(ctx)
	}
	err = b.setupError(err)
	if setup, ok := errors.AsType[*SetupError](err); ok && setup.Advice == giveRights {
		setup.Advice = "give the Redis user the commands SCAN and UNLINK on the prefix of the limits"
	}
	return err
}

// scanCount is the number of keys that the server scans for one answer.
const scanCount = 1000

func (b *Backend) clear(ctx context.Context, server redis.Cmdable) error {
	pattern := escapeGlob(b.prefix) + "*"
	for cursor := uint64(0); ; {
		keys, next, err := server.Scan(ctx, cursor, pattern, scanCount).Result()
		if err != nil {
			return err
		}
		// One by one: on a cluster the keys are in several hash slots.
		_, err = server.Pipelined(ctx, func(pipeline redis.Pipeliner) error {
			for _, key := range keys {
				pipeline.Unlink(ctx, key)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// escapeGlob returns a pattern that matches only s.
func escapeGlob(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(s)
}

// eachServer calls f for each server that holds keys.
func (b *Backend) eachServer(ctx context.Context, f func(context.Context, redis.Cmdable) error) error {
	if c, ok := b.client.(hasMasters); ok {
		return c.ForEachMaster(ctx, func(ctx context.Context, server *redis.Client) error { return f(ctx, server) })
	}
	return f(ctx, b.client)
}

// setupError returns err, as a [*SetupError] if it is one.
func (b *Backend) setupError(err error) error {
	_, err = b.classify(err)
	return err
}
