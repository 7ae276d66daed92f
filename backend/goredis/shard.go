package goredis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// shard is the state of one server: its batches, calls and clock. Each node of a cluster has its
// own, so that a node that hangs does not block the others. Without a cluster there is only the
// one in Backend. Backend.mu guards all fields.
type shard struct {
	pending *batch // not sent yet; nil if empty
	size    int    // requests in the last batch that was sent
	calls   int    // goroutines that call
	clock   clock
	offset  int64 // to add to the server's instants, from the last answer; 0: no answer yet
	setup   setup
}

// nodePatience is how long a node of a cluster may take to answer. It bounds each call, since
// with some options the client tries for minutes. Other requests must not wait for that, and
// the node may have been replaced.
const nodePatience = time.Second

var errNodeHangs = fmt.Errorf("goredis: a node of the cluster has not answered within %v", nodePatience)

// hasNodes is implemented by [*redis.ClusterClient].
type hasNodes interface {
	MasterForKey(ctx context.Context, key string) (*redis.Client, error)
}

// Shard implements [backend.Sharder]. It returns the address of the cluster node that has the
// key, or "" if the node is not known yet, or without a cluster.
func (b *Backend) Shard(key string) string {
	if b.client == nil {
		return ""
	}
	return b.nodeOf(b.prefix + key)
}

// nodeOf is Shard for a key in Redis. After the first answer the client knows the nodes, and
// updates them in the background, so that asking it takes no time.
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
				delete(b.shards, node) // it is down, and may be gone
			}
		}
		s = &shard{setup: setup{answered: b.setup.answered}}
		b.shards[node] = s
	}
	return s
}

// bounded calls f. On a cluster it returns an error after nodePatience; f then continues with
// a context that has ended.
func (b *Backend) bounded(ctx context.Context, f func(context.Context) error) error {
	if !b.cluster {
		return f(ctx)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, b.patience, errNodeHangs)
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
