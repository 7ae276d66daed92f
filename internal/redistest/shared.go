package redistest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"
)

// namedFor is how long a server at REDIS_ADDR may take to answer: it may have
// been started a moment before the tests.
const namedFor = 3 * time.Second

// errNone is the one line that says how to run the tests that need a Redis.
var errNone = errors.New("no Redis: set REDIS_ADDR to a host:port, or start Docker, or install redis-server")

// shared is the server that the tests of a package share.
type shared struct {
	addr string
	stop func() error
}

// find gets a Redis from the first source that has one. The error is errNone when
// there is no source, another when there is one and it does not do its job.
func find() (*shared, error) {
	if addr := os.Getenv("REDIS_ADDR"); addr != "" {
		ctx, cancel := context.WithTimeout(context.Background(), namedFor)
		defer cancel()
		s := &shared{addr: addr, stop: func() error { return nil }}
		if err := s.report(ctx, "at REDIS_ADDR "+addr); err != nil {
			return nil, fmt.Errorf("REDIS_ADDR is set to %q: %w", addr, err)
		}
		return s, nil
	}

	s, noContainer := findContainer()
	if noContainer == nil {
		return s, nil
	}
	p, err := startProcess(nil)
	if errors.Is(err, errNoServer) {
		return nil, fmt.Errorf("%w (%s)", errNone, oneLine(noContainer))
	}
	if err != nil {
		return nil, err
	}
	s = &shared{addr: p.addr, stop: p.stop}
	ctx, cancel := context.WithTimeout(context.Background(), startFor)
	defer cancel()
	source := fmt.Sprintf("of redis-server on PATH, at %s; %s", p.addr, oneLine(noContainer))
	if err := s.report(ctx, source); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// report waits for the server to answer, and says in a line on stderr, and in the
// file that REDISTEST_REPORT names, which Redis it is and where it comes from.
func (s *shared) report(ctx context.Context, source string) error {
	var redis string
	err := poll(ctx, func() (bool, error) {
		var err error
		redis, _, err = version(ctx, s.addr)
		return true, err
	})
	if err != nil {
		return err
	}
	line := fmt.Sprintf("redistest: Redis %s %s (%s)\n", redis, source, testedPackage())
	if _, err := os.Stderr.WriteString(line); err != nil {
		return err
	}
	name := os.Getenv("REDISTEST_REPORT")
	if name == "" {
		return nil
	}
	// The binaries of several packages append to it at a time.
	file, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("REDISTEST_REPORT: %w", err)
	}
	_, err = file.WriteString(line)
	return errors.Join(err, file.Close())
}

// testedPackage returns the import path of the package whose tests run, to tell
// the lines in a report apart.
func testedPackage() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Path != "" {
		return strings.TrimSuffix(info.Path, ".test")
	}
	return os.Args[0]
}

// oneLine returns the text of an error in one line of a length that can be read.
func oneLine(err error) string {
	const most = 200
	text := strings.Join(strings.Fields(err.Error()), " ")
	if len(text) > most {
		text = text[:most] + "..."
	}
	return text
}
