package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// startFor is how long a redis-server may take to answer. It takes milliseconds.
const startFor = 10 * time.Second

// errNoServer says what to do where there is no Redis.
var errNoServer = errors.New("no redis-server on PATH: install it (Debian: apt-get install redis-server), or name a Redis with -redis host:port")

// server is a redis-server that runs until stop.
type server struct {
	addr   string
	cmd    *exec.Cmd
	dir    string
	exited chan struct{} // closed when the process has ended, by the goroutine that waits for that
}

// startServer starts a redis-server that saves nothing on a free port of the
// loopback interface, and waits until it answers.
func startServer(ctx context.Context) (*server, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoServer, err)
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "freqlimit-bench-")
	if err != nil {
		return nil, err
	}
	s := &server{
		addr:   net.JoinHostPort("127.0.0.1", strconv.Itoa(port)),
		cmd:    exec.Command(path, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", dir),
		dir:    dir,
		exited: make(chan struct{}),
	}
	if err := s.cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	go func() {
		_ = s.cmd.Wait() // it is killed
		close(s.exited)
	}()
	if err := s.await(ctx); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// await waits until the server answers.
func (s *server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startFor)
	defer cancel()
	client := redis.NewClient(&redis.Options{Addr: s.addr, MaxRetries: -1})
	defer client.Close()
	for {
		err := client.Ping(ctx).Err()
		if err == nil {
			return nil
		}
		select {
		case <-s.exited:
			return fmt.Errorf("redis-server at %s has ended: %v", s.addr, s.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("redis-server at %s: %w", s.addr, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// stop kills the server and removes its directory.
func (s *server) stop() error {
	err := s.cmd.Process.Kill()
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	<-s.exited
	return errors.Join(err, os.RemoveAll(s.dir))
}

// freePort returns a port that was free a moment ago.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}
