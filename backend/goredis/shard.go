package goredis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// shard is what a Backend knows of one server: what goes to it, and how that goes. So a node
// of a cluster that hangs holds up no other. Off a cluster there is one, that of the Backend.
// All of it is guarded by Backend.mu.
type shard struct {
	pending *batch // not yet on its way; nil if empty
	size    int    // requests of the last batch that went
	calls   int    // goroutines that call
	clock   clock
	setup   setup
}

// nodePatience is how long a node of a cluster may take to answer. It bounds a call whatever
// the options of the client, of which some let it try for minutes: others must not wait for
// that, and the node may have been replaced.
const nodePatience = time.Second

var errNodeHangs = fmt.Errorf("goredis: a node of the cluster has not answered within %v", nodePatience)

// hasNodes is what a [*redis.ClusterClient] can do.
type hasNodes interface {
	MasterForKey(ctx context.Context, key string) (*redis.Client, error)
}

// Shard implements [backend.Sharder]: it is the address of the node of a cluster that has
// the key, "" where that is not known yet, or off a cluster.
func (b *Backend) Shard(key string) string {
	if b.client == nil {
		return ""
	}
	return b.nodeOf(b.prefix + key)
}

// nodeOf is Shard for a key in Redis. Once there has been an answer the client knows the
// nodes, and looks at them again in the background: to ask it takes no time.
func (b *Backend) nodeOf(key string) string {
	if b.nodes == nil || !b.nodesKnown.Load() {
		return ""
	}
	node, err := b.nodes.MasterForKey(context.Background(), key)
	if err != nil {
		return ""
	}
	return node.Options().Addr
}

// shardAt returns the shard of a node. It requires that b.mu is held.
func (b *Backend) shardAt(node string) *shard {
	if node == "" {
		return &b.shard
	}
	s := b.shards[node]
	if s == nil {
		for node, s := range b.shards {
			if s.calls == 0 && s.pending == nil && s.setup.since != 0 {
				delete(b.shards, node) // it is down, and may be no more
			}
		}
		s = &shard{setup: setup{answered: b.setup.answered}}
		b.shards[node] = s
	}
	return s
}

// bounded calls f, and on a cluster returns an error once it has taken too long. Then f goes
// on, and its context has ended.
func (b *Backend) bounded(ctx context.Context, f func(context.Context) error) error {
	if !b.cluster {
		return f(ctx)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, nodePatience, errNodeHangs)
	done := make(chan error, 1)
	go func() {
		defer cancel()
		done <- f(ctx)
	}()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		select {
		case err = <-done: // at the same time
		default:
			err = ctx.Err()
		}
	}
	if errors.Is(err, context.DeadlineExceeded) && errors.Is(context.Cause(ctx), errNodeHangs) {
		b.reloadCluster()
		return errNodeHangs
	}
	return err
}
