// Command telegram sends messages to many chats through Telegram's Bot API, as
// fast as its limits allow and no faster.
//
// Without a token it sends a demo campaign to a server of its own on loopback,
// which speaks the Bot API and enforces Telegram's limits:
//
//	go run ./examples/telegram
//
// With a token it sends what a file holds, CSV or JSON Lines:
//
//	TELEGRAM_TOKEN=... go run ./examples/telegram -to messages.jsonl
//
// With -storm the server of the demo is in trouble, and tells some chats off over
// and over:
//
//	go run ./examples/telegram -storm
//
// With -dry-run it sends nothing, and says how long it would take:
//
//	go run ./examples/telegram -dry-run -to messages.jsonl
//
// With -redis all copies of it that send for one bot share the limits:
//
//	go run ./examples/telegram -redis 127.0.0.1:6379
//
// Ctrl-C, SIGTERM and SIGHUP stop it: messages on their way are finished. What is not sent
// is in a file, unsent.jsonl or the one that -unsent names, from before the first message
// leaves: -to unsent.jsonl goes on, also after a crash.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/freqlimit/dispatcher/examples/telegram/internal/botapi"
)

// errStopped says that the campaign was stopped before all was sent.
var errStopped = errors.New("stopped")

func main() {
	ignoreWrites()
	err := run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintf(os.Stderr, "telegram: %v\n", err)
	}
	os.Exit(exitCode(err))
}

func exitCode(err error) int {
	if err == nil {
		return 0
	}
	if _, ok := errors.AsType[usageError](err); ok {
		return 2
	}
	if e, ok := errors.AsType[*stopped](err); ok {
		return e.exitCode()
	}
	return 1
}

// run is the program. Whatever it writes, and its error, holds no secrets.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr *os.File) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	hidden := &secrets{}
	out := &outlet{w: hidden.over(stdout), stop: stop}
	p := program{stdin: stdin, stdout: out, watched: isTerminal(stdout), stderr: hidden.over(stderr), hidden: hidden, stop: stop}
	err := p.perform(ctx, args)
	if errors.Is(err, flag.ErrHelp) {
		return nil // a reader that has read enough of it, as "| head" does
	}
	if broken := out.broken.Load(); broken != nil && err == nil {
		err = broken
	}
	if err != nil {
		return hiddenError{err, hidden}
	}
	return nil
}

// program is what a run of it has around it.
type program struct {
	stdin   io.Reader
	stdout  *outlet
	watched bool // somebody may be watching the output
	stderr  io.Writer
	hidden  *secrets
	stop    context.CancelCauseFunc // of what perform does
}

func (p *program) perform(ctx context.Context, args []string) error {
	o, err := parse(args, p.stdout, p.hidden)
	if err != nil {
		return err
	}
	if o.dryRun {
		file, err := o.load(p.stdin)
		if err != nil {
			return err
		}
		return (&campaign{messages: file.messages, workers: o.workers, limits: used}).dryRun(p.stdout)
	}
	unsent, err := openUnsent(o)
	if err != nil {
		return err
	}
	defer unsent.close()
	file, err := o.load(p.stdin)
	if err != nil {
		return err
	}
	if file.ours && !unsent.isTo && o.to != "-" {
		return fmt.Errorf("-unsent is %s: must be %s too, which holds messages that an earlier campaign has left", unsent.path, o.to)
	}
	c := &campaign{messages: file.messages, perhaps: file.perhaps, workers: o.workers, limits: used, events: watch(p.stderr)}
	timeout := requestTimeout
	if o.token == "" {
		server, err := p.startDemo(&o, c)
		if err != nil {
			return err
		}
		defer server.Close()
		if o.storm {
			timeout, o.resend = stormTimeout, true // what it loses is not delivered
		}
	}
	limits, err := newKeeper(ctx, o.redis, o.token, slog.New(slog.NewTextHandler(p.stderr, nil)))
	if err != nil {
		return err
	}
	defer limits.close()
	c.backend, c.shared = limits.backend, limits.shared
	if limits.shared {
		fmt.Fprintf(p.stdout, "The limits are shared with all copies that use this Redis, under %s*.\n\n", sharedPrefix(o.token))
	}
	if c.sender, err = newSender(o.token, o.server, newClient(o.workers)); err != nil {
		return err
	}
	c.sender.timeout, c.sender.resend = timeout, o.resend
	if ctx.Err() != nil { // nothing is sent yet
		return context.Cause(ctx)
	}
	if unsent.path != "" {
		if c.ledger, err = newLedger(unsent.path, c.messages, c.perhaps, file.kept, c.giveUp); err != nil {
			return fmt.Errorf("nothing is sent, since %s, where what is not sent is kept, can't be written: %w", unsent.path, err)
		}
	}
	return p.conduct(ctx, c, unsent)
}

// startDemo starts the server that stands in for Telegram.
func (p *program) startDemo(o *options, c *campaign) (*botapi.Server, error) {
	cfg := demoServer()
	if o.storm {
		c.storm = newStorm(c.messages, stormChats, stormRetryAfter)
		cfg.Storm, cfg.FailShare = c.storm, 0
	}
	server := botapi.New(cfg)
	url, err := server.Start()
	if err != nil {
		return nil, err
	}
	o.server, o.token = url, botapi.DefaultToken
	fmt.Fprintf(p.stdout, "Demo: %s to a fake Bot API on %s, which enforces\n"+
		"30 messages a second, 1 a second per chat and 20 a minute per group.\n\n", counted(len(c.messages), "message"), url)
	if o.storm {
		fmt.Fprintf(p.stdout, "It is in a storm: of its answers 10%% are 429, all to %s, and 2%% are 502;\n"+
			"1%% never come.\n\n", counted(len(c.storm.Chats), "chat"))
	}
	return server, nil
}

// conduct sends everything, or until it is stopped, and says what it came to.
func (p *program) conduct(ctx context.Context, c *campaign, unsent unsentFile) error {
	c.progress = newProgress(p.stdout, p.watched, len(c.messages))
	end := c.stopOnSignals(p, unsent)
	defer end()
	r, err := c.run(ctx)
	c.progress.finish()
	out := io.Writer(p.stdout)
	if err == nil {
		fmt.Fprintln(out)
		r.write(out) // the outlet keeps its error
		c.writeFailures(out)
	}
	if p.stdout.broken.Load() != nil {
		out = p.stderr
	}
	if finishErr := c.finish(out, p.stderr); err != nil || finishErr != nil {
		return errors.Join(err, finishErr)
	}
	if c.hopeless != nil {
		return fmt.Errorf("stopped, since it can't get better: %w", c.hopeless)
	}
	if broken := p.stdout.broken.Load(); broken != nil {
		return broken
	}
	switch {
	case r.notSent > 0:
		if cause := context.Cause(ctx); cause != nil {
			return fmt.Errorf("%w: %w", errStopped, cause)
		}
		return errStopped
	case r.failed > 0 && r.perhaps > 0:
		return fmt.Errorf("%s failed, and %d were perhaps sent", counted(r.failed, "message"), r.perhaps)
	case r.failed > 0:
		return fmt.Errorf("%s failed", counted(r.failed, "message"))
	case r.perhaps > 0:
		return fmt.Errorf("%s perhaps sent", counted(r.perhaps, "message"))
	}
	return nil
}
