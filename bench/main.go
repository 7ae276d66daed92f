// Command bench runs this project beside its peers, on the same work in one run,
// and prints one table of medians and ratios, and which goals are met.
//
//	cd bench && GOWORK=off go run .
//
// It is a module outside the workspace of this repository, so that the library does
// not depend on the peers.
// The measurements that need Redis use a redis-server from PATH, which is started
// for them, saves nothing and is stopped at the end; -redis names another to use,
// or with "none" leaves them out. In Redis only keys are touched that begin with
// "freqlimit-bench:" or "rate:freqlimit-bench:", and those of asynq.
//
// Figures of two runs, let alone of two machines, are not for comparing: the
// ratios are. So the measurements of a group take turns, -rounds times, and
// whatever else the machine does hits all of them alike. Each is made in a process
// of its own. To see where one spends its time:
//
//	GOWORK=off go run . -only 'keys/goredis' -cpuprofile cpu.prof && go tool pprof -top cpu.prof
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
	"syscall"
	"time"
)

// options are what the command line says.
type options struct {
	settings
	rounds   int
	only     *regexp.Regexp
	profile  string
	pictures string
	markdown bool
}

// noRedis is the address that leaves out what needs a Redis.
const noRedis = "none"

func main() {
	if isChild() {
		return
	}
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
	flags.StringVar(&o.Redis, "redis", "", "`address` of the Redis to use, host:port, or \"none\" (default: a redis-server of its own)")
	flags.IntVar(&o.rounds, "rounds", 5, "how often each measurement is made; the long ones are made less often")
	flags.DurationVar(&o.Time, "time", time.Second, "how long a measurement takes; some take a multiple of it, or have an amount of work that goes with it")
	flags.IntVar(&o.Max, "max", 10_000_000, "how many jobs wait at one moment at most")
	flags.Func("only", "make only the measurements whose \"group/name\" matches the `regexp`", func(s string) (err error) {
		o.only, err = regexp.Compile(s)
		return err
	})
	flags.StringVar(&o.profile, "cpuprofile", "", "write a CPU profile of the measurements to a `file`")
	flags.StringVar(&o.pictures, "pictures", "../docs/pictures", "`directory` for the pictures, of what was measured in full; \"\" for none")
	flags.BoolVar(&o.markdown, "markdown", false, "print the table as Markdown")
	err := flags.Parse(args)
	switch {
	case err != nil:
		return o, err
	case flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.rounds < 1:
		err = errors.New("-rounds must be at least 1")
	case o.Time <= 0:
		err = errors.New("-time must be above 0")
	case o.Max < leastWaiting:
		err = fmt.Errorf("-max must be at least %d", leastWaiting)
	}
	if err != nil {
		fmt.Fprintln(stderr, "bench:", err)
	}
	return o, err
}

// run makes the measurements, prints the table and the goals to stdout, and how
// far it has got to stderr.
func run(ctx context.Context, o options, stdout, stderr io.Writer) (err error) {
	all := allGroups(o.settings)
	groups := pick(all, o.only)
	if len(groups) == 0 {
		return fmt.Errorf("-only %v matches no measurement", o.only)
	}
	groups, about, closeRedis, err := openRedis(ctx, &o, groups)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeRedis()) }()

	once, saveProfile, err := childRunner(o)
	if err != nil {
		return err
	}
	results, err := measure(ctx, groups, o.rounds, once, stderr)
	if err = errors.Join(err, saveProfile()); err != nil {
		return err
	}
	printHeader(stdout, o, about)
	prefix := ""
	if o.markdown {
		printMarkdown(stdout, results)
		prefix = "- "
	} else {
		printTable(stdout, results)
	}
	printGoals(stdout, results, prefix)
	return errors.Join(drawAll(o.pictures, results, all), failures(results))
}

// failures says how many measurements could not be made.
func failures(results []result) error {
	failed := 0
	for _, r := range results {
		if r.err != nil {
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("measurements that failed: %d", failed)
	}
	return nil
}

// childRunner returns what makes a measurement in a process of its own, and what
// saves the profiles of all of them.
func childRunner(o options) (once runner, save func() error, err error) {
	var collected *profiles
	save = func() error { return nil }
	if o.profile != "" {
		if collected, err = newProfiles(o.profile); err != nil {
			return nil, nil, err
		}
		save = collected.save
	}
	once = func(ctx context.Context, g *group, m *measurement) (sample, error) {
		return inChild(ctx, order{Group: g.name, Name: m.name, Settings: o.settings, Profile: collected.next()})
	}
	return once, save, nil
}

// openRedis starts a Redis if the groups need one and none is named, and says
// what it is.
func openRedis(ctx context.Context, o *options, groups []group) (kept []group, about string, closeAll func() error, err error) {
	closeAll = func() error { return nil }
	for _, g := range groups {
		if !g.redis || o.Redis != noRedis {
			kept = append(kept, g)
		}
	}
	switch {
	case len(kept) == 0:
		return nil, "", nil, errors.New("all that is to be measured needs a Redis, and -redis is none")
	case o.Redis == noRedis || !needRedis(kept):
		return kept, "", closeAll, nil
	case o.Redis == "":
		server, err := startServer(ctx)
		if err != nil {
			return nil, "", nil, err
		}
		o.Redis, closeAll = server.addr, server.stop
	}
	about, err = aboutRedis(ctx, o.Redis)
	if err != nil {
		return nil, "", nil, errors.Join(err, closeAll())
	}
	return kept, about, closeAll, nil
}

func needRedis(groups []group) bool {
	for _, g := range groups {
		if g.redis {
			return true
		}
	}
	return false
}
