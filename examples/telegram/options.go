package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"regexp"
	"strings"
)

// options are what the command line says.
type options struct {
	token   string
	to      string
	server  string
	unsent  string
	redis   string
	workers int
	demo    bool
	storm   bool
	resend  bool
	dryRun  bool
}

// usageError is a mistake in the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// help stands before the list of flags.
const help = `Usage: TELEGRAM_TOKEN=... telegram -to messages.csv

It sends each message of a file, through Telegram's Bot API, as fast as its limits
allow. Without a file it sends a demo to a server of its own.

To stop it, press Ctrl-C, or send it SIGTERM or SIGHUP: messages on their way are
finished, and no more begin. Ctrl-C once more stops it at once. To go on, send what is
left:

	TELEGRAM_TOKEN=... telegram -to unsent.jsonl

All the time, unsent.jsonl holds what is not sent, so that works after a crash too.
When all is sent it is gone. A message that was on its way when the program died may
have arrived: it is listed as "perhaps sent", and sent again with -resend only.

`

// parse reads the command line. With -help it writes help to out, and the error is
// flag.ErrHelp. What is secret is made known to hidden.
func parse(args []string, out io.Writer, hidden *secrets) (options, error) {
	var o options
	env := os.Getenv("TELEGRAM_TOKEN")
	hidden.add(env)
	flags := flag.NewFlagSet("telegram", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	flags.StringVar(&o.token, "token", "",
		"the bot's `token`; defaults to $TELEGRAM_TOKEN, which other users of the machine can't see")
	flags.StringVar(&o.to, "to", "",
		"the `file` of messages: .csv or .tsv with a header chat_id,text, or .jsonl, one object a line:\n"+
			`{"chat_id":42,"text":"hello"}; - for these on standard input`)
	flags.StringVar(&o.server, "server", "", "the `URL` of the Bot API server; defaults to Telegram's")
	flags.StringVar(&o.unsent, "unsent", "",
		"the `file` for what is not sent, .jsonl; it must not exist, unless it is that of -to; defaults to\n"+
			"unsent.jsonl if -to is given, and to the file of -to if that is one that this program has left")
	flags.StringVar(&o.redis, "redis", "",
		"the `address` of a Redis, host:port or redis://user:password@host:port/db, in which all copies that\n"+
			"send for the bot share the limits; defaults to none, the limits are this copy's alone")
	flags.IntVar(&o.workers, "workers", 32, "how many messages may be on their way at once")
	flags.BoolVar(&o.demo, "demo", false, "send to a server of its own, on this machine, even if a token is in the environment")
	flags.BoolVar(&o.storm, "storm", false,
		"have the demo's server in a storm: 10% of its answers are 429, with a growing retry_after, to a few\n"+
			"chats; 2% are 502; 1% never come. Not with a token")
	flags.BoolVar(&o.resend, "resend", false,
		"send again what may have arrived: messages whose answer did not come. They may arrive twice")
	flags.BoolVar(&o.dryRun, "dry-run", false,
		"send nothing, and say how long it would take, with a curve")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprint(out, help+"Flags:\n")
			flags.SetOutput(out)
			flags.PrintDefaults()
			return o, err
		}
		return o, usageError{fmt.Errorf("%w (-help lists them)", err)}
	}
	hidden.add(o.token)
	hidden.addUserInfo(o.server)
	hidden.addUserInfo(o.redis)
	if err := o.validate(flags, env); err != nil {
		return o, usageError{err}
	}
	return o, nil
}

// validate checks what the flags say together, and takes the token from the environment
// where it is wanted.
func (o *options) validate(flags *flag.FlagSet, env string) error {
	from := "-token"
	if o.token = strings.TrimSpace(o.token); o.token == "" && !o.demo {
		o.token, from = strings.TrimSpace(env), "TELEGRAM_TOKEN"
	}
	o.server = strings.TrimRight(strings.TrimSpace(o.server), "/")
	o.redis = strings.TrimSpace(o.redis)
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("unknown argument %q", flags.Arg(0))
	case o.workers < 1:
		return fmt.Errorf("-workers is %d: must be at least 1", o.workers)
	case o.demo && o.token != "":
		return errors.New("-demo is for the program's own server: -token is given")
	case o.demo && o.server != "":
		return errors.New("-demo is for the program's own server: -server is given")
	case o.token != "" && o.to == "" && !o.dryRun:
		return errors.New("-to is missing: a token is given, and the demo's chats are not yours to write to; -demo runs the demo")
	case o.storm && o.dryRun:
		return errors.New("-storm can't be foreseen: -dry-run is given")
	case o.token != "" && o.storm:
		return errors.New("-storm is for the demo's own server: a token is given; -demo leaves it out")
	case o.token == "" && o.server != "":
		return errors.New("-token is missing: -server is given")
	case o.token == "" && o.to != "" && !o.demo && !o.storm && !o.dryRun:
		return errors.New("the token is missing: TELEGRAM_TOKEN is not set; -demo sends the file to a server of the program's own")
	case o.token != "" && !isToken.MatchString(o.token):
		return fmt.Errorf("%s is no bot's token: must be like 123456789:AbC-dEf_123, as @BotFather gives it", from)
	}
	return checkServer(o.server)
}

var isToken = regexp.MustCompile(`^[0-9]+:[A-Za-z0-9_-]+$`)

func checkServer(server string) error {
	if server == "" {
		return nil
	}
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || strings.Contains(u.Path, ":") {
		return fmt.Errorf("-server is %s: must be a URL like http://127.0.0.1:8081, without the token", server)
	}
	return nil
}

// load returns what is to be sent.
func (o options) load(stdin io.Reader) (campaignFile, error) {
	if o.to == "" {
		messages, err := demoMessages()
		return campaignFile{messages: messages}, err
	}
	return loadFile(o.to, stdin, o.resend)
}
