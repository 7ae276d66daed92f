package goredis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/redistest"
	"github.com/redis/go-redis/v9"
)

// ownCluster is a Redis Cluster of one test: three masters, and replicas of the first ones.
type ownCluster struct {
	servers []*redistest.Server // the masters first
}

// startOwnCluster starts a cluster whose nodes take one for dead after half a second.
func startOwnCluster(t *testing.T, replicas int) *ownCluster {
	t.Helper()
	c := &ownCluster{}
	admins := make([]*redis.Client, 3+replicas)
	for i := range admins {
		s := redistest.Start(t, "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf",
			"--cluster-announce-ip", "127.0.0.1", "--cluster-node-timeout", "500",
			"--cluster-require-full-coverage", "no", "--repl-diskless-sync-delay", "0",
			"--cluster-replica-validity-factor", "0")
		c.servers = append(c.servers, s)
		admins[i] = s.Client(t)
		do := func(args ...any) {
			t.Helper()
			if err := admins[i].Do(t.Context(), args...).Err(); err != nil {
				t.Fatalf("%v: %v, want nil", args, err)
			}
		}
		do("CLUSTER", "SET-CONFIG-EPOCH", i+1)
		if i < 3 {
			do("CLUSTER", "ADDSLOTSRANGE", i*16384/3, (i+1)*16384/3-1)
		}
		for _, other := range c.servers[:i] {
			host, port, _ := net.SplitHostPort(other.Addr())
			do("CLUSTER", "MEET", host, port)
		}
	}
	info := func(i int, command ...any) string {
		text, _ := admins[i].Do(t.Context(), command...).Text()
		return text
	}
	for i := range admins {
		eventually(t, "the nodes know each other", func() bool {
			return strings.Contains(info(i, "CLUSTER", "INFO"), fmt.Sprintf("cluster_known_nodes:%d\r\n", len(admins)))
		})
	}
	for i := range replicas {
		id := info(i, "CLUSTER", "MYID")
		eventually(t, "the replica knows its master", func() bool {
			return admins[3+i].Do(t.Context(), "CLUSTER", "REPLICATE", id).Err() == nil
		})
		eventually(t, "the replica is connected", func() bool {
			return strings.Contains(info(3+i, "INFO", "replication"), "master_link_status:up")
		})
	}
	for i := range admins {
		eventually(t, "the cluster serves", func() bool {
			return strings.Contains(info(i, "CLUSTER", "INFO"), "cluster_state:ok") &&
				strings.Contains(info(i, "CLUSTER", "INFO"), "cluster_slots_ok:16384") &&
				strings.Count(info(i, "CLUSTER", "NODES"), " slave ") == replicas-min(max(i-2, 0), 1)
		})
	}
	return c
}

