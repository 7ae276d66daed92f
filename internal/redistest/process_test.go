package redistest

import (
	"errors"
	"net"
	"strconv"
	"strings"
	"testing"
)

// What keeps a server from starting is in its log, and so in the error.
func TestStartErrorHasTheLog(t *testing.T) {
	if _, err := startProcess([]string{"--maxmemory", "plenty"}); errors.Is(err, errNoServer) {
		t.Skip(errNoServer)
	} else if err == nil || !strings.Contains(err.Error(), "argument must be a memory value") {
		t.Errorf("startProcess with a bad argument: %v, want what the server says of it", err)
	}
}

// A port that was taken while a server was about to start is told from other
// failures: another port is tried then.
func TestStartKnowsATakenPort(t *testing.T) {
	p, err := startProcess(nil)
	if errors.Is(err, errNoServer) {
		t.Skip(errNoServer)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for what, addr := range map[string]string{"Redis": p.addr, "something silent": silent.Addr().String()} {
		_, text, err := net.SplitHostPort(addr)
		if err != nil {
			t.Fatal(err)
		}
		port, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := startProcessAt(port, nil); !errors.Is(err, errPortTaken) {
			t.Errorf("startProcessAt the port of %s: %v, want errPortTaken", what, err)
		}
	}
}

func TestFreePort(t *testing.T) {
	seen := map[int]bool{}
	for range 100 {
		port, err := freePort()
		if err != nil {
			t.Fatal(err)
		}
		if seen[port] || port < firstPort || port+busOffset >= 32768 {
			t.Errorf("freePort() = %d, want another one from %d to %d", port, firstPort, lastPort)
		}
		seen[port] = true
	}
}

func TestLastLines(t *testing.T) {
	if got := string(lastLines([]byte("a\nb\n"))); got != "a\nb" {
		t.Errorf("lastLines of two = %q", got)
	}
	got := string(lastLines([]byte("first\n" + strings.Repeat("line\n", 18) + "second\nlast\n\n")))
	if strings.Contains(got, "first") || !strings.HasSuffix(got, "line\nsecond\nlast") {
		t.Errorf("lastLines of 21 = %q, want the last 20", got)
	}
}
