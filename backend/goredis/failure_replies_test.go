package goredis

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/redistest"
	"github.com/redis/go-redis/v9"
)

// isReply reports whether an error is what Redis said, as it was, and may pass.
func isReply(err error, begins string) bool {
	var said redis.Error
	return errors.As(err, &said) && strings.HasPrefix(said.Error(), begins) && !errors.Is(err, ErrSetup)
}

// fails wants the batch to fail with an error that may pass.
func fails(t *testing.T, b *Backend, want string, reqs ...backend.Request) {
	t.Helper()
	ds := make([]backend.Decision, len(reqs))
	err := b.Reserve(t.Context(), reqs, ds)
	if !isReply(err, want) {
		t.Fatalf("Reserve() = %v, want an error that begins with %q and no SetupError", err, want)
	}
	for i, d := range ds {
		if d.Granted || !d.Undecided {
			t.Errorf("decision %d = %+v, want it Undecided", i, d)
		}
	}
}

// Trap 22: a reply that Redis sends while it can't serve fails the whole batch. Afterwards the
// same requests are decided as if they were new. The replies are simulated, since some are hard
// to get from a real server at the right time.
func TestRepliesThatPass(t *testing.T) {
	client := redistest.Client(t)
	var reply atomic.Value
	reply.Store("")
	client.AddHook(around(func(cmds []redis.Cmder, next func([]redis.Cmder) error) error {
		if text := reply.Load().(string); text != "" {
			return replied(text)
		}
		return next(cmds)
	}))
	b := newBackend(t, client, Config{})
	reqs := make([]backend.Request, 2*partSize) // two parts: also for a pipeline
	for i, text := range []string{
		"LOADING Redis is loading the dataset in memory",
		"READONLY You can't write against a read only replica.",
		"OOM command not allowed when used memory > 'maxmemory'.",
		"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
		"CLUSTERDOWN The cluster is down",
		"TRYAGAIN Multiple keys request during rehashing of slot",
		"NOREPLICAS Not enough good replicas to write.",
		"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
		"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
		"ERR max number of clients reached",
	} {
		for j := range reqs {
			reqs[j] = request(limit(fmt.Sprint(i, j), every(time.Hour, 1)))
		}
		first, _, _ := strings.Cut(text, " ")
		reply.Store(text)
		fails(t, b, first, reqs...)
		fails(t, b, first, reqs[0])
		if err := b.Hold(t.Context(), "k", time.Hour); !isReply(err, first) {
			t.Errorf("Hold() = %v, want an error that begins with %s", err, first)
		}
		reply.Store("")
		for j, d := range decide(t, b, reqs...) {
			if !d.Granted {
				t.Fatalf("decision %d after %q = %+v, want it granted", j, text, d)
			}
		}
	}
}

// A malformed reply is final if Redis has never answered. Otherwise it may still pass.
func TestMalformedReply(t *testing.T) {
	client := redistest.Client(t)
	client.AddHook(around(func(cmds []redis.Cmder, next func([]redis.Cmder) error) error {
		err := next(cmds)
		if cmd, ok := cmds[0].(*redis.Cmd); ok && isScript(cmd) && err == nil {
			cmd.SetVal("short")
		}
		return err
	}))
	b, reqs := newBackend(t, client, Config{}), []backend.Request{request(limit("k", every(time.Hour, 1)))}
	wantSetup(t, decide(t, b, reqs...)[0], "Lua scripts")
	b.setup.answered = true
	var ds [1]backend.Decision
	if err := b.Reserve(t.Context(), reqs, ds[:]); !errors.Is(err, errReply) || !ds[0].Undecided {
		t.Errorf("Reserve() after an answer = %v, %+v, want %v and Undecided", err, ds[0], errReply)
	}
}

// Trap 22: after a failover the client still talks to a server that is now a replica. Once the
// server is a master again, requests are decided, and no debt is lost.
func TestReadOnlyReplica(t *testing.T) {
	primary, replica := redistest.Start(t, "--repl-diskless-sync-delay", "0"), redistest.Start(t)
	k, fresh := limit("k", every(time.Hour, 1)), limit("fresh", every(time.Hour, 1))
	prefix := redistest.Prefix(t)
	takes(t, newBackend(t, primary.Client(t), Config{Prefix: prefix}), k)

	client := clientWith(t, &redis.Options{Addr: replica.Addr(), MaxRetries: -1})
	host, port, _ := strings.Cut(primary.Addr(), ":")
	if err := client.Do(t.Context(), "REPLICAOF", host, port).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the replica has the key", func() bool { return client.Exists(t.Context(), prefix+"k").Val() == 1 })
	b := newBackend(t, client, Config{Prefix: prefix})
	for range 3 {
		fails(t, b, "READONLY", request(fresh), request(k))
	}
	primary.Kill()
	if err := client.Do(t.Context(), "REPLICAOF", "NO", "ONE").Err(); err != nil {
		t.Fatal(err)
	}
	takes(t, b, fresh)
	refused(t, b, k)
}

// Trap 22: Redis is out of memory and evicts nothing. No part of a batch is written. Once there
// is memory, the batch is decided.
func TestOutOfMemory(t *testing.T) {
	server := redistest.Start(t, "--maxmemory-policy", "noeviction")
	client := server.Client(t)
	b := newBackend(t, client, Config{})
	known := limit("known", every(time.Hour, 3))
	takes(t, b, known)
	before := dump(t, client, b.prefix+"known")
	setMemory := func(n string) {
		t.Helper()
		if err := client.ConfigSet(t.Context(), "maxmemory", n).Err(); err != nil {
			t.Fatal(err)
		}
	}
	var reqs []backend.Request
	for i := range 2 * partSize {
		reqs = append(reqs, request(known, limit(fmt.Sprint(i), every(time.Hour, 1))))
	}
	setMemory("1mb")
	fails(t, b, "OOM", reqs...)
	fails(t, b, "OOM", reqs[0])
	if err := b.Hold(t.Context(), "k", time.Hour); !isReply(err, "OOM") {
		t.Errorf("Hold() = %v, want OOM", err)
	}
	if n := client.DBSize(t.Context()).Val(); n != 1 {
		t.Errorf("keys after OOM = %d, want 1, that from before", n)
	}
	if after := dump(t, client, b.prefix+"known"); after != before {
		t.Errorf("limit after OOM = %q, want as before, %q", after, before)
	}
	// What writes nothing is decided also then.
	blocked := known
	blocked.Cost = 3
	refused(t, b, blocked)

	setMemory("0")
	granted := 0
	for _, d := range decide(t, b, reqs...) {
		if d.Granted {
			granted++
		}
	}
	if granted != 2 {
		t.Errorf("granted when there is room = %d, want the 2 that are left", granted)
	}
}
