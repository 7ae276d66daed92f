package goredis_test

import (
	"context"
	"fmt"
	"log"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend/goredis"
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/redis/go-redis/v9"
)

// Any number of processes that run this share the limits.
func Example() {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379"})
	defer client.Close()
	limits, err := goredis.New(client, goredis.Config{Prefix: "mybot:limits:"})
	if err != nil {
		log.Fatal(err)
	}

	send := func(ctx context.Context, job dispatcher.Job[string]) error {
		fmt.Println(job.Key, job.Payload)
		return nil
	}
	perBot := gcra.PerSecond(30)
	perChat := gcra.PerSecond(1)
	d, err := dispatcher.New(limits, send, dispatcher.Config[string]{
		Limits: func(chat, text string) []dispatcher.Limit {
			return []dispatcher.Limit{{Key: "bot", Params: perBot}, {Key: "chat:" + chat, Params: perChat}}
		},
	})
	if err != nil {
		log.Fatal(err)
	}

	ctx := context.Background()
	go d.Run(ctx)
	if err := d.Submit(ctx, "alice", "hello"); err != nil {
		log.Fatal(err)
	}
	if err := d.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
}

// On a Redis Cluster, the limits of one job must be in one hash slot. Here the keys of a bot
// have its name in braces as their hash tag, so each bot's limits are together, and the bots
// are spread over the nodes.
func Example_cluster() {
	client := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: []string{"127.0.0.1:7001", "127.0.0.1:7002", "127.0.0.1:7003"},
	})
	defer client.Close()
	limits, err := goredis.New(client, goredis.Config{})
	if err != nil {
		log.Fatal(err)
	}

	type message struct{ bot, chat, text string }
	send := func(ctx context.Context, job dispatcher.Job[message]) error {
		fmt.Println(job.Payload.bot, "to", job.Payload.chat, job.Payload.text)
		return nil
	}
	perBot := gcra.PerSecond(30)
	perChat := gcra.PerSecond(1)
	d, err := dispatcher.New(limits, send, dispatcher.Config[message]{
		Limits: func(_ string, m message) []dispatcher.Limit {
			tag := "{" + m.bot + "}"
			return []dispatcher.Limit{
				{Key: tag, Params: perBot},
				{Key: tag + ":chat:" + m.chat, Params: perChat},
			}
		},
	})
	if err != nil {
		log.Fatal(err)
	}

	ctx := context.Background()
	go d.Run(ctx)
	for _, m := range []message{{"bot7", "42", "hello"}, {"bot8", "42", "hello"}} {
		if err := d.Submit(ctx, m.bot+":"+m.chat, m); err != nil {
			log.Fatal(err)
		}
	}
	if err := d.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
}
