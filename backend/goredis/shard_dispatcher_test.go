package goredis

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
	"github.com/redis/go-redis/v9"
)

// work is a dispatcher with jobs under a limit on each master of a cluster.
type work struct {
	prefix string
	limits [3]backend.Limit

	mu    sync.Mutex
	slots map[string][]time.Time // of the jobs that have started, by limit
}

const workRate = 100 // a second, of each limit

// startWork has a dispatcher with the client's default options work until the test ends.
func startWork(t *testing.T, c *ownCluster) *work {
	t.Helper()
	b := newImpatient(t, c.client(t, redis.ClusterOptions{}), Config{})
	w := &work{prefix: b.prefix, slots: map[string][]time.Time{}}
	d, err := dispatcher.New(b, func(_ context.Context, job dispatcher.Job[string]) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.slots[job.Payload] = append(w.slots[job.Payload], job.Slot())
		return nil
	}, dispatcher.Config[string]{Workers: 16})
	if err != nil {
		t.Fatal(err)
	}
	for i := range w.limits {
		w.limits[i] = limit(keyOf(i, b.prefix), every(time.Second/workRate, 1))
		for n := range 60 * workRate {
			key := fmt.Sprintf("{%s%s}chat%d", b.prefix, w.limits[i].Key, n%50)
			err := d.SubmitJob(t.Context(), dispatcher.Job[string]{Key: key, Payload: w.limits[i].Key, Limits: w.limits[i : i+1]})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	eventually(t, "all limits are served for a second", func() bool {
		now := time.Now()
		for i := range w.limits {
			if w.between(i, now.Add(-time.Second), now) < workRate*3/4 {
				return false
			}
		}
		return true
	})
	return w
}

// between counts the slots that were used of a limit.
func (w *work) between(i int, from, to time.Time) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, at := range w.slots[w.limits[i].Key] {
		if !at.Before(from) && at.Before(to) {
			n++
		}
	}
	return n
}

// used is which part of the slots of a limit were used in a time, per cent.
func (w *work) used(i int, from, to time.Time) float64 {
	return 100 * float64(w.between(i, from, to)) / (workRate * to.Sub(from).Seconds())
}

// Trap 22: one master of three hangs. A dispatcher with the client's default options goes on
// under the limits of the others, and when it is back under all. How well is logged: see
// dispatcher_shards_test.go of package dispatcher for the same in virtual time.
func TestDispatcherWhileNodeHangs(t *testing.T) {
	c := startOwnCluster(t, 0)
	w := startWork(t, c)
	c.servers[0].Pause()
	from := time.Now()
	time.Sleep(5 * time.Second)
	to := time.Now()
	c.servers[0].Resume()
	for i := 1; i < 3; i++ {
		used := w.used(i, from, to)
		t.Logf("of the limit on master %d %.1f%% are used while another hangs", i, used)
		if used < 70 {
			t.Errorf("of the limit on master %d %.1f%% are used while another hangs, want 95%% on a machine that is not busy", i, used)
		}
	}
	if n := w.between(0, from.Add(time.Second), to); n > 0 {
		t.Errorf("%d slots of the limit on the master that hangs are used, want none", n)
	}
	eventually(t, "the limit of the master that is back is served", func() bool { return w.between(0, to, time.Now()) > workRate/2 })
}

// A master dies: the limits of the others go on, and its own when its replica has taken over.
func TestDispatcherWhileMasterFailsOver(t *testing.T) {
	c := startOwnCluster(t, 1)
	w := startWork(t, c)
	c.servers[0].Kill()
	from := time.Now()
	replica := redis.NewClient(&redis.Options{Addr: c.servers[3].Addr()})
	defer replica.Close()
	eventually(t, "the replica serves", func() bool {
		return replica.Set(t.Context(), "{"+w.prefix+w.limits[0].Key+"}served", 1, time.Second).Err() == nil
	})
	served := time.Now()
	eventually(t, "the limit is served again", func() bool { return w.between(0, served, time.Now()) > 0 })
	t.Logf("the replica serves after %v, the first slot comes %v later; the others were used to %.1f and %.1f%%",
		served.Sub(from), time.Since(served), w.used(1, from, served), w.used(2, from, served))
}
