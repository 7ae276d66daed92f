package goredis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/redistest"
	"github.com/redis/go-redis/v9"
)

// Trap 20: limits in several hash slots are refused before anything is sent, with
// an error that says what to do. The other requests of the batch are decided.
func TestCrossSlot(t *testing.T) {
	client := clusterClient(t)
	var scripts counter
	client.AddHook(scripts.hook())
	b := newBackend(t, client, Config{})
	one, other := limit("one", every(time.Hour, 1)), limit("other", every(time.Hour, 1))
	wantCross := func(what string, err error) {
		t.Helper()
		var at *backend.LimitError
		if !errors.Is(err, ErrCrossSlot) || !errors.As(err, &at) || at.Index != 1 || at.Key != "other" || !errors.Is(err, backend.ErrLimit) {
			t.Errorf("%s in two hash slots = %v, want ErrCrossSlot for limit 1", what, err)
		}
	}
	wantCross("Check()", b.Check([]backend.Limit{one, other}))
	wantCross("Release()", b.Release(t.Context(), []backend.Limit{one, other}, 1))
	wantCross("Reserve()", decide(t, b, request(one, other))[0].Err)
	if n := scripts.Load(); n != 0 {
		t.Errorf("scripts that were sent = %d, want 0", n)
	}

	ds := decide(t, b, request(one), request(one, other), request(other), backend.Request{},
		request(limit("{one}x", every(time.Hour, 1))), request(limit("{one}y", every(time.Hour, 1)), limit("{one}x", every(time.Hour, 1))))
	wantCross("Reserve() among others", ds[1].Err)
	for _, i := range []int{0, 2, 3, 4} {
		if d := ds[i]; !d.Granted || d.Err != nil {
			t.Errorf("decision %d = %+v, want it granted", i, d)
		}
	}
	if d := ds[5]; d.Granted || d.Err != nil || d.Binding != 1 {
		t.Errorf("decision on keys of one hash tag = %+v, want it refused by limit 1", d)
	}
}

// spread is the keys that begin with a prefix, counted by node.
func spread(t *testing.T, client *redis.ClusterClient, prefix string) map[string]int {
	t.Helper()
	var mu sync.Mutex
	nodes := map[string]int{}
	err := client.ForEachMaster(t.Context(), func(ctx context.Context, node *redis.Client) error {
		keys := node.Scan(ctx, 0, escapeGlob(prefix)+"*", 1000).Iterator()
		n := 0
		for keys.Next(ctx) {
			n++
		}
		mu.Lock()
		defer mu.Unlock()
		nodes[node.Options().Addr] = n
		return keys.Err()
	})
	if err != nil {
		t.Fatalf("SCAN: %v, want nil", err)
	}
	return nodes
}

// redirections is what the nodes have counted of commands for slots of others.
func redirections(t *testing.T, client *redis.ClusterClient) string {
	t.Helper()
	var mu sync.Mutex
	var counts []string
	err := client.ForEachMaster(t.Context(), func(ctx context.Context, node *redis.Client) error {
		info, err := node.Info(ctx, "errorstats").Result()
		mu.Lock()
		defer mu.Unlock()
		for line := range strings.Lines(info) {
			if strings.HasPrefix(line, "errorstat_MOVED") {
				counts = append(counts, node.Options().Addr+" "+strings.TrimSpace(line))
			}
		}
		return err
	})
	if err != nil {
		t.Fatalf("INFO errorstats: %v, want nil", err)
	}
	slices.Sort(counts)
	return strings.Join(counts, "; ")
}

