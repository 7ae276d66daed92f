package redistest_test

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/internal/redistest"
	"github.com/redis/go-redis/v9"
)

// echo returns the address of a server that sends back each line that it gets. It
// is what a proxy is tested with where there is no Redis.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn) // until the proxy closes its end
			}()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().String()
}

func TestProxyPassesOn(t *testing.T) {
	p := redistest.NewProxy(t, echo(t))
	a, b := dial(t, p.Addr()), dial(t, p.Addr())
	a.send("one")
	b.send("two")
	b.send(strings.Repeat("long", 1<<18))
	a.gets("one")
	b.gets("two")
	b.gets(strings.Repeat("long", 1<<18))

	// The end of one side is passed on, and what is on its way back still comes.
	a.send("last")
	if err := a.conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	a.gets("last")
	if got, err := a.answer(patience); err != io.EOF {
		t.Errorf("got %q, %v, want the end of the stream", got, err)
	}
	b.send("three")
	b.gets("three")
}

func TestProxyCut(t *testing.T) {
	p := redistest.NewProxy(t, echo(t))
	a, b := dial(t, p.Addr()), dial(t, p.Addr())
	for _, c := range []*conversation{a, b} {
		c.send("before")
		c.gets("before")
	}
	p.Cut()
	a.isReset()
	b.isReset()
	c := dial(t, p.Addr())
	c.send("after")
	c.gets("after")
}

func TestProxyRefuse(t *testing.T) {
	p := redistest.NewProxy(t, echo(t))
	a := dial(t, p.Addr())
	a.send("before")
	a.gets("before")
	p.Refuse(true)
	for range 3 {
		isRefused(t, p.Addr())
	}
	a.send("still there")
	a.gets("still there")
	p.Refuse(false)
	b := dial(t, p.Addr())
	b.send("after")
	b.gets("after")
}

func TestProxyToNowhere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	target := l.Addr().String()
	l.Close()
	isRefused(t, redistest.NewProxy(t, target).Addr())
}

func TestProxyLatency(t *testing.T) {
	const latency = 50 * time.Millisecond
	p := redistest.NewProxy(t, echo(t))
	c := dial(t, p.Addr())
	p.Latency(latency)
	for range 3 {
		start := time.Now()
		c.send("slow")
		c.gets("slow")
		if took := time.Since(start); took < 2*latency {
			t.Errorf("an answer took %v, want the latency twice, %v", took, 2*latency)
		}
	}

	// Bytes that are held do not keep a connection from being cut.
	p.Latency(time.Hour)
	c.send("never")
	p.Cut()
	c.isReset()

	p.Latency(0)
	c = dial(t, p.Addr())
	c.send("at once")
	c.gets("at once")
}

func TestProxyStall(t *testing.T) {
	p := redistest.NewProxy(t, echo(t))
	a, b := dial(t, p.Addr()), dial(t, p.Addr())
	for range 2 {
		p.Stall(true)
		p.Stall(true)
		late := dial(t, p.Addr())
		for _, c := range []*conversation{a, late} {
			c.send("one")
			c.send("two")
			c.getsNothing()
		}
		p.Stall(false)
		p.Stall(false)
		for _, c := range []*conversation{a, late} {
			c.gets("one")
			c.gets("two")
		}
	}

	// A connection that is stalled can be cut, and one that is left stalled ends
	// with the test.
	p.Stall(true)
	b.send("lost")
	p.Cut()
	b.isReset()
	dial(t, p.Addr()).send("left")
}

func TestProxyToRedis(t *testing.T) {
	p := redistest.NewProxy(t, redistest.Addr(t))
	client := redis.NewClient(&redis.Options{Addr: p.Addr()})
	defer client.Close()
	for range 2 {
		id, err := client.ClientID(t.Context()).Result()
		if err != nil {
			t.Fatal(err)
		}
		p.Cut()
		again, err := client.ClientID(t.Context()).Result()
		if err != nil || again == id {
			t.Errorf("the connection after a cut is %d, %v, want another than %d", again, err, id)
		}
	}
}
