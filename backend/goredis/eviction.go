package goredis

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// watchEviction warns once if the servers may evict limits. It is called after each batch.
func (b *Backend) watchEviction(bt *batch) {
	b.mu.Lock()
	watch := !b.watched && bt.parts[0].err == nil
	b.watched = b.watched || watch
	b.mu.Unlock()
	if watch {
		go b.warnOfEviction()
	}
}

// warnOfEviction does nothing if the servers do not tell: not every user may call INFO.
func (b *Backend) warnOfEviction() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var once sync.Once // the nodes of a cluster are asked concurrently
	_ = b.eachServer(ctx, func(ctx context.Context, server redis.Cmdable) error {
		info, err := server.Info(ctx, "memory").Result()
		if err != nil {
			return err
		}
		if policy := evictionPolicy(info); policy != "" {
			once.Do(func() {
				b.log().Warn("goredis: Redis may evict limits, and forget their debt: set maxmemory-policy to noeviction",
					slog.String("maxmemory-policy", policy))
			})
		}
		return nil
	})
}

// evictionPolicy returns the policy by which a server with this INFO evicts keys with an
// expiry, or "" if it evicts none.
func evictionPolicy(info string) string {
	policy, limited := "", false
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch name {
		case "maxmemory":
			limited = value != "0"
		case "maxmemory_policy":
			policy = value
		}
	}
	if !limited || policy == "noeviction" {
		return ""
	}
	return policy
}
