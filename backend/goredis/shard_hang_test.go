package goredis

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/redis/go-redis/v9"
)

// hanging returns a backend on a cluster whose first master does not answer, with a limit on
// each master. Its client has no timeouts.
func hanging(t *testing.T) (*Backend, *ownCluster, [3]backend.Limit) {
	c := startOwnCluster(t, 0)
	b := newImpatient(t, c.client(t, redis.ClusterOptions{ReadTimeout: -1, WriteTimeout: -1}), Config{})
	var limits [3]backend.Limit
	for i := range limits {
		limits[i] = limit(keyOf(i, b.prefix), every(time.Hour, 100))
		takes(t, b, limits[i])
	}
	c.servers[0].Pause()
	return b, c, limits
}

// A call to a node that hangs ends, whatever the client's options: the requests for it are
// Undecided, and those for others are decided. Meanwhile others are asked.
func TestNodeHangs(t *testing.T) {
	b, c, limits := hanging(t)
	reqs := []backend.Request{request(limits[0]), request(limits[1]), request(limits[0]), request(limits[2])}
	hung := make(chan answer, 20)
	for range cap(hung) {
		go func() { hung <- <-reserveLater(t.Context(), b, reqs[0]) }()
	}
	for range 3 {
		ds := make([]backend.Decision, len(reqs))
		if err := b.Reserve(t.Context(), reqs, ds); err != nil {
			t.Fatalf("Reserve() = %v, want nil: others are decided", err)
		}
		for i, d := range ds {
			if on := i%2 == 0; on && (!d.Undecided || !errors.Is(d.Err, errNodeHangs)) || !on && !d.Granted {
				t.Errorf("decision %d = %+v, want those of the node that hangs Undecided, and the others granted", i, d)
			}
		}
		for i := range 2 {
			takes(t, b, limits[1+i])
		}
	}
	for range cap(hung) {
		if a := receive(t, "the answer", hung); !errors.Is(a.err, errNodeHangs) {
			t.Errorf("Reserve() = %v, want %v", a.err, errNodeHangs)
		}
	}
	for name, err := range map[string]error{
		"Hold()":    b.Hold(t.Context(), limits[0].Key, time.Hour),
		"Release()": b.Release(t.Context(), limits[:1], 1),
	} {
		if !errors.Is(err, errNodeHangs) {
			t.Errorf("%s = %v, want %v", name, err, errNodeHangs)
		}
	}

	// What was granted to those who have gone is given back, and what was not sent is refused.
	c.servers[0].Resume()
	eventually(t, "the node is asked again", func() bool {
		var d [1]backend.Decision
		return b.Reserve(t.Context(), []backend.Request{request(limits[1])}, d[:]) == nil && b.Reserve(t.Context(), reqs[:1], d[:]) == nil && d[0].Err == nil
	})
}

// If a caller leaves while a node hangs, the slots that other nodes granted to it are given back.
func TestLeaveWhileNodeHangs(t *testing.T) {
	b, c, limits := hanging(t)
	defer c.servers[0].Resume()
	all := limit("{"+b.prefix+limits[1].Key+"}", every(time.Hour, 100)) // of the same node
	all.Cost = 100
	ctx, cancel := context.WithCancel(t.Context())
	later := reserveLater(ctx, b, request(limits[0]), request(all))
	node := c.servers[1].Client(t)
	eventually(t, "the other node has granted", func() bool { return node.Exists(t.Context(), b.prefix+all.Key).Val() == 1 })
	cancel()
	if a := receive(t, "the answer", later); !errors.Is(a.err, context.Canceled) {
		t.Errorf("Reserve() = %v, want %v", a.err, context.Canceled)
	}
	eventually(t, "the slots are given back", func() bool { return reserve(t, b, 0, all).Granted })
}

// Shard tells nodes apart, from the first answer on.
func TestShard(t *testing.T) {
	client := clusterClient(t)
	b := newImpatient(t, client, Config{})
	if got := b.Shard("k"); got != "" {
		t.Errorf("Shard() before the first answer = %q, want none", got)
	}
	takes(t, b, limit("k", every(time.Hour, 1)))
	var shards []string
	for i := range 3 {
		key := keyOf(i, b.prefix)
		shard := b.Shard(key)
		node, err := client.MasterForKey(t.Context(), b.prefix+key)
		if err != nil || shard != node.Options().Addr || slices.Contains(shards, shard) {
			t.Errorf("Shard(%q) = %q, want the node's address, %v", key, shard, node)
		}
		shards = append(shards, shard)
	}
}
