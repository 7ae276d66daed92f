package goredis

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/backendtest"
	"github.com/freqlimit/dispatcher/internal/redistest"
	"github.com/redis/go-redis/v9"
)

// manyParts is a batch that takes three runs of the script, on one server, and how
// many of its requests each key has.
func manyParts() (reqs []backend.Request, each int) {
	const keys = 50
	each = 12
	for i := range keys * each {
		reqs = append(reqs, request(limit(fmt.Sprint("k", i%keys), every(time.Hour, each-2))))
	}
	return reqs, each
}

// wantBursts wants a batch of manyParts to be granted the burst of each key.
func wantBursts(t *testing.T, ds []backend.Decision, each int) {
	t.Helper()
	granted := 0
	for i, d := range ds {
		if d.Err != nil {
			t.Fatalf("decision %d = %+v, want no Err", i, d)
		}
		if d.Granted {
			granted++
		}
	}
	if want := len(ds) / each * (each - 2); granted != want {
		t.Errorf("granted of a batch of %d = %d, want %d: the bursts of its keys", len(ds), granted, want)
	}
}

// flushScripts makes a server forget all scripts.
func flushScripts(t *testing.T, client *redis.Client) {
	t.Helper()
	if err := client.ScriptFlush(t.Context()).Err(); err != nil {
		t.Fatalf("SCRIPT FLUSH: %v, want nil", err)
	}
}

// Trap 17: the server does not know the scripts, the first time and after each
// SCRIPT FLUSH, which every method survives.
func TestScriptFlush(t *testing.T) {
	client := redistest.Start(t).Client(t)
	b := newBackend(t, client, Config{})
	k := limit("k", every(time.Hour, 3))
	chain := limit("chain", every(time.Hour, 1))
	for range 3 {
		takes(t, b, k)
		booked := reserve(t, b, backend.Unlimited, chain)
		flushScripts(t, client)
		if err := b.Release(t.Context(), []backend.Limit{chain}, booked.Token); err != nil {
			t.Errorf("Release() after SCRIPT FLUSH = %v, want nil", err)
		}
		flushScripts(t, client)
		if err := b.Hold(t.Context(), "held", time.Hour); err != nil {
			t.Errorf("Hold() after SCRIPT FLUSH = %v, want nil", err)
		}
		flushScripts(t, client)
	}
	refused(t, b, k)
	refused(t, b, limit("held", every(time.Hour, 1)))
	flushScripts(t, client)
	reqs, each := manyParts()
	wantBursts(t, decide(t, b, reqs...), each)
}

// Trap 17: SCRIPT FLUSH comes in the middle of a pipeline. The parts before it are
// decided, those after it are sent again, and none is charged twice.
func TestScriptFlushInPipeline(t *testing.T) {
	client := redistest.Start(t).Client(t)
	var flushes, fallbacks atomic.Int64
	client.AddHook(around(func(cmds []redis.Cmder, next func([]redis.Cmder) error) error {
		if len(cmds) == 3 && cmds[0].Name() == "evalsha" {
			flushes.Add(1)
			flush := redis.NewStatusCmd(t.Context(), "script", "flush")
			return next([]redis.Cmder{cmds[0], flush, cmds[1], cmds[2]})
		}
		if cmds[0].Name() == "eval" {
			fallbacks.Add(int64(len(cmds)))
		}
		return next(cmds)
	}))
	b := newBackend(t, client, Config{})
	takes(t, b, limit("load", every(time.Hour, 1)))
	fallbacks.Store(0)
	reqs, each := manyParts()
	wantBursts(t, decide(t, b, reqs...), each)
	if flushes.Load() != 1 || fallbacks.Load() != 2 {
		t.Errorf("flushes, parts sent again = %d, %d, want 1, 2", flushes.Load(), fallbacks.Load())
	}
}

// Trap 17: the server is killed and comes back with no script. Reserve fails, or is
// retried, and works again.
func TestRestart(t *testing.T) {
	server := redistest.Start(t)
	b := newBackend(t, server.Client(t), Config{})
	k := limit("k", every(time.Hour, 1))
	takes(t, b, k)
	refused(t, b, k)
	server.Kill()
	var ds [1]backend.Decision
	if err := b.Reserve(t.Context(), []backend.Request{request(k)}, ds[:]); err == nil {
		t.Errorf("Reserve() without a server = nil, %+v, want an error", ds[0])
	}
	server.Restart()
	eventually(t, "Reserve works again", func() bool {
		return b.Reserve(t.Context(), []backend.Request{request(k)}, ds[:]) == nil
	})
	if !ds[0].Granted {
		t.Errorf("Reserve() after a restart = %+v, want it granted: the debt is lost with the server", ds[0])
	}
	refused(t, b, k)
}

// Trap 17: scripts are flushed all the time, and the slots obey the limit.
func TestWindowsWhileScriptsAreFlushed(t *testing.T) {
	client := redistest.Start(t).Client(t)
	b := newBackend(t, client, Config{})
	k := limit("k", every(2*time.Millisecond, 5))
	var tokens []int64
	for i := range 200 {
		if i%3 == 0 {
			flushScripts(t, client)
		}
		for _, d := range decide(t, b, request(k), request(k)) {
			if d.Granted {
				tokens = append(tokens, d.Token)
			}
		}
	}
	if err := backendtest.CheckWindows(moments(tokens), k.Params, 0); err != nil || len(tokens) < 5 {
		t.Errorf("%d slots: %v, want many and nil", len(tokens), err)
	}
}

// Trap 15: each script reads the clock once, in one place; and no script calls what
// some servers do not have, or what would tell parts of a batch apart.
func TestScriptsReadTheClockOnce(t *testing.T) {
	for name, source := range map[string]string{"reserve": reserveSource, "hold": shared + holdOwn, "release": shared + releaseOwn} {
		if n := strings.Count(source, reading); n != 1 {
			t.Errorf("readings of the clock in the script %s = %d, want 1", name, n)
		}
		if strings.Contains(source, "replicate_commands") || strings.Contains(source, "tostring") {
			t.Errorf("the script %s calls replicate_commands or tostring", name)
		}
	}
	client := redistest.Start(t).Client(t)
	b := newBackend(t, client, Config{})
	b.watched = true
	takes(t, b, limit("load", every(time.Hour, 1)))
	if err := client.ConfigResetStat(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	var reqs []backend.Request
	for i := range 200 {
		reqs = append(reqs, request(limit(fmt.Sprint("k", i%20), every(time.Hour, 7)), limit("all", every(time.Hour, 1000))))
	}
	ds := decide(t, b, reqs...)
	info, err := client.Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"cmdstat_time:calls=1,", "cmdstat_mget:calls=1,", "cmdstat_exists:calls=1,", "cmdstat_set:calls=21,", "cmdstat_evalsha:calls=1,"} {
		if !strings.Contains(info, want) {
			t.Errorf("commands of a batch of 200 on 21 new keys: no %q in %s", want, info)
		}
	}
	for i, d := range ds {
		if d.Granted != (i < 140) || d.Granted && d.Token != ds[0].Token {
			t.Errorf("decision %d = %+v, want the first 140 granted, at one instant", i, d)
		}
	}
}
