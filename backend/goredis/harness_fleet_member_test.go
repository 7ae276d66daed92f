package goredis_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/goredis"
	"github.com/redis/go-redis/v9"
)

// memberEnv makes this binary a member of a fleet: see fleetMember.
const memberEnv = "GOREDIS_TEST_FLEET_MEMBER"

func init() {
	if plan := os.Getenv(memberEnv); plan != "" {
		if err := fleetMember(plan); err != nil {
			fmt.Fprintln(os.Stderr, "fleet member:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

// fleetPlan is what a member does.
type fleetPlan struct {
	Addr, Prefix string
	Kinds        []fleetJobs
	Index        int // of the member
}

// fleetJobs is a kind of jobs.
type fleetJobs struct {
	Name   string
	Jobs   int
	Keys   int                  // that the jobs of a member have
	Limits [][]dispatcher.Limit // the jobs are under one of these after another
}

// fleetMember works until it is told to stop, once a line has come on the standard input. It
// writes what happens to the standard output at once, for it may be killed: a line
// "g" with a key and a token for each limit of a slot that is granted, the same with "r" when one
// is given back, "s" for a start, and "e" for one that is early.
func fleetMember(text string) error {
	var plan fleetPlan
	if err := json.Unmarshal([]byte(text), &plan); err != nil {
		return err
	}
	client := redis.NewClient(&redis.Options{Addr: plan.Addr})
	defer client.Close()
	b, err := goredis.New(client, goredis.Config{Prefix: plan.Prefix})
	if err != nil {
		return err
	}
	d, err := dispatcher.New(&teller{b}, func(_ context.Context, job dispatcher.Job[int]) error {
		if time.Now().Before(job.Slot()) {
			fmt.Println("e")
		}
		fmt.Println("s")
		return nil
	}, dispatcher.Config[int]{Workers: 64, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	for _, kind := range plan.Kinds {
		for i := range kind.Jobs {
			err := d.SubmitJob(context.Background(), dispatcher.Job[int]{
				Key:     fmt.Sprint(kind.Name, plan.Index, ":", i%kind.Keys),
				Limits:  kind.Limits[i%len(kind.Limits)],
				Payload: i,
			})
			if err != nil {
				return err
			}
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	fmt.Println("ready")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	_ = d.Run(ctx)
	return nil
}

// teller prints the slots that a backend grants.
type teller struct{ *goredis.Backend }

func (t *teller) Reserve(ctx context.Context, reqs []backend.Request, decisions []backend.Decision) error {
	err := t.Backend.Reserve(ctx, reqs, decisions)
	var lines strings.Builder
	for i := range reqs {
		if err == nil && decisions[i].Granted {
			tell(&lines, "g", reqs[i].Limits, decisions[i].Token)
		}
	}
	fmt.Print(lines.String())
	return err
}

func (t *teller) Release(ctx context.Context, limits []backend.Limit, token int64) error {
	var lines strings.Builder
	tell(&lines, "r", limits, token)
	fmt.Print(lines.String())
	return t.Backend.Release(ctx, limits, token)
}

func tell(to *strings.Builder, what string, limits []backend.Limit, token int64) {
	for _, l := range limits {
		fmt.Fprintln(to, what, l.Key, token)
	}
}
