package redistest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

const (
	// startFor is how long a process may take to answer. It takes milliseconds;
	// the rest is for machines that have much else to do.
	startFor = 20 * time.Second
	// tries is how many ports are tried, should others take those that were free.
	tries   = 10
	logFile = "redis.log"
)

var (
	// errNoServer is the one line that says how to run the tests that need a
	// process of their own.
	errNoServer  = errors.New("no redis-server on PATH: install it (Debian: apt-get install redis-server)")
	errPortTaken = errors.New("the port is taken")
)

// process is a redis-server that runs.
type process struct {
	addr string
	cmd  *exec.Cmd
	dir  string
	// exited is closed when the process has ended, by the goroutine that waits
	// for that; both end with the process.
	exited chan struct{}
}

// startProcess starts a redis-server with the arguments on a free port.
func startProcess(args []string) (*process, error) {
	var last error
	for range tries {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		p, err := startProcessAt(port, args)
		if !errors.Is(err, errPortTaken) {
			return p, err
		}
		last = err
	}
	return nil, last
}

// startProcessAt starts a redis-server with the arguments and no data, and waits
// until it answers.
func startProcessAt(port int, args []string) (*process, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoServer, err)
	}
	dir, err := os.MkdirTemp("", "redistest-")
	if err != nil {
		return nil, err
	}
	// A file, not a pipe: nothing has to read it, and a process that outlives the
	// test binary does not keep go test waiting for the pipe's end.
	log, err := os.Create(filepath.Join(dir, logFile))
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	defer log.Close()

	args = append([]string{
		"--port", strconv.Itoa(port), "--bind", "127.0.0.1",
		"--save", "", "--appendonly", "no", "--dir", dir,
	}, args...)
	p := &process{
		addr:   net.JoinHostPort("127.0.0.1", strconv.Itoa(port)),
		cmd:    exec.Command(path, args...),
		dir:    dir,
		exited: make(chan struct{}),
	}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = endWithParent()
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	go func() {
		// How it ended is in its log; most are killed.
		_ = p.cmd.Wait()
		close(p.exited)
	}()

	if err := p.await(); err != nil {
		err = fmt.Errorf("redis-server at %s: %w", p.addr, p.explain(err))
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

// await waits until the server answers.
func (p *process) await() error {
	ctx, cancel := context.WithTimeout(context.Background(), startFor)
	defer cancel()
	return poll(ctx, func() (bool, error) {
		select {
		case <-p.exited:
			return false, errors.New("it has ended")
		default:
		}
		_, pid, err := version(ctx, p.addr)
		if _, answered := errors.AsType[replyError](err); answered {
			return false, nil // it wants a password first
		}
		if err == nil && pid != strconv.Itoa(p.cmd.Process.Pid) {
			err = fmt.Errorf("%w: process %s answers there", errPortTaken, pid)
		}
		// Also then it is for the process to end: it is the one that knows.
		return true, err
	})
}

// explain adds the end of the server's log to an error, and finds out whether it
// is about a port.
func (p *process) explain(err error) error {
	text, logErr := os.ReadFile(filepath.Join(p.dir, logFile))
	if logErr != nil {
		return errors.Join(err, logErr)
	}
	if bytes.Contains(text, []byte("Address already in use")) && !errors.Is(err, errPortTaken) {
		err = fmt.Errorf("%w: %w", errPortTaken, err)
	}
	return fmt.Errorf("%w; its log:\n%s", err, lastLines(text))
}

// kill ends the process, also one that is paused, and waits for its end.
func (p *process) kill() error {
	err := p.cmd.Process.Kill()
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	if err != nil {
		return err
	}
	<-p.exited
	return nil
}

// stop kills the process and removes what it has written.
func (p *process) stop() error {
	return errors.Join(p.kill(), os.RemoveAll(p.dir))
}

// lastLines returns the last lines of a log, those that say why.
func lastLines(text []byte) []byte {
	const most = 20
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-most):], []byte("\n"))
}

// Servers take ports from firstPort to lastPort, with the bus of a cluster
// busOffset above. All are below those that systems hand out to outgoing
// connections, 32768 and up. So while a server that was killed is down, no
// connection can come to have its port, not even one of the clients that try to
// reach it: on the loopback interface such a one would connect to itself.
const (
	busOffset = 10000
	firstPort = 10000
	lastPort  = 32767 - busOffset
)

// given are the ports that this binary has used. Each is given out once, for a
// server that is down still owns its port.
var given struct {
	mu    sync.Mutex
	ports map[int]bool
}

// freePort returns a port that is free, like the port of its cluster bus. Until
// it is used, another program may take it.
func freePort() (int, error) {
	given.mu.Lock()
	defer given.mu.Unlock()
	if given.ports == nil {
		given.ports = map[int]bool{}
	}
	for range 1000 {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		if !given.ports[port] && isFree(port) && isFree(port+busOffset) {
			given.ports[port] = true
			return port, nil
		}
	}
	return 0, fmt.Errorf("no port from %d to %d is free", firstPort, lastPort)
}

func isFree(port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return l.Close() == nil
}
