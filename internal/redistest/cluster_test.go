package redistest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/freqlimit/dispatcher/internal/redistest"
	"github.com/redis/go-redis/v9"
)

func TestCluster(t *testing.T) {
	addrs := redistest.Cluster(t)
	if again := redistest.Cluster(t); !slices.Equal(again, addrs) || len(addrs) != 3 {
		t.Fatalf("Cluster = %v and then %v, want the same three nodes", addrs, again)
	}
	ctx := t.Context()
	prefix := redistest.Prefix(t)

	// Each node says the same of the whole cluster, and sends away those that
	// ask it for what another has.
	moved := 0
	for _, addr := range addrs {
		node := redis.NewClient(&redis.Options{Addr: addr})
		defer node.Close()
		info, err := node.ClusterInfo(ctx).Result()
		if err != nil || !strings.Contains(info, "cluster_state:ok") {
			t.Errorf("%s: cluster info: %v\n%s", addr, err, info)
		}
		shards, err := node.ClusterShards(ctx).Result()
		if err != nil {
			t.Fatal(err)
		}
		owned := 0
		for _, shard := range shards {
			for _, r := range shard.Slots {
				owned += int(r.End-r.Start) + 1
			}
			for _, n := range shard.Nodes {
				if at := fmt.Sprintf("%s:%d", n.Endpoint, n.Port); !slices.Contains(addrs, at) {
					t.Errorf("%s: a node at %s, want only %v", addr, at, addrs)
				}
			}
		}
		if len(shards) != 3 || owned != 16384 {
			t.Errorf("%s: %d slots in %d shards, want 16384 in 3", addr, owned, len(shards))
		}
		if _, isMoved := redis.IsMovedError(node.Get(ctx, prefix+"key").Err()); isMoved {
			moved++
		}
	}
	if moved != 2 {
		t.Errorf("%d nodes send a client on, want all but one", moved)
	}

	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs[:1]})
	defer client.Close()
	for i := range 30 {
		key := fmt.Sprintf("%s%d", prefix, i)
		if err := client.Set(ctx, key, i, 0).Err(); err != nil {
			t.Fatalf("set %s: %v", key, err)
		}
		if got, err := client.Get(ctx, key).Int(); err != nil || got != i {
			t.Errorf("get %s = %d, %v, want %d", key, got, err, i)
		}
	}
}
