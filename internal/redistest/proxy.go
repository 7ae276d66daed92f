package redistest

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy is a TCP proxy on the loopback interface that fails the way networks do.
// At first it only passes on what it gets. Its methods may be called from any
// goroutine and have taken effect when they return.
type Proxy struct {
	target   string
	listener net.Listener
	// running counts the goroutine that accepts, which ends when the listener is
	// closed, and those of the links, which end with their link.
	running sync.WaitGroup

	mu      sync.Mutex
	refuse  bool
	latency time.Duration
	flow    chan struct{} // closed while bytes flow
	links   map[*link]struct{}
}

// NewProxy returns a proxy to the server at the host:port target. It is closed,
// and with it its connections, when the test has ended.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{
		target:   target,
		listener: listener,
		flow:     make(chan struct{}),
		links:    map[*link]struct{}{},
	}
	close(p.flow)
	p.running.Go(func() { p.accept(t) })
	t.Cleanup(func() {
		p.Refuse(true)
		if err := p.listener.Close(); err != nil {
			t.Errorf("close the proxy: %v", err)
		}
		p.Cut()
		p.running.Wait()
	})
	return p
}

// Addr returns the host:port that clients of the proxy connect to.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Cut resets the connections that there are. New ones are accepted.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		p.cutLocked(l)
	}
}

// Refuse says whether connections are refused: new ones are reset as soon as they
// have come. Those that there are stay.
func (p *Proxy) Refuse(refuse bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = refuse
}

// Latency says how long bytes are held before they are passed on, in each
// direction: a question and its answer take twice as long. A connection holds one
// chunk of bytes at a time in a direction; one that comes meanwhile waits for it.
func (p *Proxy) Latency(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.latency = d
}

// Stall says whether bytes have stopped to flow. Connections stay, and new ones
// are accepted. No byte is lost: those that come meanwhile are passed on after
// Stall(false), and so is the end of a connection.
func (p *Proxy) Stall(stall bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.flow:
		if stall {
			p.flow = make(chan struct{})
		}
	default:
		if !stall {
			close(p.flow)
		}
	}
}

// hold waits for as long as bytes that have just come are not to be passed on, and
// reports whether they are at all.
func (p *Proxy) hold(ctx context.Context) bool {
	p.mu.Lock()
	latency := p.latency
	p.mu.Unlock()
	if latency > 0 {
		timer := time.NewTimer(latency)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return false
		}
	}

	p.mu.Lock()
	flow := p.flow
	p.mu.Unlock()
	select {
	case <-flow:
		return true
	case <-ctx.Done():
		return false
	}
}
