package goredis_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/goredis"
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/redistest"
	"github.com/redis/go-redis/v9"
)

// aclUser returns the steady options for a user of a server, who has these rights.
func aclUser(t *testing.T, rights ...any) *redis.Options {
	t.Helper()
	server := redistest.Start(t)
	ask(t, server.Client(t), append([]any{"ACL", "SETUSER", "limiter", "on", ">secret", "~*", "&*", "+@all"}, rights...)...)
	o := steady(server.Addr())
	o.Username, o.Password = "limiter", "secret"
	return o
}

// steadyWith returns the steady options for a server of its own, except for one.
func steadyWith(t *testing.T, set func(*redis.Options), args ...string) *redis.Options {
	t.Helper()
	o := steady(redistest.Start(t, args...).Addr())
	set(o)
	return o
}

// Trap 22: lasting errors of a server. The job fails at once with an error that says what to
// change. Redis is not asked again, and doesn't count as unavailable.
func TestRedisIsNotSetUp(t *testing.T) {
	const commands = "give the Redis user the commands EVALSHA, EVAL"
	for _, c := range []struct {
		name   string
		says   string // in the error
		advice string // in the error
		client func(t *testing.T) redis.UniversalClient
		limits int
	}{
		{"no scripts", "NOPERM", commands, func(t *testing.T) redis.UniversalClient {
			return redis.NewClient(aclUser(t, "-evalsha", "-eval"))
		}, 1},
		{"no EVAL", "NOPERM", commands, func(t *testing.T) redis.UniversalClient {
			return redis.NewClient(aclUser(t, "-eval"))
		}, 1},
		{"no MGET", "can't run this command", commands, func(t *testing.T) redis.UniversalClient {
			return redis.NewClient(aclUser(t, "-mget"))
		}, 1},
		{"no SET", "can't run this command", commands, func(t *testing.T) redis.UniversalClient {
			return redis.NewClient(aclUser(t, "-set"))
		}, 1},
		{"keys of others", "NOPERM", "on the prefix", func(t *testing.T) redis.UniversalClient {
			return redis.NewClient(aclUser(t, "resetkeys", "~others:*"))
		}, 1},
		{"wrong password", "WRONGPASS", "set Username and Password", func(t *testing.T) redis.UniversalClient {
			o := aclUser(t)
			o.Password = "wrong"
			return redis.NewClient(o)
		}, 1},
		{"no password", "NOAUTH", "set Username and Password", func(t *testing.T) redis.UniversalClient {
			return redis.NewClient(steadyWith(t, func(*redis.Options) {}, "--requirepass", "secret"))
		}, 1},
		{"no such command", "unknown command", "does not rename or disable", func(t *testing.T) redis.UniversalClient {
			return redis.NewClient(steadyWith(t, func(*redis.Options) {}, "--rename-command", "evalsha", ""))
		}, 1},
		{"no such database", "DB index is out of range", "set DB of the client", func(t *testing.T) redis.UniversalClient {
			return redis.NewClient(steadyWith(t, func(o *redis.Options) { o.DB = 99 }))
		}, 1},
		{"cluster client on a server", "cluster support disabled", "use a client for a single server", func(t *testing.T) redis.UniversalClient {
			return redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{redistest.Start(t).Addr()}})
		}, 1},
		{"plain client on a cluster", "MOVED", "use a cluster client", func(t *testing.T) redis.UniversalClient {
			return redis.NewClient(steady(redistest.Cluster(t)[0]))
		}, 1},
		{"plain client on a cluster, several limits", "CROSSSLOT", "use a cluster client", func(t *testing.T) redis.UniversalClient {
			return redis.NewClient(steady(redistest.Cluster(t)[0]))
		}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLoad(t, c.name, redistest.Prefix(t), c.client(t), dispatcher.Config[int]{})
			// Of the keys of a cluster every third one is on the node.
			for i := range 20 {
				limits := []dispatcher.Limit{outageLimit(fmt.Sprint(i)), outageLimit(fmt.Sprint("other", i))}[:c.limits]
				submitted, asked := time.Now(), l.ledger.asked()
				got := l.result(l.must(limits...))
				if got.outcome == dispatcher.Succeeded && c.says == "MOVED" {
					continue
				}
				wantSetupError(t, got, c.says, c.advice)
				if took := got.ended.Sub(submitted); took > within {
					t.Errorf("time until the job has ended = %v, want %v at most", took, within)
				}
				if asked := l.ledger.asked() - asked; asked != 1 {
					t.Errorf("times that the backend was asked = %d, want 1", asked)
				}
				break
			}
			s := l.Stats()
			l.end()
			if s.Failed != 1 || s.Outage != nil || len(l.turns) > 0 {
				t.Errorf("Stats() = %+v, turns of the backend = %v, want 1 failed and nothing away", s, l.turns)
			}
		})
	}
}

func wantSetupError(t *testing.T, got fate, says, advice string) {
	t.Helper()
	setup, ok := errors.AsType[*goredis.SetupError](got.err)
	if got.outcome != dispatcher.Failed || !ok || !errors.Is(got.err, goredis.ErrSetup) {
		t.Fatalf("outcome = %v with %v, want it failed with a *SetupError", got.outcome, got.err)
	}
	if !strings.Contains(got.err.Error(), says) || !strings.Contains(setup.Advice, advice) {
		t.Errorf("the error = %v, want one that says %q and %q", got.err, says, advice)
	}
}

