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
	"os"
	"os/signal"
	"syscall"

	"github.com/freqlimit/dispatcher/examples/telegram/internal/botapi"
)

// options are what the command line says.
type options struct {
	token   string
	to      string
	server  string
	unsent  string
	redis   string
	workers int
	storm   bool
	dryRun  bool
}

// usageError is an error that the flag package has told the user already.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// errStopped says that the campaign was stopped before all was sent.
var errStopped = errors.New("stopped")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal stops the campaign, the second one the program.
	context.AfterFunc(ctx, stop)
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	_, usage := errors.AsType[usageError](err)
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
	case usage:
		os.Exit(2)
	case errors.Is(err, errStopped):
		os.Exit(130)
	default:
		fmt.Fprintf(os.Stderr, "telegram: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr *os.File) error {
	o, err := parse(args, stderr)
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
		fmt.Fprintf(stdout, "Demo: %d messages to a fake Bot API on %s, which enforces\n"+
			"30 messages a second, 1 a second per chat and 20 a minute per group.\n\n", len(messages), o.server)
		if o.storm {
			fmt.Fprintf(stdout, "It is in a storm: of its answers 10%% are 429, all to %d chats, and 2%% are 502;\n"+
				"1%% never come.\n\n", len(storm.Chats))
		}
	}
	limits, err := newKeeper(ctx, o.redis, o.token)
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
	s.resend = storm != nil // what it loses is not delivered
	c := &campaign{
		messages: messages,
		sender:   s,
		backend:  limits.backend,
		shared:   limits.shared,
		events:   watch(stderr),
		workers:  o.workers,
		limits:   used,
		storm:    storm,
		progress: newProgress(stdout, isTerminal(stdout), len(messages)),
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
		return fmt.Errorf("%d messages failed", r.failed)
	}
	return nil
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("telegram", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.token, "token", os.Getenv("TELEGRAM_TOKEN"),
		"the bot's `token`; defaults to $TELEGRAM_TOKEN; without one a demo runs")
	flags.StringVar(&o.to, "to", "",
		"the `file` of messages: .csv with a header chat_id,text, or .jsonl; - for JSON Lines on standard input")
	flags.StringVar(&o.server, "server", "", "the `URL` of the Bot API server; defaults to Telegram's")
	flags.StringVar(&o.unsent, "unsent", "",
		"the `file` for what was not sent or failed, .jsonl; it must not exist, unless it is that of -to;\n"+
			"defaults to unsent.jsonl if -to is given")
	flags.StringVar(&o.redis, "redis", "",
		"the `address` of a Redis, host:port or redis://..., in which all copies that send for the bot share\n"+
			"the limits; defaults to none, the limits are this copy's alone")
	flags.IntVar(&o.workers, "workers", 32, "how many messages may be on their way at once")
	flags.BoolVar(&o.storm, "storm", false,
		"have the demo's server in a storm: 10% of its answers are 429, with a growing retry_after, to a few\n"+
			"chats; 2% are 502; 1% never come. Not with a token")
	flags.BoolVar(&o.dryRun, "dry-run", false,
		"send nothing, and say how long it would take, with a curve")
	if err := flags.Parse(args); err != nil {
		return o, usageError{err}
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unknown argument %q", flags.Arg(0))
	case o.workers < 1:
		return o, fmt.Errorf("-workers is %d: must be at least 1", o.workers)
	case o.token != "" && o.to == "" && !o.dryRun:
		return o, errors.New("-to is missing: a token is given, and the demo's chats are not yours to write to")
	case o.storm && o.dryRun:
		return o, errors.New("-storm can't be foreseen: -dry-run is given")
	case o.token != "" && o.storm:
		return o, errors.New("-storm is for the demo's own server: a token is given")
	case o.token == "" && o.server != "":
		return o, errors.New("-token is missing: -server is given")
	case o.unsent == "" && o.to != "":
		o.unsent = "unsent.jsonl"
	}
	return o, nil
}

// messages returns what is to be sent.
func (o options) messages(stdin io.Reader) ([]message, error) {
	if o.to == "" {
		return demoMessages()
	}
	return loadMessages(o.to, stdin)
}
