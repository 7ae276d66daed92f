package redistest_test

import (
	"testing"

	"github.com/freqlimit/dispatcher/internal/redistest"
	"github.com/redis/go-redis/v9"
)

func TestStart(t *testing.T) {
	a := redistest.Start(t, "--maxmemory", "3mb")
	b := redistest.Start(t)
	if a.Addr() == b.Addr() {
		t.Fatalf("two servers at %s", a.Addr())
	}
	ctx := t.Context()
	for _, test := range []struct {
		name    string
		server  *redistest.Server
		setting string
		want    string
	}{
		{"its own argument", a, "maxmemory", "3145728"},
		{"not another's", b, "maxmemory", "0"},
		{"saves nothing", a, "save", ""},
		{"logs nothing", a, "appendonly", "no"},
		{"loopback only", a, "bind", "127.0.0.1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := test.server.Client(t).ConfigGet(ctx, test.setting).Result()
			if err != nil || got[test.setting] != test.want {
				t.Errorf("%s is %q, %v, want %q", test.setting, got[test.setting], err, test.want)
			}
		})
	}
}

// A server that wants a password answers too.
func TestStartWithPassword(t *testing.T) {
	s := redistest.Start(t, "--requirepass", "secret")
	c := dial(t, s.Addr())
	c.send("PING")
	c.gets("-NOAUTH Authentication required.")
	c.send("AUTH secret")
	c.gets("+OK")
}

func TestServerStopsWithItsTest(t *testing.T) {
	for name, end := range map[string]func(*redistest.Server){
		"running": func(*redistest.Server) {},
		"paused":  func(s *redistest.Server) { s.Pause() },
		"killed":  func(s *redistest.Server) { s.Kill() },
	} {
		var server *redistest.Server
		t.Run(name, func(t *testing.T) {
			server = redistest.Start(t)
			end(server)
		})
		if server == nil {
			return // there is no redis-server
		}
		isDown(t, server.Addr())
	}
}

func TestPauseResume(t *testing.T) {
	s := redistest.Start(t)
	a := dial(t, s.Addr())
	a.send("PING")
	a.gets("+PONG")
	for range 3 {
		s.Pause()
		late := dial(t, s.Addr())
		for _, c := range []*conversation{a, late} {
			c.send("PING")
			c.getsNothing()
		}
		s.Resume()
		a.gets("+PONG")
		late.gets("+PONG")
	}
}

func TestKillRestart(t *testing.T) {
	s := redistest.Start(t, "--maxmemory", "3mb", "--appendonly", "yes")
	addr := s.Addr()
	ctx := t.Context()
	client := s.Client(t)
	if err := client.Set(ctx, "key", "value", 0).Err(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s.Kill()
		isDown(t, addr)
		s.Restart()
		if s.Addr() != addr {
			t.Errorf("Addr = %s, want %s as before", s.Addr(), addr)
		}
		if _, err := client.Get(ctx, "key").Result(); err != redis.Nil {
			t.Errorf("get after the restart: %v, want no such key", err)
		}
		if got := client.ConfigGet(ctx, "maxmemory").Val()["maxmemory"]; got != "3145728" {
			t.Errorf("maxmemory after the restart is %q, want it as before", got)
		}
	}
	// A paused server can be killed.
	s.Pause()
	s.Kill()
	s.Restart()
	if err := client.Ping(ctx).Err(); err != nil {
		t.Error(err)
	}
}
