// Command bench runs this project beside its peers, on the same work in one run,
// and prints one table of medians and ratios.
//
//	cd bench && go run .
//
// It is a module of its own, so that the library does not depend on the peers.
// The measurements that need Redis start a redis-server from PATH, which saves
// nothing and is stopped at the end; -redis names another to use. There, only
// keys that begin with "freqlimit-bench:" or "rate:freqlimit-bench:" are touched.
//
// Figures of two runs, let alone of two machines, are not for comparing: the
// ratios are. So the measurements take turns, -rounds times, and whatever else
// the machine does hits all of them alike. To see where one spends its time:
//
//	go run . -only 'keys/goredis' -cpuprofile cpu.prof && go tool pprof -top cpu.prof
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime/pprof"
	"syscall"
	"time"
)

// options are what the command line says.
type options struct {
	redis   string
	rounds  int
	time    time.Duration
	only    *regexp.Regexp
	profile string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o, err := parse(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		os.Exit(2)
	}
	if err := run(ctx, o, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// parse reads the command line, and says on stderr what is wrong with it.
func parse(args []string, stderr io.Writer) (options, error) {
	o := options{only: regexp.MustCompile("")}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.redis, "redis", "", "`address` of the Redis to use, host:port (default: a redis-server of its own)")
	flags.IntVar(&o.rounds, "rounds", 5, "how often each measurement is made")
	flags.DurationVar(&o.time, "time", time.Second, "how long a measurement takes")
	flags.Func("only", "make only the measurements whose \"group/name\" matches the `regexp`", func(s string) (err error) {
		o.only, err = regexp.Compile(s)
		return err
	})
	flags.StringVar(&o.profile, "cpuprofile", "", "write a CPU profile of the run to a `file`")
	err := flags.Parse(args)
	switch {
	case err != nil:
		return o, err
	case flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.rounds < 1:
		err = errors.New("-rounds must be at least 1")
	case o.time <= 0:
		err = errors.New("-time must be above 0")
	}
	if err != nil {
		fmt.Fprintln(stderr, "bench:", err)
	}
	return o, err
}

// run makes the measurements and prints the table to stdout, and how far it has
// got to stderr.
func run(ctx context.Context, o options, stdout, stderr io.Writer) error {
	suites := pick([]suite{redisSuite(o.redis)}, o.only)
	if len(suites) == 0 {
		return fmt.Errorf("-only %v matches no measurement", o.only)
	}
	if o.profile != "" {
		file, err := os.Create(o.profile)
		if err != nil {
			return err
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	printHeader(stdout, o)
	for _, s := range suites {
		if err := s.run(ctx, o, stdout, stderr); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}