// Once the setup is fixed, later jobs run, without a restart of the dispatcher.
func TestRedisIsSetUpLater(t *testing.T) {
	for _, c := range []struct {
		name   string
		args   []string // of the server
		before []any    // what is to be set up is not
		set    func(*redis.Options)
		says   string
		advice string
		after  []any
	}{
		{
			"rights", nil,
			[]any{"ACL", "SETUSER", "limiter", "on", "nopass", "~*", "+@all", "-evalsha", "-eval"},
			func(o *redis.Options) { o.Username, o.Password = "limiter", "any" },
			"NOPERM", "EVALSHA",
			[]any{"ACL", "SETUSER", "limiter", "+evalsha", "+eval"},
		},
		{
			"password", nil,
			[]any{"ACL", "SETUSER", "default", "resetpass", ">other"},
			func(o *redis.Options) { o.Password = "secret" },
			"WRONGPASS", "Password",
			[]any{"ACL", "SETUSER", "default", ">secret"},
		},
		{
			"protected mode",
			[]string{"--protected-mode", "yes"},
			[]any{"PING"},
			func(o *redis.Options) {
				o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
					d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
					return d.DialContext(ctx, network, addr)
				}
			},
			"DENIED", "protected mode",
			[]any{"CONFIG", "SET", "protected-mode", "no"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.args != nil && runtime.GOOS != "linux" {
				t.Skip("there is no other address than 127.0.0.1")
			}
			server := redistest.Start(t, c.args...)
			admin := server.Client(t)
			ask(t, admin, c.before...) // on a connection that keeps its rights
			o := steady(server.Addr())
			c.set(o)
			l := newLoad(t, c.name, redistest.Prefix(t), redis.NewClient(o), dispatcher.Config[int]{})
			wantSetupError(t, l.result(l.must(outageLimit("k"))), c.says, c.advice)
			ask(t, admin, c.after...)
			if got := l.result(l.must(outageLimit("k"))); got.outcome != dispatcher.Succeeded {
				t.Errorf("outcome = %v with %v, want it to succeed", got.outcome, got.err)
			}
		})
	}
}

// Trap 22: a key is in use for something else. Its jobs fail, and those that travel
// with them do not.
func TestForeignKeyFailsItsJobsAlone(t *testing.T) {
	client, prefix := redistest.Client(t), redistest.Prefix(t)
	if err := client.RPush(t.Context(), prefix+"list", "not a limit").Err(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Del(t.Context(), prefix+"list") })
	if err := client.Set(t.Context(), prefix+"string", "not a limit", time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	if err := client.Set(t.Context(), prefix+"numbers", "\x01"+strings.Repeat("\xff", 48), time.Minute).Err(); err != nil { // NaN
		t.Fatal(err)
	}
	o := *client.Options()
	l := newLoad(t, "foreign", prefix, redis.NewClient(&o), dispatcher.Config[int]{})
	for i := range 40 {
		l.must(outageLimit([]string{"list", "good", "string", "numbers"}[i%4]), outageLimit(sharedKey))
	}
	for i := range 40 {
		got := l.result(i)
		if i%4 == 1 {
			if got.outcome != dispatcher.Succeeded {
				t.Errorf("outcome of job %d = %v with %v, want it to succeed", i, got.outcome, got.err)
			}
			continue
		}
		wrong, ok := errors.AsType[*backend.LimitError](got.err)
		if got.outcome != dispatcher.Failed || !errors.Is(got.err, goredis.ErrForeign) || !ok || wrong.Index != 0 {
			t.Errorf("outcome of job %d = %v with %v, want it failed with ErrForeign for its first limit", i, got.outcome, got.err)
		}
	}
	// What failed has charged nothing, and what is not ours is as it was.
	if got := len(merged(l.ledger)[sharedKey]); got != 10 {
		t.Errorf("slots of the limit that all share = %d, want 10", got)
	}
	if got := client.LRange(t.Context(), prefix+"list", 0, -1).Val(); len(got) != 1 {
		t.Errorf("LRANGE of the foreign list = %q, want it as it was", got)
	}
}

// Submit refuses limits that Redis could not keep, even if no server is there.
func TestSubmitRefuses(t *testing.T) {
	short := gcra.FreqLimitParams{Limit: 1_000_001, Period: time.Second}
	single := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}})
	for _, c := range []struct {
		name   string
		client redis.UniversalClient
		limits []dispatcher.Limit
		index  int
		want   error
	}{
		{"an interval below a microsecond", single, []dispatcher.Limit{outageLimit("a"), {Key: "b", Params: short}}, 1, gcra.ErrParams},
		{"trap 20: keys of several slots", cluster, []dispatcher.Limit{outageLimit("a"), outageLimit("b")}, 1, goredis.ErrCrossSlot},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLoad(t, c.name, redistest.Prefix(t), c.client, dispatcher.Config[int]{})
			_, err := l.submit(c.limits...)
			wrong, ok := errors.AsType[*backend.LimitError](err)
			if !ok || wrong.Index != c.index || wrong.Key != c.limits[c.index].Key || !errors.Is(err, c.want) {
				t.Errorf("Submit(%v) = %v, want a *LimitError for limit %d that is %v", c.limits, err, c.index, c.want)
			}
			if s, asked := l.Stats(), l.ledger.asked(); s.Submitted != 0 || asked != 0 {
				t.Errorf("jobs accepted, times asked = %d, %d, want none", s.Submitted, asked)
			}
		})
	}
}
