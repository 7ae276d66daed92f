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
// Ctrl-C stops it cleanly: messages on their way are finished. Those not sent,
// and those given up, are written to a file to go on with: the one that -unsent names.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/freqlimit/dispatcher/examples/telegram/internal/botapi"
)

// errStopped says that the campaign was stopped before all was sent.
var errStopped = errors.New("stopped")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal stops the campaign, the second one the program.
	context.AfterFunc(ctx, stop)
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	_, usage := errors.AsType[usageError](err)
	switch {
	case err == nil:
	case usage:
		fmt.Fprintf(os.Stderr, "telegram: %v\n", err)
		os.Exit(2)
	case errors.Is(err, errStopped):
		os.Exit(130)
	default:
		fmt.Fprintf(os.Stderr, "telegram: %v\n", err)
		os.Exit(1)
	}
}

// run is the program. Whatever it writes, and its error, holds no secrets.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr *os.File) error {
	hidden := &secrets{}
	err := perform(ctx, args, hidden, stdin, terminal{hidden.over(stdout), isTerminal(stdout)}, hidden.over(stderr))
	if err != nil {
		return hiddenError{err, hidden}
	}
	return nil
}

// terminal is where the program writes to, which need not be one.
type terminal struct {
	io.Writer
	watched bool // somebody may be watching
}

func perform(ctx context.Context, args []string, hidden *secrets, stdin io.Reader, stdout terminal, stderr io.Writer) error {
	o, err := parse(args, stdout, hidden)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	if !o.dryRun {
		if err := checkUnsent(o.unsent, o.to); err != nil {
			return err
		}
	}
	messages, err := o.messages(stdin)
	if err != nil {
		return err
	}
	if o.dryRun {
		c := &campaign{messages: messages, workers: o.workers, limits: used}
		return c.dryRun(stdout)
	}
	var storm *botapi.Storm
	timeout := requestTimeout
	if o.token == "" {
		cfg := demoServer()
		if o.storm {
			storm, timeout = newStorm(messages, stormChats, stormRetryAfter), stormTimeout
			cfg.Storm, cfg.FailShare = storm, 0
		}
		server := botapi.New(cfg)
		if o.server, err = server.Start(); err != nil {
			return err
		}
		defer server.Close()
		o.token = botapi.DefaultToken
		fmt.Fprintf(stdout, "Demo: %s to a fake Bot API on %s, which enforces\n"+
			"30 messages a second, 1 a second per chat and 20 a minute per group.\n\n", counted(len(messages), "message"), o.server)
		if o.storm {
			fmt.Fprintf(stdout, "It is in a storm: of its answers 10%% are 429, all to %d chats, and 2%% are 502;\n"+
				"1%% never come.\n\n", len(storm.Chats))
		}
	}
	limits, err := newKeeper(ctx, o.redis, o.token, slog.New(slog.NewTextHandler(stderr, nil)))
	if err != nil {
		return err
	}
	defer limits.close()
	if limits.shared {
		fmt.Fprintf(stdout, "The limits are shared with all copies that use this Redis, under %s*.\n\n", sharedPrefix(o.token))
	}
	s, err := newSender(o.token, o.server, newClient(o.workers))
	if err != nil {
		return err
	}
	s.timeout = timeout
	s.resend = o.resend || storm != nil // what a storm loses is not delivered
	c := &campaign{
		messages: messages,
		sender:   s,
		backend:  limits.backend,
		shared:   limits.shared,
		events:   watch(stderr),
		workers:  o.workers,
		limits:   used,
		storm:    storm,
		progress: newProgress(stdout, stdout.watched, len(messages)),
	}
	r, err := c.run(ctx)
	c.progress.finish()
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout)
	if err := r.write(stdout); err != nil {
		return err
	}
	c.writeFailures(stdout)
	if err := c.leftOver().write(stdout, o.unsent); err != nil {
		return err
	}
	switch {
	case r.notSent > 0:
		return errStopped
	case r.failed > 0:
		return fmt.Errorf("%s failed", counted(r.failed, "message"))
	}
	return nil
}