// Trap 20, the documented way: what belongs to a bot has a hash tag, its requests
// have several limits, and the bots are spread over the nodes. A batch goes to
// each node in one call, to all at once.
func TestBotPerTag(t *testing.T) {
	const bots = 60
	client := clusterClient(t)
	var calls counter
	client.AddHook(around(func(cmds []redis.Cmder, next func([]redis.Cmder) error) error {
		if isScript(cmds[0]) {
			calls.Add(1)
		}
		return next(cmds)
	}))
	b := newBackend(t, client, Config{})
	bot := func(i int) []backend.Limit {
		tag := fmt.Sprintf("{bot%d}", i)
		return []backend.Limit{limit(tag, every(time.Hour, 3)), limit(tag+":chat:42", every(time.Hour, 1))}
	}
	var reqs []backend.Request
	for i := range 3 * bots {
		limits := bot(i % bots)
		if i >= 2*bots {
			limits = limits[:1]
		}
		reqs = append(reqs, request(limits...))
	}
	decide(t, b, reqs[:bots]...)
	calls.Store(0)
	moved := redirections(t, client)
	ds := decide(t, b, reqs[bots:]...)
	if got := redirections(t, client); got != moved {
		t.Errorf("redirections of a batch of %d bots = %q, want none since %q", bots, got, moved)
	}
	for i, d := range ds {
		// The second round is refused by the chat, the third has no chat.
		if want := i >= bots; d.Err != nil || d.Granted != want || !want && d.Binding != 1 {
			t.Errorf("decision %d = %+v, want Granted %v", i, d, want)
		}
	}
	if n := calls.Load(); n != 3 {
		t.Errorf("calls for a batch of %d bots = %d, want 3, one a node", bots, n)
	}
	total := 0
	for node, n := range spread(t, client, b.prefix) {
		if total += n; n < bots/6 {
			t.Errorf("limits on node %s = %d of %d, want a third", node, n, 2*bots)
		}
	}
	if total != 2*bots {
		t.Errorf("limits on all nodes = %d, want %d", total, 2*bots)
	}
}

// Trap 20: a prefix with a hash tag puts all limits into one slot, so that any of
// them go together.
func TestTaggedPrefix(t *testing.T) {
	b := newBackend(t, clusterClient(t), Config{Prefix: tagged(t)})
	var limits []backend.Limit
	for _, key := range weirdKeys() {
		limits = append(limits, limit(key, every(time.Hour, 2)))
	}
	takes(t, b, limits...)
	takes(t, b, limits...)
	if d := refused(t, b, limits...); d.Binding != 0 {
		t.Errorf("Binding = %d, want 0", d.Binding)
	}
}

// Trap 20: keys of any slot, one to a request, of any bytes.
func TestUntaggedKeysOnCluster(t *testing.T) {
	client := clusterClient(t)
	b := newBackend(t, client, Config{})
	var reqs []backend.Request
	for _, key := range weirdKeys() {
		reqs = append(reqs, request(limit(key, every(time.Hour, 1))))
	}
	for i := range 500 {
		reqs = append(reqs, request(limit(fmt.Sprint("k", i), every(time.Hour, 1))))
	}
	for i, d := range decide(t, b, append(reqs, reqs...)...) {
		if want := i < len(reqs); d.Err != nil || d.Granted != want {
			t.Errorf("decision %d on key %.20q = %+v, want Granted %v", i, reqs[i%len(reqs)].Limits[0].Key, d, want)
		}
	}
	ds := decide(t, b, booking(reqs[0].Limits...), booking(reqs[1].Limits...))
	for i, d := range ds {
		if err := b.Release(t.Context(), reqs[i].Limits, d.Token); err != nil {
			t.Errorf("Release() = %v, want nil", err)
		}
		if again := reserve(t, b, backend.Unlimited, reqs[i].Limits...); again.Token != d.Token {
			t.Errorf("slot after it was given back = %d, want %d", again.Token, d.Token)
		}
	}
}

