package dispatcher_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// Stats tell since when the backend is away and why, and the Events are told once
// when that begins and once when it ends, however often it is asked in between
// and whatever they do.
func TestAway(t *testing.T) {
	for name, misbehave := range map[string]func(){
		"returns": func() {},
		"panics":  func() { panic("in an event") },
		"exits":   runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			inEachOutage(t, func(t *testing.T, b backend.Backend, away *atomic.Bool, calls *atomic.Int64) {
				var (
					mu   sync.Mutex
					told []string
				)
				s := open(t, b, config{Events: whenBackend(func(err error) {
					mu.Lock()
					told = append(told, fmt.Sprint(err))
					mu.Unlock()
					misbehave()
				})}, nil)
				for outage := range 2 {
					if got := s.Stats().Outage; got != nil {
						t.Fatalf("Stats().Outage = %+v before outage %d, want nil", got, outage)
					}
					away.Store(true)
					since := time.Now()
					for i := range 10 {
						s.submit(named("key", i), "job", limit("shared", perSecond(10)))
					}
					time.Sleep(30 * time.Second)
					got := s.Stats().Outage
					if got == nil || !errors.Is(got.Err, errAway) || got.Since.Sub(since) > 10*time.Millisecond {
						t.Fatalf("Stats().Outage = %+v, want %v since %v", got, errAway, since)
					}
					away.Store(false)
					time.Sleep(5 * time.Second)
				}
				if calls.Load() < 20 {
					t.Errorf("the backend was asked %d times while away, want often", calls.Load())
				}
				s.drain()
				if got := s.Stats().Outage; got != nil {
					t.Errorf("Stats().Outage = %+v after the outages, want nil", got)
				}
				if want := []string{"away", "<nil>", "away", "<nil>"}; !slices.Equal(told, want) {
					t.Errorf("the Events are told %q, want %q", told, want)
				}
			})
		})
	}
}

// Where a part of the backend fails, the jobs under limits that it keeps wait, in
// their order; the others go on. It is no outage, but is in the log.
func TestUndecided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &lines{}
		var away atomic.Bool
		away.Store(true)
		b := &remote{inner: inMemory(), trip: 2 * time.Millisecond}
		b.change = func(reqs []backend.Request, ds []backend.Decision) {
			for i := range reqs {
				if away.Load() && reqs[i].Limits[0].Key == "apart" {
					ds[i] = backend.Decision{Binding: -1, Err: errAway, Undecided: true}
				}
			}
		}
		s := open(t, b, config{Workers: 4, Logger: log.logger(), Events: whenBackend(func(err error) {
			t.Errorf("the Events are told %v, want nothing", err)
		})}, nil)
		for i := range 10 {
			s.submit("apart", fmt.Sprint("apart", i), limit("apart", perSecond(100)))
			s.submit("here", fmt.Sprint("here", i), limit("here", perSecond(100)))
		}
		const outage = 90 * time.Second
		time.Sleep(outage)
		synctest.Wait()
		if got := len(s.order()); got != 10 {
			t.Errorf("%d jobs have started, want the 10 under the other limit", got)
		}
		if got := s.Stats().Outage; got != nil {
			t.Errorf("Stats().Outage = %+v, want nil: others are served", got)
		}
		log.want(t, "part of the backend unavailable", 2) // at once and after a minute
		away.Store(false)
		s.drain()
		var want []string
		for i := range 10 {
			want = append(want, fmt.Sprint("apart", i))
		}
		if got := s.order()[10:]; !slices.Equal(got, want) {
			t.Errorf("after its return the jobs start as %q, want %q", got, want)
		}
		if first := s.startsOf("apart0")[0]; first > outage+time.Second {
			t.Errorf("the first starts %v after the return, want within a second", first-outage)
		}
	})
}

// While batches are on their way others are collected. One waits for the answers
// of those before it unless it has 64 jobs, and at most 4 fly.
func TestRemoteBatchesFly(t *testing.T) {
	for _, c := range []struct {
		jobs int
		want []int // the sizes of the batches that fly before an answer is back
		then []int // and of those after it
	}{
		{64, []int{1}, []int{63}},
		{65, []int{1, 64}, nil},
		{128, []int{1, 64}, []int{63}},
		{1 + 3*64, []int{1, 64, 64, 64}, nil},
		{1 + 3*64 + 100, []int{1, 64, 64, 64}, []int{100}},
	} {
		t.Run(fmt.Sprint(c.jobs), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &noting{remote: remote{inner: inMemory(), trip: time.Second}}
				s := open(t, b, config{Workers: 1000}, nil)
				for n := range c.jobs {
					s.submit(named("key", n), "job", limit(named("key", n), perSecond(1)))
					synctest.Wait()
				}
				if got := b.taken(); !slices.Equal(got, c.want) {
					t.Errorf("batches of %v jobs fly, want %v", got, c.want)
				}
				s.drain()
				if got := b.taken(); !slices.Equal(got, c.then) {
					t.Errorf("then batches of %v jobs fly, want %v", got, c.then)
				}
			})
		})
	}
}

// noting is a remote backend that notes the sizes of batches when they are sent.
type noting struct {
	remote
	mu    sync.Mutex
	sizes []int
}

func (n *noting) Reserve(ctx context.Context, reqs []backend.Request, ds []backend.Decision) error {
	n.mu.Lock()
	n.sizes = append(n.sizes, len(reqs))
	n.mu.Unlock()
	return n.remote.Reserve(ctx, reqs, ds)
}

func (n *noting) taken() []int {
	n.mu.Lock()
	defer n.mu.Unlock()
	taken := n.sizes
	n.sizes = nil
	return taken
}
