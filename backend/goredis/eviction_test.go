package goredis

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/redistest"
	"github.com/redis/go-redis/v9"
)

// logged collects what is logged.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// Trap 22: a policy by which Redis drops limits is logged, once, and only if Redis
// has a bound on its memory.
func TestEvictionPolicyIsLogged(t *testing.T) {
	for _, c := range []struct {
		maxmemory, policy string
		want              bool
	}{
		{"100mb", "allkeys-lru", true},
		{"100mb", "volatile-ttl", true},
		{"100mb", "noeviction", false},
		{"0", "allkeys-lru", false},
	} {
		server := redistest.Start(t, "--maxmemory", c.maxmemory, "--maxmemory-policy", c.policy)
		client := server.Client(t)
		asked := make(chan struct{}, 100)
		client.AddHook(around(func(cmds []redis.Cmder, next func([]redis.Cmder) error) error {
			err := next(cmds)
			if cmds[0].Name() == "info" {
				asked <- struct{}{}
			}
			return err
		}))
		log := &logged{}
		b := newBackend(t, client, Config{Logger: slog.New(slog.NewTextHandler(log, nil))})
		for range 20 {
			reserve(t, b, 0, limit("k", every(time.Hour, 1)))
		}
		receive(t, "the question for the policy", asked)
		if c.want {
			eventually(t, "it is logged", func() bool { return log.String() != "" })
		}
		reserve(t, b, 0, limit("k", every(time.Hour, 1)))
		text := log.String()
		if got := strings.Count(text, "\n"); got > 1 || (got == 1) != c.want || c.want && !strings.Contains(text, "maxmemory-policy="+c.policy) {
			t.Errorf("log with maxmemory %s and policy %s = %q, want a line: %v", c.maxmemory, c.policy, text, c.want)
		}
		if n := len(asked); n != 0 {
			t.Errorf("questions for the policy = %d, want 1", n+1)
		}
	}
}

// The policy is looked at when the server answers for the first time, not before.
func TestEvictionPolicyIsLoggedAfterAnOutage(t *testing.T) {
	server := redistest.Start(t, "--maxmemory", "100mb", "--maxmemory-policy", "volatile-lru")
	client := clientWith(t, &redis.Options{Addr: server.Addr(), MaxRetries: -1, DialerRetries: 1})
	log := &logged{}
	b := newBackend(t, client, Config{Logger: slog.New(slog.NewTextHandler(log, nil))})
	server.Kill()
	k := limit("k", every(time.Hour, 1))
	if err := b.Reserve(t.Context(), []backend.Request{request(k)}, make([]backend.Decision, 1)); err == nil {
		t.Error("Reserve() without a server = nil, want an error")
	}
	server.Restart()
	takes(t, b, k)
	eventually(t, "it is logged", func() bool { return strings.Contains(log.String(), "volatile-lru") })
}

func TestEvictionPolicy(t *testing.T) {
	for _, c := range []struct{ info, want string }{
		{"", ""},
		{"# Memory\r\nused_memory:1\r\nmaxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n", ""},
		{"maxmemory:1\r\nmaxmemory_policy:noeviction\r\n", ""},
		{"maxmemory_policy:volatile-lfu\r\nmaxmemory:1048576\r\nmaxmemory_human:1M\r\n", "volatile-lfu"},
		{"maxmemory:1\nmaxmemory_policy:allkeys-random", "allkeys-random"},
		{"maxmemory_policy:allkeys-lru\r\n", ""},
	} {
		if got := evictionPolicy(c.info); got != c.want {
			t.Errorf("evictionPolicy(%q) = %q, want %q", c.info, got, c.want)
		}
	}
}
