package goredis

import (
	"context"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/backendtest"
	"github.com/freqlimit/dispatcher/internal/redistest"
	"github.com/redis/go-redis/v9"
)

// The suite's requests have several limits, which on a cluster have to be in one
// slot: the prefix has a hash tag. Keys without one are tested in backend_cluster_test.go.
func TestConformance(t *testing.T) {
	eachKind(t, func(t *testing.T, client redis.UniversalClient, _ string) {
		clock := redistest.Client(t)
		if _, ok := client.(*redis.ClusterClient); ok {
			clock = clientWith(t, &redis.Options{Addr: redistest.Cluster(t)[0]})
		}
		low, high := apart(t, clock)
		backendtest.Run(t, func(t *testing.T) backend.Backend {
			prefix := tagged(t)
			t.Cleanup(func() { clearAll(t, client, prefix) })
			return &steady{newBackend(t, client, Config{Prefix: prefix}), t, low, high}
		})
	})
}

// steady is a backend whose answers take no time: it puts each slot where the
// server has it. So the suite can compare slots to milliseconds, although a call
// may take longer where much else is going on. That the slot was late by no more
// than the call took, and not early, it sees to itself. The servers are on this
// machine or keep in step with it.
type steady struct {
	*Backend
	t         *testing.T
	low, high time.Duration // between which local - server lies
}

func (s *steady) Reserve(ctx context.Context, reqs []backend.Request, ds []backend.Decision) error {
	const slack = time.Millisecond // for what the clocks have parted by since
	began := time.Now()
	err := s.Backend.Reserve(ctx, reqs, ds)
	took := time.Since(began)
	for i := range reqs {
		d := &ds[i]
		if err != nil || d.Err != nil || d.Token == 0 {
			continue
		}
		server := time.UnixMicro(d.Token)
		if got := d.Slot.Sub(server); got < s.low-slack || got > s.high+took+slack {
			s.t.Errorf("local slot after a call of %v = server's + %v, want from + %v to that and the call later", took, got, s.low)
		}
		d.Slot = d.Slot.Add(s.high - d.Slot.Sub(server))
	}
	return err
}
