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

// Hold implements [backend.Backend]. It tells other processes in a second step.
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

// Release implements [backend.Releaser]: a stamp is microseconds since 1970 by
// the server's clock. After an error the slot may have been given back or not, and is
// lost.
func (b *Backend) Release(ctx context.Context, limits []backend.Limit, stamp int64) error {
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
	limits = slices.Clone(limits) // the call may go on when this has returned
	return b.bounded(ctx, func(ctx context.Context) error {
		given, err := b.release(ctx, "evalsha", releaseHash, keys, stamp, limits)
		if redis.HasErrorPrefix(err, "NOSCRIPT") {
			given, err = b.release(ctx, "eval", releaseSource, keys, stamp, limits)
		}
		for _, i := range given {
			b.news.watchers.Tell(backend.Change{Kind: backend.ChangeRelease, Key: limits[i-1].Key})
		}
		return b.setupError(err)
	})
}

// release returns which limits have got something back, by index from 1 on.
func (b *Backend) release(ctx context.Context, command, script string, keys []string, stamp int64, limits []backend.Limit) ([]int64, error) {
	args := []any{command, script, len(keys)}
	for _, key := range keys {
		args = append(args, key)
	}
	channel, head := b.news.releaseNews()
	args = append(args, encodeRelease(stamp, limits), b.ttl, channel, head)
	cmd := once{redis.NewCmd(ctx, args...)}
	cmd.SetStepCount(1)            // as in exec
	_ = b.client.Process(ctx, cmd) // the command has its error
	return cmd.Int64Slice()
}

// once is a command that the client does not send again if the answer is lost. A slot
// that is given back twice could be that of another, at the same instant.
type once struct{ *redis.Cmd }

// NoRetry implements [redis.Cmder].
func (once) NoRetry() bool { return true }

// Clear implements [backend.Backend]: it deletes all keys that begin with the
// prefix, by SCAN and UNLINK, which do not hold up the server. Keys that others
// charge meanwhile may stay.
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

// scanCount is how many keys the server looks at for one answer.
const scanCount = 1000

func (b *Backend) clear(ctx context.Context, server redis.Cmdable) error {
	pattern := escapeGlob(b.prefix) + "*"
	for cursor := uint64(0); ; {
		keys, next, err := server.Scan(ctx, cursor, pattern, scanCount).Result()
		if err != nil {
			return err
		}
		// One by one: on a cluster the keys lie in several slots.
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

// escapeGlob returns a pattern that matches s alone.
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
	_, err = b.judge(err)
	return err
}