// client returns a client that knows the cluster.
func (c *ownCluster) client(t *testing.T, o redis.ClusterOptions) *redis.ClusterClient {
	t.Helper()
	for _, s := range c.servers {
		o.Addrs = append(o.Addrs, s.Addr())
	}
	client := redis.NewClusterClient(&o)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// keyOf returns a key of a slot of a master, by its index, under a prefix.
func keyOf(master int, prefix string) string {
	for i := 0; ; i++ {
		if key := fmt.Sprint("k", i); int(slotOf(prefix+key))*3/16384 == master {
			return key
		}
	}
}

// Trap 22: a master dies and its replica takes its place. With the defaults of the client,
// which looks at the cluster again after a minute, limits go on soon after.
func TestFailoverOfMaster(t *testing.T) {
	c := startOwnCluster(t, 1)
	b := newImpatient(t, c.client(t, redis.ClusterOptions{}), Config{})
	k := limit(keyOf(0, b.prefix), every(time.Millisecond, 1))
	takes(t, b, k)

	c.servers[0].Kill()
	served := make(chan time.Time, 1)
	go func() {
		replica := redis.NewClient(&redis.Options{Addr: c.servers[3].Addr()})
		defer replica.Close()
		for replica.Set(context.Background(), b.prefix+k.Key+"2{"+b.prefix+k.Key+"}", 1, time.Second).Err() != nil {
			time.Sleep(5 * time.Millisecond)
		}
		served <- time.Now()
	}()
	began := time.Now()
	var ds [1]backend.Decision
	for !ds[0].Granted {
		if time.Since(began) > 3*patience {
			t.Fatalf("after %v there is no slot: %+v", 3*patience, ds[0])
		}
		_ = b.Reserve(t.Context(), []backend.Request{request(k)}, ds[:])
		time.Sleep(50 * time.Millisecond) // a dispatcher asks less often
	}
	at := receive(t, "the replica serves", served)
	t.Logf("the replica serves after %v, the first slot comes %v later", at.Sub(began), time.Since(at))
}

// reloading counts how often the client is told to look at the cluster again.
type reloading struct {
	*redis.ClusterClient
	reloads atomic.Int64
}

func (r *reloading) ReloadState(ctx context.Context) {
	r.reloads.Add(1)
	r.ClusterClient.ReloadState(ctx)
}

// After whatever may be the end of a node the client looks at the cluster again; not after a
// reply that has nothing to do with it.
func TestFailureReloadsCluster(t *testing.T) {
	client := &reloading{ClusterClient: clusterClient(t)}
	var failure atomic.Pointer[error]
	client.AddHook(around(func(cmds []redis.Cmder, next func([]redis.Cmder) error) error {
		if err := failure.Load(); err != nil && isScript(cmds[0]) {
			return *err
		}
		return next(cmds)
	}))
	b := newImpatient(t, client, Config{})
	k := limit("k", every(time.Hour, 9))
	takes(t, b, k)
	if n := client.reloads.Load(); n != 0 {
		t.Errorf("reloads without a failure = %d, want 0", n)
	}
	for _, c := range []struct {
		err  error
		want int64 // of Reserve, Hold and Release
	}{
		{fmt.Errorf("wrapped: %w", &net.OpError{Op: "dial", Err: errors.New("refused")}), 3},
		{fmt.Errorf("wrapped: %w", io.EOF), 3},
		{replied("CLUSTERDOWN The cluster is down"), 3},
		{replied("NOPERM no permissions"), 0},
	} {
		before := client.reloads.Load()
		failure.Store(&c.err)
		_ = b.Reserve(t.Context(), []backend.Request{request(k)}, make([]backend.Decision, 1))
		_ = b.Hold(t.Context(), "k", time.Hour)
		_ = b.Release(t.Context(), []backend.Limit{k}, 1)
		if got := client.reloads.Load() - before; got != c.want {
			t.Errorf("reloads after %v = %d, want %d", c.err, got, c.want)
		}
	}
}

// What the package comment says that the user needs on a cluster is enough, and the client
// asks for nothing else. Without CLUSTER SLOTS the advice names it.
func TestUserOfClusterNeedsWhatTheDocsSay(t *testing.T) {
	prefix := redistest.Prefix(t)
	asUser := func(rules ...string) *redis.ClusterClient {
		o := redis.ClusterOptions{Addrs: redistest.Cluster(t), Username: "user", Password: "pw"}
		args := []any{"ACL", "SETUSER", "user", "reset", "on", ">pw", "~" + prefix + "*", "&" + prefix + "*"}
		for _, r := range rules {
			args = append(args, r)
		}
		for _, addr := range o.Addrs {
			admin := clientWith(t, &redis.Options{Addr: addr})
			if err := admin.Do(t.Context(), args...).Err(); err != nil {
				t.Fatalf("%v: %v, want nil", args, err)
			}
			if err := admin.Do(t.Context(), "ACL", "LOG", "RESET").Err(); err != nil {
				t.Fatal(err)
			}
		}
		client := redis.NewClusterClient(&o)
		t.Cleanup(func() { _ = client.Close() })
		return client
	}
	denied := func() (denied []string) {
		for _, addr := range redistest.Cluster(t) {
			text := fmt.Sprint(clientWith(t, &redis.Options{Addr: addr}).Do(t.Context(), "ACL", "LOG").Val())
			if text != "[]" {
				denied = append(denied, text)
			}
		}
		return denied
	}
	news := []string{"+publish", "+subscribe", "+zscore", "+zadd", "+zincrby", "+zrange", "+zrevrangebyscore", "+zremrangebyscore", "+zremrangebyrank", "+pexpire"}
	optional := []string{"+info", "+client"} // of a warning, and what go-redis says of itself
	all := slices.Concat(needed, news, optional, neededOnCluster, []string{"+scan", "+unlink"})

	b := newImpatient(t, asUser(all...), Config{Prefix: prefix, Logger: slog.New(slog.DiscardHandler)})
	listening(t, b)
	for i := range 9 {
		k := limit(fmt.Sprint("k", i), every(time.Hour, 1))
		d := takes(t, b, k)
		refused(t, b, k)
		hold(t, b, fmt.Sprint("held", i), time.Hour)
		if err := b.Release(t.Context(), []backend.Limit{k}, d.Token); err != nil {
			t.Errorf("Release() = %v, want nil", err)
		}
	}
	if err := b.Clear(t.Context()); err != nil {
		t.Errorf("Clear() = %v, want nil", err)
	}
	if got := denied(); len(got) > 0 {
		t.Errorf("the user is denied %q, want nothing", got)
	}

	without := slices.DeleteFunc(slices.Clone(all), func(r string) bool { return r == "+cluster|slots" })
	b = newImpatient(t, asUser(without...), Config{Prefix: prefix})
	wantSetup(t, decide(t, b, request(limit("k", every(time.Hour, 1))))[0], "CLUSTER SLOTS")
}
