package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/goredis"
	"github.com/freqlimit/dispatcher/backend/memory"
	"github.com/redis/go-redis/v9"
)

// pingTimeout is how long Redis may take to say that it is there.
const pingTimeout = 5 * time.Second

// keeper is who keeps the limits of a campaign.
type keeper struct {
	backend backend.Backend
	shared  bool
	close   func() error
}

// newKeeper keeps the limits in memory, or, if an address is given, in Redis,
// where all copies of this program that send for the same bot share them.
func newKeeper(ctx context.Context, address, token string, logger *slog.Logger) (keeper, error) {
	if address == "" {
		m := memory.New(memory.Config{})
		return keeper{m, false, m.Close}, nil
	}
	options, err := redisOptions(address)
	if err != nil {
		return keeper{}, err
	}
	client := redis.NewClient(options)
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	if err := client.Ping(ctx).Err(); err != nil {
		client.Close()
		return keeper{}, fmt.Errorf("-redis is %s: %w", options.Addr, err)
	}
	b, err := goredis.New(client, goredis.Config{
		Prefix: sharedPrefix(token),
		Logger: logger,
	})
	if err != nil {
		client.Close()
		return keeper{}, err
	}
	return keeper{b, true, client.Close}, nil
}

// redisOptions understands host:port and redis://user:password@host:port/db. Its errors
// quote nothing: any part may belong to a password that is not written as it should be.
func redisOptions(address string) (*redis.Options, error) {
	if !strings.Contains(address, "://") {
		if _, _, err := net.SplitHostPort(address); err != nil || strings.Contains(address, "@") {
			return nil, errors.New("-redis must be host:port or redis://user:password@host:port/db")
		}
		return &redis.Options{Addr: address}, nil
	}
	options, err := redis.ParseURL(address)
	if err != nil {
		return nil, errors.New("-redis is no URL like redis://user:password@host:port/db; special characters of a password are written as %XX")
	}
	return options, nil
}

// sharedPrefix stands before the keys of the limits of a bot: bots don't share
// them. Of the token it has the bot's ID alone, which is no secret. The braces
// keep the limits of a bot together on a Redis Cluster.
func sharedPrefix(token string) string {
	id, _, _ := strings.Cut(token, ":")
	return "telegram:{" + id + "}:"
}

// watch tells the user when Redis goes away and comes back.
func watch(w io.Writer) dispatcher.Events[int] {
	return dispatcher.Events[int]{
		BackendDown: func(_ context.Context, err error) {
			fmt.Fprintf(w, "telegram: Redis is away, messages wait: %v\n", err)
		},
		BackendUp: func(context.Context) { fmt.Fprintln(w, "telegram: Redis is back") },
	}
}

// quiet keeps go-redis from writing to the standard error by itself.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

func init() { redis.SetLogger(quiet{}) }
