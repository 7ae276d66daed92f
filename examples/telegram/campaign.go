package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
)

// campaign sends messages and keeps account of each. A job's payload is the
// index of its message.
type campaign struct {
	messages  []message
	sender    *sender
	backend   backend.Backend
	shared    bool        // others use the backend too
	onBackend func(error) // told when the backend fails and when it is back
	workers   int
	progress  *progress

	mu       sync.Mutex // guards what follows
	report   report
	failed   []int // by message: attempts that failed, answers of 429 aside
	failures []failure
	unsent   []int // indices of the messages that were dropped
	lateness []time.Duration
	last     time.Time // the last outcome
}

// failure is a message that was given up.
type failure struct {
	index int
	err   error
}

// run sends everything, or until ctx ends, and returns the account.
func (c *campaign) run(ctx context.Context) (report, error) {
	d, err := dispatcher.New(c.backend, c.send, dispatcher.Config[int]{
		Workers:  c.workers,
		Capacity: max(len(c.messages), 1),
		Limits: func(chat string, i int) []dispatcher.Limit {
			return used.limitsOf(chat, c.messages[i])
		},
		Order:  dispatcher.Backlog, // a campaign wants to be done soonest
		Serial: true,               // no message of a chat overtakes another
		OnDone: c.done,

		OnBackend: c.onBackend,
	})
	if err != nil {
		return report{}, err
	}
	for i, m := range c.messages {
		if err := d.Submit(context.Background(), m.ChatID, i); err != nil {
			return report{}, fmt.Errorf("message to %s: %w", m.ChatID, err)
		}
	}
	c.failed = make([]int, len(c.messages)) // before Run
	start := time.Now()
	ran := make(chan error, 1)
	go func() { ran <- d.Run(ctx) }() // until all is sent or ctx ends
	if err := d.Shutdown(context.Background()); err != nil {
		return report{}, err
	}
	if err := <-ran; err != nil && ctx.Err() == nil {
		return report{}, err
	}
	return c.account(start, d.Stats()), nil
}

// send notes how late the start is, and sends.
func (c *campaign) send(ctx context.Context, job dispatcher.Job[int]) error {
	late := time.Since(job.Slot())
	c.mu.Lock()
	c.lateness = append(c.lateness, late)
	failed := c.failed[job.Payload]
	c.mu.Unlock()
	err := c.sender.send(ctx, c.messages[job.Payload], failed)
	if err != nil && !isTooMany(err) {
		c.mu.Lock()
		c.failed[job.Payload]++
		c.mu.Unlock()
	}
	return err
}

// done is told the outcome of each message, once.
func (c *campaign) done(r dispatcher.Result[int]) {
	if r.Outcome != dispatcher.Dropped {
		c.progress.add(1)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = time.Now()
	switch {
	case r.Outcome == dispatcher.Succeeded:
		c.report.sent++
	case r.Outcome == dispatcher.Dropped:
		c.report.notSent++
		c.unsent = append(c.unsent, r.Job.Payload)
	case isBlocked(r.Err):
		c.report.blocked++
	default:
		c.report.failed++
		c.failures = append(c.failures, failure{r.Job.Payload, r.Err})
	}
}

func (c *campaign) account(start time.Time, stats dispatcher.Stats) report {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.report
	r.messages = len(c.messages)
	r.shared = c.shared
	r.tooMany = int(c.sender.tooMany.Load())
	r.retries = int(stats.Retried)
	r.taken = c.last.Sub(start)
	r.shortest = shortestTime(c.messages, used)
	r.lateness = c.lateness
	return r
}

// leftOver returns the messages that may still be sent, in the order in which
// they came: those dropped and those given up, but not those whose user has blocked
// the bot.
func (c *campaign) leftOver() leftOver {
	indices := slices.Clone(c.unsent)
	for _, f := range c.failures {
		indices = append(indices, f.index)
	}
	slices.Sort(indices)
	left := leftOver{notSent: len(c.unsent), failed: len(c.failures)}
	for _, i := range indices {
		left.messages = append(left.messages, c.messages[i])
	}
	return left
}

// listed is how many failures are worth a line each.
const listed = 10

// writeFailures says which messages were given up, and why.
func (c *campaign) writeFailures(w io.Writer) {
	for i, f := range c.failures {
		if i == listed {
			fmt.Fprintf(w, "... and %d more\n", len(c.failures)-listed)
			return
		}
		fmt.Fprintf(w, "failed: chat %s: %v\n", c.messages[f.index].ChatID, f.err)
	}
}
