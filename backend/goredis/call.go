package goredis

import (
	"context"
	"errors"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/redis/go-redis/v9"
)

// errReply is the error for a reply that the script can't have sent.
var errReply = errors.New("goredis: malformed reply of the script")

// call runs the script for all parts of a batch, in one round trip.
func (b *Backend) call(bt *batch) {
	ctx := context.Background()
	if b.cluster {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, b.patience) // after which nobody waits for it
		defer cancel()
	}
	b.exec(ctx, bt.shard, "evalsha", reserveHash, bt.parts)
	var unknown []*part
	for _, p := range bt.parts {
		if redis.HasErrorPrefix(p.err, "NOSCRIPT") {
			unknown = append(unknown, p)
		}
	}
	if len(unknown) > 0 {
		b.exec(ctx, bt.shard, "eval", reserveSource, unknown)
	}
	b.watchEviction(bt)
}

// exec runs the script for some parts.
func (b *Backend) exec(ctx context.Context, s *shard, command, script string, parts []*part) {
	commands := make([]redis.Cmder, len(parts))
	channel, head := b.news.heading(aboutTurns)
	for i, p := range parts {
		args := make([]any, 0, 7+len(p.keys))
		args = append(args, command, script, len(p.keys))
		for k := range p.keys {
			args = append(args, &p.keys[k])
		}
		c := redis.NewCmd(ctx, append(args, p.requests, b.ttl, channel, head)...)
		c.SetStepCount(1) // else the client of a cluster asks any node, which may hang, about the command
		commands[i] = c
	}
	sent := b.now()
	if len(commands) == 1 {
		_ = b.client.Process(ctx, commands[0]) // the command has its error
	} else {
		pipeline := b.client.Pipeline()
		for _, c := range commands {
			_ = pipeline.Process(ctx, c)
		}
		_, _ = pipeline.Exec(ctx)
	}
	b.take(s, parts, commands, sent, b.now())
	for _, p := range parts {
		if p.err == nil {
			eachMixed(p.reply, p.count, func(key int, was, is time.Duration) {
				b.news.watchers.Tell(backend.Change{Kind: backend.ChangeParams, Key: p.keys[key-1][len(b.prefix):], Was: was, Is: is})
			})
		}
	}
}

// take records the answers.
func (b *Backend) take(s *shard, parts []*part, commands []redis.Cmder, sent, received int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, p := range parts {
		p.reply, p.err = commands[i].(*redis.Cmd).Text()
		if p.err == nil && !wellFormed(p.reply, p.count) {
			p.err = errReply
		}
		if p.err != nil || b.cluster {
			s.clock.forget() // the next answer may come from another server
		}
		var o outlook
		o, p.err = b.classify(b.explain(p.err, received))
		p.final = s.setup.isFinal(p.err, o, received)
		if p.err == nil {
			p.offset = s.clock.sample(sent, received, number(p.reply))
			s.offset = p.offset
			b.nodesKnown.Store(true)
		}
	}
}

// now is the local instant, nanoseconds.
func (b *Backend) now() int64 { return int64(time.Since(b.epoch)) }
