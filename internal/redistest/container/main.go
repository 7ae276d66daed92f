// Container runs Redis in a container for the tests of this repository. Package
// redistest starts it. It is a module of its own, because what it requires, a
// client of Docker and with it OpenTelemetry, would raise versions for every user
// of the library.
//
//	go run github.com/freqlimit/dispatcher/internal/redistest/container
//
// The container is one of the image REDIS_IMAGE, or "redis:7-alpine". One line of
// JSON on stdout says where it answers, or why there is none. The program keeps the
// container until its stdin is closed, and then removes it. The system closes stdin
// when the process at its other end is killed, so the container ends in that case too.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

const defaultImage = "redis:7-alpine"

// status is the line on stdout. Package redistest has the same fields.
type status struct {
	Image string   `json:"image"`
	Hosts []string `json:"hosts,omitempty"` // where the server may answer, likely ones first
	Port  string   `json:"port,omitempty"`

	// Reason says why there is no container, if there is none. HasImage reports
	// that Docker has the image: a container of it should have started.
	Reason   string `json:"reason,omitempty"`
	HasImage bool   `json:"hasImage"`
}

func main() {
	// Writing to a reader that is gone must not end the program before the container.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := run(ctx, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "container: %v\n", err)
		os.Exit(1)
	}
}

// run runs a container until stdin ends or ctx does. Its error is about the
// container's end, or about stdout.
func run(ctx context.Context, stdin io.Reader, stdout io.Writer) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		cancel()
	}()

	s := status{Image: cmp.Or(os.Getenv("REDIS_IMAGE"), defaultImage)}
	out := json.NewEncoder(stdout)
	if err := prepare(ctx, s.Image); err != nil {
		s.Reason = err.Error()
		return out.Encode(s)
	}
	s.HasImage = true
	// A start goes on when ctx ends: a request that is broken off may leave a
	// container that nothing knows of.
	c, err := start(s.Image)
	if err != nil {
		s.Reason = err.Error()
		return out.Encode(s)
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	s.Hosts, s.Port = c.hosts, c.port
	if err := out.Encode(s); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}
