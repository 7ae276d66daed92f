package goredis

import (
	"context"
	"net"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// around stands between a client and its server: it gets the commands that go out
// together and passes on what it likes. Its error is the error of the commands.
type around func(cmds []redis.Cmder, next func([]redis.Cmder) error) error

// DialHook implements redis.Hook.
func (a around) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook implements redis.Hook.
func (a around) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := a([]redis.Cmder{cmd}, func([]redis.Cmder) error { return next(ctx, cmd) })
		if err != nil {
			cmd.SetErr(err)
		}
		return err
	}
}

// ProcessPipelineHook implements redis.Hook.
func (a around) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		passed := false
		err := a(cmds, func(cmds []redis.Cmder) error {
			passed = true
			return next(ctx, cmds)
		})
		if err != nil && !passed {
			for _, cmd := range cmds {
				cmd.SetErr(err)
			}
		}
		return err
	}
}

// isScript reports whether a command runs a script.
func isScript(cmd redis.Cmder) bool { return cmd.Name() == "evalsha" || cmd.Name() == "eval" }

// counter counts the scripts that a client runs.
type counter struct{ atomic.Int64 }

func (c *counter) hook() redis.Hook {
	return around(func(cmds []redis.Cmder, next func([]redis.Cmder) error) error {
		for _, cmd := range cmds {
			if isScript(cmd) {
				c.Add(1)
			}
		}
		return next(cmds)
	})
}

// gate holds the calls of a client. Each waits for pass before it goes out, and
// for answer when the server's answer has come; came is told of both.
type gate struct {
	came         chan string // "out" or "back"
	pass, answer chan struct{}
}

func newGate() *gate {
	return &gate{came: make(chan string, 100), pass: make(chan struct{}, 100), answer: make(chan struct{}, 100)}
}

func (g *gate) hook() redis.Hook {
	return around(func(cmds []redis.Cmder, next func([]redis.Cmder) error) error {
		if !isScript(cmds[0]) {
			return next(cmds)
		}
		g.tell("out")
		<-g.pass
		err := next(cmds)
		g.tell("back")
		<-g.answer
		return err
	})
}

// tell does not wait: an open gate has nobody who listens.
func (g *gate) tell(what string) {
	select {
	case g.came <- what:
	default:
	}
}

// open lets everything through from now on.
func (g *gate) open() {
	close(g.pass)
	close(g.answer)
}

// lossy makes connections that lose answers: as many reads of a client as lose
// says get to the server's answer but not back.
type lossy struct{ lose atomic.Int64 }

func (l *lossy) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return lossyConn{conn, l}, nil
}

type lossyConn struct {
	net.Conn
	lossy *lossy
}

// Read implements net.Conn. Having lost what it read it waits for more, which does
// not come, until the client's deadline.
func (c lossyConn) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		if err != nil || c.lossy.lose.Add(-1) < 0 {
			return n, err
		}
	}
}

// panicky makes the scripts of a client panic while it is on.
type panicky struct{ on atomic.Bool }

func (p *panicky) hook() redis.Hook {
	return around(func(cmds []redis.Cmder, next func([]redis.Cmder) error) error {
		if isScript(cmds[0]) && p.on.Load() {
			panic("in a hook")
		}
		return next(cmds)
	})
}
