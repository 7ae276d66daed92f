package redistest_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/internal/redistest"
	"github.com/redis/go-redis/v9"
)

func TestAddr(t *testing.T) {
	addr := redistest.Addr(t)
	c := dial(t, addr)
	c.send("PING")
	c.gets("+PONG")
	if again := redistest.Addr(t); again != addr {
		t.Errorf("Addr = %s and then %s, want one server", addr, again)
	}
}

func TestClient(t *testing.T) {
	ctx := t.Context()
	var client *redis.Client
	t.Run("open", func(t *testing.T) {
		client = redistest.Client(t)
		key := redistest.Prefix(t) + "key"
		if err := client.Set(ctx, key, "value", time.Minute).Err(); err != nil {
			t.Fatal(err)
		}
		if got, err := redistest.Client(t).GetDel(ctx, key).Result(); err != nil || got != "value" {
			t.Errorf("Get = %q, %v, want what another client has set", got, err)
		}
	})
	if client == nil {
		return // there is no Redis
	}
	if err := client.Ping(ctx).Err(); !errors.Is(err, redis.ErrClosed) {
		t.Errorf("after its test the client says %v, want %v", err, redis.ErrClosed)
	}
}

func TestPrefix(t *testing.T) {
	seen := map[string]bool{}
	for _, name := range []string{"plain", "a {tag} and:more", "plain"} {
		t.Run(name, func(t *testing.T) {
			prefix := redistest.Prefix(t)
			if seen[prefix] || seen[redistest.Prefix(t)] {
				t.Errorf("Prefix = %q twice", prefix)
			}
			seen[prefix] = true
			if !strings.HasPrefix(prefix, "TestPrefix/") || strings.ContainsAny(prefix, "{} ") ||
				strings.Index(prefix, ":") != len(prefix)-1 {
				t.Errorf("Prefix = %q, want the test's name, no braces, and a colon at its end alone", prefix)
			}
		})
	}
}
