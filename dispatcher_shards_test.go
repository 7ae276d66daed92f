package dispatcher_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// nodes is a remote backend of several servers: the first letter of a key says which. One that
// hangs decides nothing, and says so after a second.
type nodes struct {
	remote
	hangs atomic.Pointer[string] // the letters of those that hang
	calls atomic.Int64           // to those
}

var errHangs = errors.New("hangs")

func newNodes() *nodes {
	n := &nodes{remote: remote{inner: inMemory(), trip: 2 * time.Millisecond}}
	n.hang("")
	return n
}

func (n *nodes) hang(which string) { n.hangs.Store(&which) }

func (n *nodes) Shard(key string) string { return key[:1] }

func (n *nodes) Reserve(ctx context.Context, reqs []backend.Request, ds []backend.Decision) error {
	var here []backend.Request
	var at []int
	for i, r := range reqs {
		if slices.Contains([]byte(*n.hangs.Load()), r.Limits[0].Key[0]) {
			ds[i] = backend.Decision{Binding: -1, Err: errHangs, Undecided: true}
			continue
		}
		here, at = append(here, r), append(at, i)
	}
	if len(here) < len(reqs) {
		n.calls.Add(1)
		time.Sleep(time.Second)
	}
	if len(here) == 0 {
		return errHangs
	}
	decisions := make([]backend.Decision, len(here))
	if err := n.remote.Reserve(ctx, here, decisions); err != nil {
		return err
	}
	for i, d := range decisions {
		ds[at[i]] = d
	}
	return nil
}

// startsBetween counts the starts of jobs of some keys in a time of the test.
func startsBetween(s *stage, keys string, from, to time.Duration) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.starts {
		if slices.Contains([]byte(keys), st.Key[0]) && st.at >= from && st.at < to {
			n++
		}
	}
	return n
}

// One server of three hangs. The limits that others keep go on at their rate, also with few
// workers, of which those that wait for the server that hangs would soon have all. When it is
// back its limits go on at once. It is no outage, but is in the log.
func TestOneServerHangs(t *testing.T) {
	for _, workers := range []int{1, 2, 16} {
		t.Run(fmt.Sprint(workers, " workers"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				// Back means that a call which hangs has ended, after a second, and the next was made.
				const rate, outage, back = 50, 40 * time.Second, 1500 * time.Millisecond
				log := &lines{}
				b := newNodes()
				s := open(t, b, config{Workers: workers, Logger: log.logger(), Events: whenBackend(func(err error) {
					t.Errorf("the Events are told %v, want nothing", err)
				})}, nil)
				for i := range 3000 {
					for _, key := range []string{"a", "b", "c", "a2"} {
						chat := fmt.Sprint(key, "-", i%20, "-")
						s.submit(chat, fmt.Sprint(chat, i/20), limit(key, perSecond(rate)))
					}
				}
				time.Sleep(time.Second)
				b.hang("a")
				from := time.Since(s.begin)
				time.Sleep(outage)
				synctest.Wait()
				to := time.Since(s.begin)
				want := 2 * rate * int(outage/time.Second)
				if got := startsBetween(s, "bc", from, to); got < want*95/100 {
					t.Errorf("%d starts under the limits of the other servers in %v, want at least 95%% of %d", got, outage, want)
				}
				// The others are not slower at first either: jobs that wait for the answer have few workers.
				if got := startsBetween(s, "bc", from, from+time.Second); workers >= 16 && got < 2*rate*95/100 {
					t.Errorf("%d starts under the limits of the other servers in the first second, want at least 95%% of %d", got, 2*rate)
				}
				if got := startsBetween(s, "a", from+time.Second, to); got > 0 {
					t.Errorf("%d starts under the limits of the server that hangs, want none", got)
				}
				if got := b.calls.Load(); got < 20 || got > 200 {
					t.Errorf("the server that hangs was called %d times in %v, want some a second", got, outage)
				}
				if got := s.Stats().Outage; got != nil {
					t.Errorf("Stats().Outage = %+v, want nil: others are served", got)
				}
				log.want(t, "part of the backend unavailable", 1)
				b.hang("")
				time.Sleep(back)
				synctest.Wait()
				if got := startsBetween(s, "a", to, to+back); got == 0 {
					t.Errorf("no start under the limits of the server that is back, want one within %v", back)
				}
				s.drain()
				wantOrder(t, s)
			})
		})
	}
}

// wantOrder wants the jobs of each key to have started in their order.
func wantOrder(t *testing.T, s *stage) {
	t.Helper()
	next := map[string]int{}
	for _, st := range s.starts {
		if want := fmt.Sprint(st.Key, next[st.Key]); st.Payload != want {
			t.Fatalf("job %q of key %q has started, want %q", st.Payload, st.Key, want)
		}
		next[st.Key]++
	}
}

// When all servers hang it is an outage; when one is back, it is over, and work goes on there.
func TestAllServersHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newNodes()
		s := open(t, b, config{Workers: 4}, nil)
		for i := range 600 {
			for _, key := range []string{"a", "b", "c"} {
				s.submit(key, fmt.Sprint(key, i), limit(key, perSecond(10)))
			}
		}
		time.Sleep(time.Second)
		b.hang("abc")
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if got := s.Stats().Outage; got == nil || !errors.Is(got.Err, errHangs) {
			t.Errorf("Stats().Outage = %+v, want %v", got, errHangs)
		}
		b.hang("ab")
		back := time.Since(s.begin)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := startsBetween(s, "c", back+3*time.Second, back+10*time.Second); got < 66 {
			t.Errorf("%d starts in 7 s under the limit of the server that is back, want at least 66", got)
		}
		if got := s.Stats().Outage; got != nil {
			t.Errorf("Stats().Outage = %+v, want nil: one is back", got)
		}
		b.hang("")
		s.drain()
		wantOrder(t, s)
	})
}
