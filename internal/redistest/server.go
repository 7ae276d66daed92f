package redistest

import (
	"errors"
	"net"
	"strconv"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"
)

// Server is a redis-server of one test, which may do with it what it likes. It
// keeps its address for as long as the test runs. A method that fails ends the
// test, so they are for the test's goroutine.
type Server struct {
	t    testing.TB
	args []string
	port int
	proc *process // nil after Kill
}

// Start starts a redis-server from PATH on a free port of the loopback interface,
// with the arguments in addition to those that keep it from saving anything, and
// waits until it answers. It is stopped when the test has ended. Where there is no
// redis-server the test is skipped.
//
//	redistest.Start(t, "--maxmemory", "2mb", "--maxmemory-policy", "noeviction")
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	p, err := startProcess(args)
	if errors.Is(err, errNoServer) {
		t.Skip(errNoServer)
	}
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(p.addr)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, args: args, port: number, proc: p}
	t.Cleanup(func() {
		if s.proc == nil {
			return
		}
		if err := s.proc.stop(); err != nil {
			t.Errorf("stop the server: %v", err)
		}
	})
	return s
}

// Addr returns the host:port of the server, whether it is up or not.
func (s *Server) Addr() string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port))
}

// Client returns a client of the server. It is closed when the test t has ended.
func (s *Server) Client(t testing.TB) *redis.Client {
	t.Helper()
	return clientOf(t, s.Addr())
}

// Pause stops the process where it is, with SIGSTOP: connections are accepted and
// stay, and nothing is answered. What is sent meanwhile is done after Resume.
func (s *Server) Pause() {
	s.t.Helper()
	s.signal("pause", pauseSignal)
}

// Resume lets the process go on after Pause.
func (s *Server) Resume() {
	s.t.Helper()
	s.signal("resume", resumeSignal)
}

// Kill ends the process with SIGKILL and returns when it has ended. Its
// connections are closed and new ones refused. What it held is lost.
func (s *Server) Kill() {
	s.t.Helper()
	if s.proc == nil {
		s.t.Fatal("kill the server: it has been killed")
	}
	if err := s.proc.stop(); err != nil {
		s.t.Fatalf("kill the server: %v", err)
	}
	s.proc = nil
}

// Restart starts the server again after Kill, empty, at the same address and with
// the same arguments, and waits until it answers.
func (s *Server) Restart() {
	s.t.Helper()
	if s.proc != nil {
		s.t.Fatal("restart the server: it has not been killed")
	}
	p, err := startProcessAt(s.port, s.args)
	if err != nil {
		s.t.Fatalf("restart the server: %v", err)
	}
	s.proc = p
}

func (s *Server) signal(what string, signal syscall.Signal) {
	s.t.Helper()
	if s.proc == nil {
		s.t.Fatalf("%s the server: it has been killed", what)
	}
	if err := s.proc.cmd.Process.Signal(signal); err != nil {
		s.t.Fatalf("%s the server: %v", what, err)
	}
}
