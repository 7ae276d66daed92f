package goredis

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// A server that refuses a connection, because of protected mode or too many clients, writes
// the reason to it and closes it. The client has sent something by then, and reports only a
// broken connection. So after such an error the backend opens a connection of its own, and
// reads the reason there.

var errSpeaksTLS = errors.New("the server speaks TLS")

const (
	greetingTimeout  = time.Second // of one attempt
	greetingInterval = time.Second // between attempts
)

// greeting is the error that servers write to new connections.
type greeting struct {
	err    error // nil: none
	asking bool
	asked  int64 // the time of the last attempt, nanoseconds
}

// explain adds to a connection error what the server last wrote to a new connection. It
// requires that b.mu is held.
func (b *Backend) explain(err error, now int64) error {
	if !isBroken(err) {
		b.greeting.err = nil // the server accepts connections again
		return err
	}
	g := &b.greeting
	if !g.asking && (g.asked == 0 || now-g.asked >= int64(greetingInterval)) {
		if c, ok := b.client.(hasOptions); ok {
			g.asking, g.asked = true, max(now, 1)
			go b.greet(c.Options())
		}
	}
	if g.err == nil {
		return err
	}
	return fmt.Errorf("%w: %w", err, g.err)
}

// hasOptions is implemented by [*redis.Client].
type hasOptions interface{ Options() *redis.Options }

// isBroken reports whether err says that an established connection broke.
func isBroken(err error) bool {
	var said redis.Error
	if err == nil || errors.As(err, &said) {
		return false
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Op != "dial" && !op.Timeout()
	}
	call, ok := errors.AsType[*os.SyscallError](err)
	return ok && !call.Timeout() || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// greet records the error that the server writes to a new connection.
func (b *Backend) greet(o *redis.Options) {
	err := hail(o)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.greeting.err, b.greeting.asking = err, false
}

// hail returns why a server refuses connections, or nil if it does not say.
func hail(o *redis.Options) error {
	ctx, cancel := context.WithTimeout(context.Background(), greetingTimeout)
	defer cancel()
	line, err := answerToPing(ctx, o)
	switch {
	case strings.HasPrefix(line, "-DENIED "), strings.HasPrefix(line, "-ERR max number of clients"):
		// Any other error is about PING, such as NOAUTH.
		return serverError(strings.TrimSpace(line[1:]))
	case isBroken(err) && o.TLSConfig == nil && speaksTLS(ctx, o):
		return errSpeaksTLS
	}
	return nil
}

// answerToPing returns the first line that a server writes to a new connection.
func answerToPing(ctx context.Context, o *redis.Options) (string, error) {
	conn, err := dial(ctx, o)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	// There may be an answer even if the write fails.
	_, _ = io.WriteString(conn, "*1\r\n$4\r\nPING\r\n")
	return bufio.NewReader(conn).ReadString('\n')
}

// speaksTLS reports whether a server speaks TLS, with any certificate.
func speaksTLS(ctx context.Context, o *redis.Options) bool {
	conn, err := dial(ctx, o)
	if err != nil {
		return false
	}
	defer conn.Close()
	return tls.Client(conn, &tls.Config{InsecureSkipVerify: true}).HandshakeContext(ctx) == nil
}

// dial connects as the client does, until ctx ends.
func dial(ctx context.Context, o *redis.Options) (net.Conn, error) {
	conn, err := o.Dialer(ctx, o.Network, o.Addr)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	return conn, nil
}

// serverError is an error reply of a server.
type serverError string

func (e serverError) Error() string { return string(e) }

// RedisError implements [redis.Error].
func (serverError) RedisError() {}
