package goredis_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/redistest"
	"github.com/redis/go-redis/v9"
)

// sharedKey is the key of a limit that all jobs of a test are under.
const sharedKey = "shared"

// The limits of the fault run.
var (
	faultShared = gcra.FreqLimitParams{Limit: 300, Period: time.Second, Burst: 5}
	faultOwn    = gcra.FreqLimitParams{Limit: 10, Period: time.Second, Burst: 3}

	// faultSlow has a debt that outlives any outage here.
	faultSlow = gcra.FreqLimitParams{Limit: 1, Period: 2 * time.Minute, Burst: 3}
)

const (
	slowKey = "slow"

	faultKeys     = 40
	faultCapacity = 400
	faultWaiting  = 150 // jobs that each load is kept at

	// within is how soon work goes on when Redis is back.
	within = time.Second
)

// steady is options with which a client finds soon that a server is back, or hangs.
// It does not retry, which is for the dispatcher to do, and its pool is so large
// that go-redis goes on dialing: see TestRedisAway.
func steady(addr string) *redis.Options {
	return &redis.Options{Addr: addr, MaxRetries: -1, ReadTimeout: time.Second, PoolSize: 1000}
}

// faultRun is dispatchers that share their limits, on a server to which all kinds
// of things happen.
type faultRun struct {
	*testing.T
	server  *redistest.Server
	proxy   *redistest.Proxy
	prefix  string
	direct  *load         // with the steady options
	proxied *load         // with the default options, through the proxy
	slow    []*load       // have jobs of the slow key alone
	part    time.Duration // unit of time

	feeders sync.WaitGroup
	rest    context.CancelFunc // ends the feeders
}

// Traps 17, 18, 22 and 23: under load, connections are cut, answers are late or do
// not come, scripts are flushed, and the server is stopped for 10 s, and is killed
// and comes back empty. Every job ends once, none starts early, and no limit is
// broken in the merged record of slots.
//
// The restart loses what the limits owed. A lost limit is a limit without debt, so
// of each one at most its Burst starts more than should: see check.
func TestFaults(t *testing.T) {
	f := &faultRun{T: t, part: time.Second, prefix: redistest.Prefix(t), server: redistest.Start(t)}
	if testing.Short() {
		f.part = 300 * time.Millisecond
	}
	f.proxy = redistest.NewProxy(t, f.server.Addr())
	cfg := dispatcher.Config[int]{Workers: 32, Capacity: faultCapacity}
	f.direct = newLoad(t, "direct", f.prefix, redis.NewClient(steady(f.server.Addr())), cfg)
	f.proxied = newLoad(t, "proxied", f.prefix, redis.NewClient(&redis.Options{Addr: f.proxy.Addr()}), cfg)
	f.startSlow("slow before")
	ctx, rest := context.WithCancel(t.Context())
	f.rest = rest
	defer f.feeders.Wait()
	defer rest()
	for _, l := range f.loads() {
		f.feeders.Go(func() { feed(ctx, l) })
	}

	f.pass(1.5)
	f.cut()
	f.delay()
	f.stall()
	f.flush()
	f.pause()
	restarted := f.restart()
	f.startSlow("slow after")
	f.pass(2)
	f.finish()
	f.check(restarted)
}

// startSlow adds a dispatcher with one job of the slow key more than may start.
func (f *faultRun) startSlow(name string) {
	f.Helper()
	l := newLoad(f, name, f.prefix, redis.NewClient(steady(f.server.Addr())), dispatcher.Config[int]{})
	for range faultSlow.Burst + 1 {
		l.must(dispatcher.Limit{Key: slowKey, Params: faultSlow})
	}
	f.slow = append(f.slow, l)
}

func (f *faultRun) loads() []*load { return []*load{f.direct, f.proxied} }

// pass lets time pass.
func (f *faultRun) pass(parts float64) { <-time.After(time.Duration(parts * float64(f.part))) }

// feed keeps a load busy.
func feed(ctx context.Context, l *load) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		for l.Stats().Waiting < faultWaiting {
			i++
			if _, err := l.submit(
				dispatcher.Limit{Key: fmt.Sprint("key:", i%faultKeys), Params: faultOwn},
				dispatcher.Limit{Key: sharedKey, Params: faultShared},
			); err != nil {
				l.t.Errorf("%s: Submit() = %v, want nil", l.name, err)
				return
			}
		}
	}
}

// cut cuts the connections, several times.
func (f *faultRun) cut() {
	admin := f.server.Client(f)
	for range 6 {
		f.proxy.Cut()
		if err := admin.ClientKillByFilter(f.Context(), "TYPE", "normal", "SKIPME", "yes").Err(); err != nil {
			f.Fatalf("CLIENT KILL: %v, want nil", err)
		}
		f.pass(0.2)
	}
	f.goesOn("connections were cut", time.Now(), f.loads()...)
}

// delay makes the network slow.
func (f *faultRun) delay() {
	f.proxy.Latency(40 * time.Millisecond)
	f.pass(1.5)
	f.goesOn("the network has become slow", time.Now(), f.loads()...)
	f.proxy.Latency(0)
}

// stall holds what is on its way, and then lets it go.
func (f *faultRun) stall() {
	f.proxy.Stall(true)
	f.pass(3)
	f.proxy.Stall(false)
	f.goesOn("the network has stalled", time.Now(), f.loads()...)
	f.pass(0.5)
}

