package goredis

import (
	"bufio"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/internal/redistest"
	"github.com/redis/go-redis/v9"
)

// monitor sees every command of a server, also those of scripts.
type monitor struct {
	client *redis.Client
	lines  *bufio.Scanner
}

func newMonitor(t *testing.T, server *redistest.Server) *monitor {
	t.Helper()
	conn, err := net.Dial("tcp", server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("MONITOR\r\n")); err != nil {
		t.Fatal(err)
	}
	m := &monitor{server.Client(t), bufio.NewScanner(conn)}
	m.lines.Buffer(nil, 1<<20)
	if !m.lines.Scan() || m.lines.Text() != "+OK" {
		t.Fatalf("MONITOR = %q, %v, want OK", m.lines.Text(), m.lines.Err())
	}
	return m
}

// lastOfSets returns the last argument, the value of PX, of each SET since the previous call.
func (m *monitor) lastOfSets(t *testing.T) (last []string) {
	t.Helper()
	const end = "the end of what is looked at"
	if err := m.client.Echo(t.Context(), end).Err(); err != nil {
		t.Fatal(err)
	}
	for m.lines.Scan() {
		line := m.lines.Text()
		if strings.Contains(line, end) {
			return last
		}
		if strings.Contains(line, `lua] "SET" `) {
			line = strings.TrimSuffix(line, `"`)
			before, arg := line[:strings.LastIndexByte(line, '"')], line[strings.LastIndexByte(line, '"')+1:]
			if !strings.HasSuffix(before, `"PX" `) {
				t.Fatalf("SET = %s, want it to end in PX and a time", line)
			}
			last = append(last, arg)
		}
	}
	t.Fatalf("MONITOR: %v, want its lines to go on", m.lines.Err())
	return nil
}
