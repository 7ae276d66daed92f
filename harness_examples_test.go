package dispatcher_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend/memory"
	"github.com/freqlimit/dispatcher/gcra"
)

// errBusy is what a server says that is to be asked again.
var errBusy = errors.New("503 busy")

// newPool returns a dispatcher that says what it does.
func newPool(handler dispatcher.Handler[string], cfg dispatcher.Config[string]) *dispatcher.Dispatcher[string] {
	cfg.Events.Done = func(_ context.Context, r dispatcher.Result[string]) {
		if r.Err != nil {
			fmt.Printf("%s: %v: %v\n", r.Job.Payload, r.Outcome, r.Err)
		} else {
			fmt.Printf("%s: %v\n", r.Job.Payload, r.Outcome)
		}
	}
	d, err := dispatcher.New(memory.New(memory.Config{}), handler, cfg)
	if err != nil {
		log.Fatal(err)
	}
	return d
}

func mustSubmit(d *dispatcher.Dispatcher[string], jobs ...dispatcher.Job[string]) {
	for _, job := range jobs {
		if err := d.SubmitJob(context.Background(), job); err != nil {
			log.Fatal(err)
		}
	}
}

func drain(d *dispatcher.Dispatcher[string]) {
	go d.Run(context.Background())
	if err := d.Shutdown(context.Background()); err != nil {
		log.Fatal(err)
	}
}

// nothing is a handler that has nothing to do.
func nothing(context.Context, dispatcher.Job[string]) error { return nil }

// hourly lets jobs wait.
var hourly = gcra.PerHour(1)