// flush makes the server forget its scripts, several times.
func (f *faultRun) flush() {
	admin := f.server.Client(f)
	for range 5 {
		if err := admin.ScriptFlush(f.Context()).Err(); err != nil {
			f.Fatalf("SCRIPT FLUSH: %v, want nil", err)
		}
		f.pass(0.2)
	}
	f.goesOn("scripts were flushed", time.Now(), f.loads()...)
}

// pause makes the server hang. Meanwhile jobs are accepted as long as there is room.
func (f *faultRun) pause() {
	f.server.Pause()
	resume := time.After(max(10*f.part, 2*time.Second))
	f.isAway(f.direct)
	accepted := 0
	for ; ; accepted++ {
		_, err := f.direct.submit(dispatcher.Limit{Key: fmt.Sprint("key:", accepted%faultKeys), Params: faultOwn})
		if errors.Is(err, dispatcher.ErrFull) {
			break
		}
		if err != nil {
			f.Fatalf("Submit() while Redis is away = %v, want nil or ErrFull", err)
		}
	}
	if got := f.direct.Stats().Waiting; got != faultCapacity || accepted == 0 {
		f.Errorf("jobs that wait when Submit returns ErrFull = %d, want %d", got, faultCapacity)
	}
	<-resume
	f.server.Resume()
	f.goesOn("SIGCONT", time.Now(), f.loads()...)
	f.pass(1.5)
}

// restart kills the server and starts it empty. It returns the instant before which
// it was not up again.
func (f *faultRun) restart() time.Time {
	f.server.Kill()
	// Longer than slots are taken ahead, so that those of before are all past.
	back := time.After(max(3*f.part, 1500*time.Millisecond))
	f.isAway(f.loads()...)
	<-back
	restarted := time.Now()
	f.server.Restart()
	f.goesOn("a restart", time.Now(), f.loads()...)
	return restarted
}

// finish shuts the dispatchers down. Those that are busy do all that they have;
// the others drop what can't start.
func (f *faultRun) finish() {
	f.rest()
	f.feeders.Wait()
	for _, l := range append(f.loads(), f.slow...) {
		until(f, l.name+": Stats().Outage is nil", func() bool { return l.Stats().Outage == nil })
	}
	ctx, cancel := context.WithTimeout(f.Context(), 20*time.Second)
	defer cancel()
	for _, l := range f.loads() {
		if err := l.Shutdown(ctx); err != nil {
			f.Errorf("%s: Shutdown() = %v, want nil", l.name, err)
		}
		l.end()
		if s := l.Stats(); s.Succeeded != s.Submitted || s.Submitted == 0 {
			f.Errorf("%s: Stats() = %+v, want all to have succeeded", l.name, s)
		}
	}
	for _, l := range f.slow {
		l.end()
		if s := l.Stats(); s.Succeeded != uint64(faultSlow.Burst) || s.Dropped != 1 {
			f.Errorf("%s: Stats() = %+v, want %d to have succeeded and 1 dropped", l.name, s, faultSlow.Burst)
		}
	}
}

// check wants the accounts to be in order, and the slots of all dispatchers together
// within their limits: before the restart, and from it on.
//
// A window W that the restart cuts into A and B holds as many as both may:
//
//	Burst-1+ceil(A/T) + Burst-1+ceil(B/T) <= 2*Burst-1 + ceil(W/T)
//
// So over all of the run the limit holds with twice its Burst. One whose debt is
// paid while the server is down has nothing to lose, and holds as it is.
func (f *faultRun) check(restarted time.Time) {
	var ledgers []*ledger
	for _, l := range append(f.loads(), f.slow...) {
		l.check()
		if n := len(l.turns); n%2 != 0 {
			f.Errorf("%s: turns of the backend = %d, want pairs", l.name, n)
		}
		ledgers = append(ledgers, l.ledger)
		f.Logf("%s: %d jobs, %d times away", l.name, len(l.starts), len(l.turns)/2)
	}
	for key, tokens := range merged(ledgers...) {
		p := faultOwn
		switch key {
		case sharedKey:
			p = faultShared
		case slowKey:
			p = faultSlow
		}
		after, _ := slices.BinarySearch(tokens, restarted.UnixMicro())
		checkStamps(f.T, key, tokens[:after], p)
		checkStamps(f.T, key, tokens[after:], p)
		if key == slowKey {
			p.Burst *= 2
			if len(tokens) != p.Burst {
				f.Errorf("slots of %q = %d, want %d: its burst, and that again after the restart", key, len(tokens), p.Burst)
			}
		}
		checkStamps(f.T, key, tokens, p)
	}
}

// isAway waits until Stats says so.
func (f *faultRun) isAway(loads ...*load) {
	f.Helper()
	for _, l := range loads {
		until(f, l.name+": Stats().Outage is set", func() bool { return l.Stats().Outage != nil })
	}
}

// goesOn wants jobs to start soon after an instant.
func (f *faultRun) goesOn(what string, since time.Time, loads ...*load) {
	f.Helper()
	for _, l := range loads {
		after := l.startAfter(since)
		f.Logf("after %s the first start of %s comes in %v", what, l.name, after.Round(time.Microsecond))
		if after > within {
			f.Errorf("after %s the first start of %s comes in %v, want %v at most", what, l.name, after, within)
		}
	}
}
