package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/goredis"
	"github.com/freqlimit/dispatcher/examples/telegram/internal/botapi"
)

// campaign sends messages and keeps account of each. A job's payload is the
// index of its message.
type campaign struct {
	messages []message
	sender   *sender
	backend  backend.Backend
	shared   bool                   // others use the backend too
	events   dispatcher.Events[int] // beside the campaign's own
	workers  int
	limits   limits
	storm    *botapi.Storm // that the server is in; nil for none that we know of
	progress *progress
	ledger   *ledger // nil for none
	perhaps  []bool  // by message: an earlier campaign has perhaps sent it; or nil

	inFlight atomic.Int64 // messages whose answer is awaited

	mu       sync.Mutex // guards what follows
	report   report
	stop     context.CancelCauseFunc // of what run does
	hopeless error                   // why the campaign has stopped itself; nil if it has not
	unsure   map[int]error           // why messages were perhaps delivered
	ended    []int                   // by message: the outcomes it had, which must be one
	failures []failure
	unsent   []int // indices of the messages that were dropped, surely not delivered
	unknown  []failure
	lateness []time.Duration
	last     time.Time // the last outcome
	spared   time.Time // the last one of a chat that the storm does not tell off
}

// failure is a message that was given up.
type failure struct {
	index int
	err   error
}

// config is how the campaign is sent.
func (c *campaign) config() dispatcher.Config[int] {
	return dispatcher.Config[int]{
		Workers:  c.workers,
		Capacity: max(len(c.messages), 1),
		Limits: func(chat string, i int) []dispatcher.Limit {
			return c.limits.limitsOf(chat, c.messages[i])
		},
		Order:  dispatcher.Backlog, // a campaign wants to be done soonest
		Serial: true,               // no message of a chat overtakes another
		Retry:  retry,

		Logger:      slog.New(slog.DiscardHandler), // the report says what has failed
		StopTimeout: requestTimeout,                // messages on their way are finished

		Events: dispatcher.JoinEvents(dispatcher.Events[int]{Done: c.done}, c.events),
	}
}

// run sends everything, or until ctx ends or there is no hope, and returns the account.
func (c *campaign) run(ctx context.Context) (report, error) {
	ctx, c.stop = context.WithCancelCause(ctx)
	defer c.stop(nil)
	c.progress.holds.expect(c.messages)
	c.unsure = make(map[int]error)
	for i, perhaps := range c.perhaps {
		if perhaps {
			c.unsure[i] = errors.New("an earlier campaign had no answer")
		}
	}
	d, err := dispatcher.New(c.backend, c.send, c.config())
	if err != nil {
		return report{}, err
	}
	for i, m := range c.messages {
		if err := d.Submit(context.Background(), m.ChatID, i); err != nil {
			return report{}, fmt.Errorf("message to %s: %w", m.ChatID, err)
		}
	}
	c.ended = make([]int, len(c.messages)) // before Run
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
	c.mu.Unlock()
	i := job.Payload
	if err := c.ledger.mark(i, sending); err != nil {
		return &hopeless{err}
	}
	c.inFlight.Add(1)
	err := c.sender.send(ctx, c.messages[i])
	c.inFlight.Add(-1)
	c.ledger.mark(i, c.delivery(i, err)) // at once; the ledger tells of errors
	if e, ok := errors.AsType[*hopeless](err); ok {
		c.giveUp(e)
	}
	if e, ok := errors.AsType[*dispatcher.RetryAfterError](err); ok {
		c.progress.holds.hold(job.Key, time.Now().Add(e.Delay))
	}
	return err
}

// delivery is what has become of a message after an attempt. What was perhaps sent once
// remains so until it is sent, or can't be.
func (c *campaign) delivery(i int, err error) delivery {
	c.mu.Lock()
	defer c.mu.Unlock()
	if isUnsure(err) {
		c.unsure[i] = err
	}
	switch {
	case err == nil:
		return sent
	case isBlocked(err):
		return blocked
	case c.unsure[i] != nil:
		return perhapsSent
	}
	return unsent // until the campaign gives it up
}

// giveUp stops the campaign: what is left would fail as well.
func (c *campaign) giveUp(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hopeless == nil {
		c.hopeless = why
		c.stop(why)
	}
}

// done is told the outcome of each message, once.
func (c *campaign) done(_ context.Context, r dispatcher.Result[int]) {
	i := r.Job.Payload
	_, hopeless := errors.AsType[*hopeless](r.Err)
	if e, ok := errors.AsType[*goredis.SetupError](r.Err); ok { // of Redis, for all messages
		hopeless = true
		c.giveUp(e)
	}
	dropped := r.Outcome == dispatcher.Dropped || hopeless
	if !dropped {
		c.progress.add(1)
		c.progress.holds.done(r.Job.Key)
	}
	if c.count(r, dropped) == failed {
		c.ledger.mark(i, failed) // without mu: the ledger may give up
	}
}

// count notes the outcome of a message, and returns what has become of it.
func (c *campaign) count(r dispatcher.Result[int], dropped bool) delivery {
	i := r.Job.Payload
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended[i]++
	c.last = time.Now()
	if c.storm != nil && !slices.Contains(c.storm.Chats, r.Job.Key) {
		c.spared = c.last
	}
	unsure := c.unsure[i]
	switch {
	case r.Outcome == dispatcher.Succeeded:
		c.report.sent++
		return sent
	case isBlocked(r.Err):
		c.report.blocked++
		return blocked
	case unsure != nil: // whatever came after
		c.report.perhaps++
		c.unknown = append(c.unknown, failure{i, unsure})
		return perhapsSent
	case dropped:
		c.report.notSent++
		c.unsent = append(c.unsent, i)
		return unsent
	}
	c.report.failed++
	c.failures = append(c.failures, failure{i, r.Err})
	return failed
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
	if c.storm != nil {
		r.storm = &stormReport{
			chats:    len(c.storm.Chats),
			broken:   int(c.sender.broken.Load()),
			timeouts: int(c.sender.timeouts.Load()),
			spared:   max(0, c.spared.Sub(start)),
		}
	}
	r.shortest = shortestTime(c.messages, c.limits)
	r.lateness = c.lateness
	return r
}
