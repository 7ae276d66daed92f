package goredis_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/redistest"
	"github.com/redis/go-redis/v9"
)

var outageRate = gcra.FreqLimitParams{Limit: 100, Period: time.Second}

func outageLimit(key string) dispatcher.Limit { return dispatcher.Limit{Key: key, Params: outageRate} }

// Trap 23: Redis is away for long. Jobs wait, none is lost or over its limit, and
// work goes on when Redis is back: within a second if the client's options let it.
//
// With the default ones it may take longer. When as many dials have failed as its
// pool may have connections, go-redis fails at once, and only tries once a second
// whether it could dial. Half a second more is how long a dispatcher may pause.
func TestRedisAway(t *testing.T) {
	server, away := redistest.Start(t), 10*time.Second
	if testing.Short() {
		away = 3 * time.Second
	}
	const jobs = 50
	loads := map[*load]time.Duration{ // how soon work goes on
		newLoad(t, "steady", redistest.Prefix(t), redis.NewClient(steady(server.Addr())), dispatcher.Config[int]{}):                within,
		newLoad(t, "default", redistest.Prefix(t), redis.NewClient(&redis.Options{Addr: server.Addr()}), dispatcher.Config[int]{}): 2 * time.Second,
	}
	submit := func(l *load) {
		for i := range jobs {
			l.must(outageLimit(fmt.Sprint(i%5)), outageLimit(sharedKey))
		}
	}
	for l := range loads {
		submit(l)
		l.startAfter(time.Time{})
	}

	server.Kill()
	back := time.After(away)
	for l := range loads {
		submit(l)
		until(t, l.name+": Stats().Outage is set", func() bool { return l.Stats().Outage != nil })
		t.Logf("%s is away: %v", l.name, l.Stats().Outage.Err)
	}
	<-back
	before := make(map[*load]int)
	for l := range loads {
		if before[l] = l.Stats().Waiting; before[l] < jobs {
			t.Errorf("%s: jobs that wait while Redis is away = %d, want %d at least", l.name, before[l], jobs)
		}
		before[l] = l.ledger.asked()
	}
	server.Restart()
	restarted := time.Now()
	for l, within := range loads {
		after := l.startAfter(restarted)
		t.Logf("%s was away %v and asked %d times: the first start comes in %v",
			l.name, away, before[l], after.Round(time.Microsecond))
		if after > within {
			t.Errorf("%s: the first start comes %v after the return, want %v at most", l.name, after, within)
		}
	}
	for l := range loads {
		finishOutage(t, l, 2*jobs)
	}
}

// finishOutage wants all of a load to succeed, within its limits.
func finishOutage(t *testing.T, l *load, jobs int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := l.Shutdown(ctx); err != nil {
		t.Fatalf("%s: Shutdown() = %v, want nil", l.name, err)
	}
	if s := l.Stats(); s.Succeeded != uint64(jobs) || s.Outage != nil {
		t.Errorf("%s: Stats() = %+v, want %d succeeded and nothing away", l.name, s, jobs)
	}
	l.check()
	if n := len(l.turns); n < 2 || n%2 != 0 {
		t.Errorf("%s: turns of the backend = %v, want errors and nil in turn", l.name, l.turns)
	}
	for key, tokens := range merged(l.ledger) {
		checkStamps(t, key, tokens, outageRate)
	}
}

// Trap 22: errors that pass, by themselves or because an operator fixes them. Jobs wait until then.
func TestRedisRefusesForATime(t *testing.T) {
	for _, c := range []struct {
		says string
		// fail makes the server say so, and fix makes it stop.
		fail func(t *testing.T, client *redis.Client) (fix func())
	}{
		{"OOM", fill},
		{"READONLY", func(t *testing.T, client *redis.Client) func() {
			// Of a server that it will not find.
			ask(t, client, "REPLICAOF", "127.0.0.1", "1")
			return func() { ask(t, client, "REPLICAOF", "NO", "ONE") }
		}},
		{"LOADING", func(_ *testing.T, client *redis.Client) func() {
			loading := &saying{text: "LOADING Redis is loading the dataset in memory"}
			client.AddHook(loading)
			return func() { loading.over.Store(true) }
		}},
		{"MISCONF", func(_ *testing.T, client *redis.Client) func() {
			misconf := &saying{text: "MISCONF Redis is configured to save RDB snapshots, but is unable to persist on disk"}
			client.AddHook(misconf)
			return func() { misconf.over.Store(true) }
		}},
	} {
		t.Run(c.says, func(t *testing.T) {
			const jobs = 30
			server := redistest.Start(t)
			client := redis.NewClient(steady(server.Addr()))
			l := newLoad(t, c.says, redistest.Prefix(t), client, dispatcher.Config[int]{})
			l.result(l.must(outageLimit("first")))

			fix := c.fail(t, client)
			for i := range jobs {
				l.must(outageLimit(fmt.Sprint(i%3)), outageLimit(sharedKey))
			}
			asked := l.ledger.asked()
			until(t, "the server is asked again", func() bool { return l.ledger.asked() >= asked+5 })
			if away := l.Stats().Outage; away == nil || !strings.Contains(away.Err.Error(), c.says) {
				t.Errorf("Stats().Outage = %+v, want what the server says: %s", away, c.says)
			}
			if s := l.Stats(); s.Waiting != jobs {
				t.Errorf("Stats() = %+v, want %d waiting", s, jobs)
			}
			fix()
			fixed := time.Now()
			if after := l.startAfter(fixed); after > within {
				t.Errorf("the first start comes %v after the end of %s, want %v at most", after, c.says, within)
			}
			finishOutage(t, l, jobs+1)
		})
	}
}

// ask sends a command for which a client has no method.
func ask(t *testing.T, client *redis.Client, args ...any) {
	t.Helper()
	if err := client.Do(t.Context(), args...).Err(); err != nil {
		t.Fatalf("%v: %v, want nil", args, err)
	}
}

// fill takes more memory than the server then may use.
func fill(t *testing.T, client *redis.Client) (empty func()) {
	t.Helper()
	if err := client.Set(t.Context(), "filler", strings.Repeat("x", 10<<20), 0).Err(); err != nil {
		t.Fatalf("SET: %v, want nil", err)
	}
	ask(t, client, "CONFIG", "SET", "maxmemory", "5mb", "maxmemory-policy", "noeviction")
	return func() { ask(t, client, "DEL", "filler") }
}

// saying is a hook by which a server has one answer to every script.
type saying struct {
	text string
	over atomic.Bool
}

// saidError is an error that a server has answered with.
type saidError string

func (e saidError) Error() string { return string(e) }

// RedisError implements [redis.Error].
func (saidError) RedisError() {}

// DialHook implements [redis.Hook].
func (s *saying) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook implements [redis.Hook].
func (s *saying) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if s.over.Load() || cmd.Name() != "evalsha" && cmd.Name() != "eval" {
			return next(ctx, cmd)
		}
		cmd.SetErr(saidError(s.text))
		return cmd.Err()
	}
}

// ProcessPipelineHook implements [redis.Hook].
func (s *saying) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
