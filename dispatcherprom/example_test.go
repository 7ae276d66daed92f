package dispatcherprom_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend/memory"
	"github.com/freqlimit/dispatcher/dispatcherprom"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
)

func ExampleNewCollector() {
	ctx := context.Background()
	send := func(_ context.Context, job dispatcher.Job[string]) error {
		fmt.Println(job.Key, job.Payload)
		return nil
	}
	d, err := dispatcher.New(memory.New(memory.Config{}), send, dispatcher.Config[string]{})
	if err != nil {
		log.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(dispatcherprom.NewCollector("mail", d))

	go d.Run(ctx)
	for _, text := range []string{"hello", "goodbye"} {
		if err := d.Submit(ctx, "alice", text); err != nil {
			log.Fatal(err)
		}
		if err := d.WaitIdle(ctx); err != nil {
			log.Fatal(err)
		}
	}
	if err := d.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}

	// A program would serve them: promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).
	families, err := reg.Gather()
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "dispatcher_jobs_ended_total" {
			if _, err := expfmt.MetricFamilyToText(os.Stdout, f); err != nil {
				log.Fatal(err)
			}
		}
	}

	// Output:
	// alice hello
	// alice goodbye
	// # HELP dispatcher_jobs_ended_total Jobs that have ended, by outcome.
	// # TYPE dispatcher_jobs_ended_total counter
	// dispatcher_jobs_ended_total{dispatcher="mail",outcome="canceled"} 0
	// dispatcher_jobs_ended_total{dispatcher="mail",outcome="dropped"} 0
	// dispatcher_jobs_ended_total{dispatcher="mail",outcome="expired"} 0
	// dispatcher_jobs_ended_total{dispatcher="mail",outcome="failed"} 0
	// dispatcher_jobs_ended_total{dispatcher="mail",outcome="panicked"} 0
	// dispatcher_jobs_ended_total{dispatcher="mail",outcome="succeeded"} 2
	// dispatcher_jobs_ended_total{dispatcher="mail",outcome="uncertain"} 0
}
