package dispatcher_test

import (
	"context"
	"fmt"
	"log"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend/memory"
	"github.com/freqlimit/dispatcher/gcra"
)

type Message struct{ Text string }

var (
	perBot  = gcra.PerSecond(30)
	perChat = gcra.PerSecond(1)
)

func send(ctx context.Context, job dispatcher.Job[Message]) error {
	fmt.Println(job.Key, job.Payload.Text)
	return nil
}

func Example() {
	ctx := context.Background()
	d, err := dispatcher.New(memory.New(memory.Config{}), send, dispatcher.Config[Message]{
		Limits: func(chat string, m Message) []dispatcher.Limit {
			return []dispatcher.Limit{{Key: "bot", Params: perBot}, {Key: chat, Params: perChat}}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	go d.Run(ctx)

	for _, chat := range []string{"alice", "alice", "bob"} {
		if err := d.Submit(ctx, chat, Message{"hello"}); err != nil {
			log.Fatal(err)
		}
	}
	if err := d.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}

	// Unordered output:
	// alice hello
	// bob hello
	// alice hello
}