// Trap 20: a request may name any key in HeldBy. Holds of keys in its own hash slot count.
func TestHeldByOnCluster(t *testing.T) {
	b := newBackend(t, clusterClient(t), Config{})
	l := limit("{bot7}", every(time.Hour, 3))
	for _, key := range []string{"{bot7}:42", "42"} {
		if slotOf(b.prefix+key) == slotOf(b.prefix+l.Key) != (key != "42") {
			t.Fatalf("keys %q and %q are in one slot, or not, other than the test wants", key, l.Key)
		}
		if err := b.Hold(t.Context(), key, time.Hour); err != nil {
			t.Fatalf("Hold(%q) = %v, want nil", key, err)
		}
	}
	ds := decide(t, b,
		backend.Request{Limits: []backend.Limit{l}, HeldBy: []string{"{bot7}:42", "42"}},
		backend.Request{Limits: []backend.Limit{l}, HeldBy: []string{"42"}})
	if d := ds[0]; d.Granted || d.Binding != -1 || !d.Held {
		t.Errorf("decision on a request by a held key of its slot = %+v, want it refused, -1, held", d)
	}
	if d := ds[1]; !d.Granted {
		t.Errorf("decision on a request by a held key of another slot = %+v, want it granted", d)
	}
}

// foreignKey returns a key of a slot that a node does not have.
func foreignKey(t *testing.T, node *redis.Client, prefix string, want bool) string {
	t.Helper()
	for i := range 1000 {
		key := fmt.Sprint("k", i)
		err := node.Get(t.Context(), prefix+key).Err()
		if redis.HasErrorPrefix(err, "MOVED") == want {
			return key
		}
	}
	t.Fatal("no such key of 1000")
	return ""
}

// Trap 20: a client for a single server on a cluster is a lasting failure, so the decision has a
// SetupError.
func TestSingleClientOnCluster(t *testing.T) {
	node := clientWith(t, &redis.Options{Addr: redistest.Cluster(t)[0]})
	b := newBackend(t, node, Config{})
	away := limit(foreignKey(t, node, b.prefix, true), every(time.Hour, 1))
	here := limit(foreignKey(t, node, b.prefix, false), every(time.Hour, 1))
	for _, limits := range [][]backend.Limit{{away}, {here, away}, {away, here}} {
		wantSetup(t, decide(t, b, request(limits...))[0], "cluster client")
		wantSetupError(t, "Release()", b.Release(t.Context(), limits, 1), "cluster client")
	}
	wantSetupError(t, "Hold()", b.Hold(t.Context(), away.Key, time.Hour), "cluster client")
	takes(t, b, here)
}

// Trap 20: a cluster client on a single server is a lasting failure too.
func TestClusterClientOnSingle(t *testing.T) {
	server := redistest.Start(t)
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{server.Addr()}})
	t.Cleanup(func() { _ = client.Close() })
	b := newBackend(t, client, Config{})
	wantSetup(t, decide(t, b, request(limit("k", every(time.Hour, 1))))[0], "client for a single server")
}

// While a cluster changes, its nodes may not agree on which of them has a slot, and the client
// gives up after some redirections. That is a passing failure, and the rest of the batch is decided.
func TestMovedOnCluster(t *testing.T) {
	client := clusterClient(t)
	b := newBackend(t, client, Config{})
	astray := b.prefix + "astray"
	client.AddHook(around(func(cmds []redis.Cmder, next func([]redis.Cmder) error) error {
		err := next(cmds)
		for _, cmd := range cmds {
			if key, ok := cmd.Args()[3].(*string); isScript(cmd) && ok && *key == astray {
				cmd.SetErr(replied("MOVED 1234 127.0.0.1:7001"))
			}
		}
		return err
	}))
	ds := decide(t, b, request(limit("k", every(time.Hour, 1))), request(limit("astray", every(time.Hour, 1))))
	if d := ds[0]; !d.Granted || d.Err != nil {
		t.Errorf("decision on a key whose node is there = %+v, want it granted", d)
	}
	if d := ds[1]; !d.Undecided || d.Granted || !redis.HasErrorPrefix(d.Err, "MOVED") || errors.Is(d.Err, ErrSetup) {
		t.Errorf("decision on a key whose slot is moving = %+v, want it Undecided", d)
	}
}
