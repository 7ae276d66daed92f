package redistest

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
)

// link is a connection of a client to the proxy, and the one of the proxy to the
// target that goes with it.
type link struct {
	client *net.TCPConn
	ctx    context.Context // ends when the link is cut
	cancel context.CancelFunc

	// server is nil until the target has accepted. The mu of the proxy guards it.
	server *net.TCPConn
}

// accept serves clients until the listener is closed.
func (p *Proxy) accept(t testing.TB) {
	for {
		conn, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			t.Errorf("the proxy has stopped to accept: %v", err)
			return
		}
		client := conn.(*net.TCPConn)
		p.mu.Lock()
		if p.refuse {
			reset(client)
		} else {
			l := &link{client: client}
			l.ctx, l.cancel = context.WithCancel(context.Background())
			p.links[l] = struct{}{}
			p.running.Go(func() { p.serve(l) })
		}
		p.mu.Unlock()
	}
}

// serve connects a client to the target and passes on bytes until both have ended
// their side, or the link is cut.
func (p *Proxy) serve(l *link) {
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.links, l)
		l.cancel()
		_ = l.client.Close() // closed already if the link was cut
		if l.server != nil {
			_ = l.server.Close()
		}
	}()

	var dialer net.Dialer
	conn, err := dialer.DialContext(l.ctx, "tcp", p.target)
	if err != nil {
		p.cut(l)
		return
	}
	server := conn.(*net.TCPConn)
	p.mu.Lock()
	l.server = server
	if l.ctx.Err() != nil {
		reset(server)
	}
	p.mu.Unlock()

	var back sync.WaitGroup
	back.Go(func() { p.pass(l, l.client, server) })
	p.pass(l, server, l.client)
	back.Wait()
}

// pass passes on the bytes of one direction. An end of a connection that is not
// orderly cuts the link.
func (p *Proxy) pass(l *link, to, from *net.TCPConn) {
	chunk := make([]byte, 64<<10)
	for {
		n, err := from.Read(chunk)
		if !p.hold(l.ctx) {
			return
		}
		if n > 0 {
			if _, err := to.Write(chunk[:n]); err != nil {
				p.cut(l)
				return
			}
		}
		if err == nil {
			continue
		}
		if err != io.EOF || to.CloseWrite() != nil {
			p.cut(l)
		}
		return
	}
}

func (p *Proxy) cut(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cutLocked(l)
}

// cutLocked requires that mu is held. It ends whatever waits for the link.
func (p *Proxy) cutLocked(l *link) {
	l.cancel()
	reset(l.client)
	if l.server != nil {
		reset(l.server)
	}
}

// reset closes a connection so that its other end gets an error, and not an end of
// the stream. Both calls fail on one that is closed, which is as well.
func reset(conn *net.TCPConn) {
	_ = conn.SetLinger(0)
	_ = conn.Close()
}
