package redistest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	// pollEvery is how often something that is starting is looked at.
	pollEvery = 10 * time.Millisecond
	// askFor bounds one question to a server, so that one that does not answer
	// is asked again.
	askFor = time.Second
)

// replyError is an error that a server has answered with.
type replyError string

func (e replyError) Error() string { return "the server answers: " + string(e) }

// ask sends a command to a server on a connection of its own and returns the
// answer, a simple or a bulk string. The client library would do, but it retries,
// and logs what it can't reach; here that is the normal course of things.
func ask(ctx context.Context, addr, command string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return "", err
		}
	}
	if _, err := io.WriteString(conn, command+"\r\n"); err != nil {
		return "", err
	}
	r := bufio.NewReader(conn)
	line, err := r.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("%s: %s: %w", addr, command, err)
	}
	line = strings.TrimRight(line, "\r\n")
	if text, ok := strings.CutPrefix(line, "+"); ok {
		return text, nil
	}
	if text, ok := strings.CutPrefix(line, "-"); ok {
		return "", fmt.Errorf("%s: %s: %w", addr, command, replyError(text))
	}
	if text, ok := strings.CutPrefix(line, "$"); ok {
		if n, err := strconv.Atoi(text); err == nil && n >= 0 && n < 1<<20 {
			bulk := make([]byte, n)
			_, err := io.ReadFull(r, bulk)
			return string(bulk), err
		}
	}
	return "", fmt.Errorf("%s: %s: that is no Redis: it answers %q", addr, command, line)
}

// version asks a server for the version of Redis that it is, and for its process.
func version(ctx context.Context, addr string) (version, pid string, err error) {
	info, err := ask(ctx, addr, "INFO server")
	if err != nil {
		return "", "", err
	}
	for line := range strings.Lines(info) {
		switch name, value, _ := strings.Cut(strings.TrimSpace(line), ":"); name {
		case "redis_version":
			version = value
		case "process_id":
			pid = value
		}
	}
	return version, pid, nil
}

// poll calls try until it says that there is no more to wait for, or its error is
// nil, or ctx ends. Then it returns the last error that says more than that.
func poll(ctx context.Context, try func() (again bool, err error)) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var last error
	for {
		again, err := try()
		if !again || err == nil {
			return err
		}
		if last == nil || !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, os.ErrDeadlineExceeded) {
			last = err
		}
		select {
		case <-ctx.Done():
			return last
		case <-tick.C:
		}
	}
}
