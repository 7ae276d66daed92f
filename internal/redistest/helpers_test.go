package redistest_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what has to come.
const patience = 10 * time.Second

// conversation is a client of a server that takes and sends lines, such as Redis.
type conversation struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

func dial(t *testing.T, addr string) *conversation {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &conversation{t, conn, bufio.NewReader(conn)}
}

func (c *conversation) send(line string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, line+"\n"); err != nil {
		c.t.Fatalf("send %q: %v", line, err)
	}
}

// answer returns the line that comes within d.
func (c *conversation) answer(d time.Duration) (string, error) {
	c.t.Helper()
	if err := c.conn.SetReadDeadline(time.Now().Add(d)); err != nil {
		c.t.Fatal(err)
	}
	line, err := c.r.ReadString('\n')
	return strings.TrimSpace(line), err
}

// gets wants a line to be the next that comes.
func (c *conversation) gets(want string) {
	c.t.Helper()
	if got, err := c.answer(patience); err != nil || got != want {
		c.t.Fatalf("got %q, %v, want %q", got, err, want)
	}
}

// getsNothing wants no line to come.
func (c *conversation) getsNothing() {
	c.t.Helper()
	got, err := c.answer(50 * time.Millisecond)
	if ne, ok := errors.AsType[net.Error](err); !ok || !ne.Timeout() || got != "" {
		c.t.Fatalf("got %q, %v, want nothing to come", got, err)
	}
}

// isReset wants the connection to have been reset.
func (c *conversation) isReset() {
	c.t.Helper()
	if got, err := c.answer(patience); !errors.Is(err, syscall.ECONNRESET) {
		c.t.Fatalf("got %q, %v, want the connection reset", got, err)
	}
}

// isRefused wants a connection to be reset, before or after it is one.
func isRefused(t *testing.T, addr string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err == nil {
		defer conn.Close()
		if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		_, err = conn.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("connect to %s: %v, want the connection reset", addr, err)
	}
}

// isDown wants connections to a server to be refused.
func isDown(t *testing.T, addr string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err == nil {
		conn.Close()
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial %s: %v, want it refused", addr, err)
	}
}
