package dispatcher_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/memory"
)

var errAway = errors.New("away")

// failing is an in-process backend that fails while it is told to.
type failing struct {
	*memory.Backend
	away  atomic.Bool
	calls atomic.Int64 // while away
}

func (f *failing) Reserve(ctx context.Context, reqs []backend.Request, ds []backend.Decision) error {
	if f.away.Load() {
		f.calls.Add(1)
		return errAway
	}
	return f.Backend.Reserve(ctx, reqs, ds)
}

// inEachOutage runs a test with a backend in process and with one behind a
// network, which fail while away is true.
func inEachOutage(t *testing.T, test func(t *testing.T, b backend.Backend, away *atomic.Bool, calls *atomic.Int64)) {
	t.Run("in process", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := &failing{Backend: inMemory()}
			test(t, b, &b.away, &b.calls)
		})
	})
	t.Run("remote", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := &failing{}
			b := &remote{inner: inMemory(), trip: 2 * time.Millisecond, fault: func(context.Context) error {
				if f.away.Load() {
					f.calls.Add(1)
					return errAway
				}
				return nil
			}}
			test(t, b, &f.away, &f.calls)
		})
	})
}

// While the backend is away jobs wait, in their order and with ever longer pauses
// between the questions; jobs without limits go on. Within a second of its return
// the work does too. None is lost, no limit is broken, and the log has one line
// for the beginning and one for the end.
func TestOutage(t *testing.T) {
	inEachOutage(t, func(t *testing.T, b backend.Backend, away *atomic.Bool, calls *atomic.Int64) {
		log := &lines{}
		s := open(t, b, config{Workers: 2, Logger: log.logger()}, nil)
		for i := range 100 {
			s.submit(named("key", i%4), named("", i), limit("shared", perSecond(10)), limit(named("key", i%4), perSecond(5)))
		}
		time.Sleep(2 * time.Second)
		away.Store(true)
		time.Sleep(time.Second)
		synctest.Wait()
		before := len(s.order())
		for range 10 {
			time.Sleep(time.Second)
			s.submit("free", "0")
		}
		s.submit("key0", "100", limit("shared", perSecond(10)))
		time.Sleep(19 * time.Second)
		synctest.Wait()
		if got := len(s.order()); got != before+10 {
			t.Errorf("%d jobs start during the outage, want the 10 that have no limits", got-before)
		}
		// From 10 ms doubling to 1 s, each less a random part of up to a half,
		// for each of the jobs that ask, at most one at each of 2 workers.
		if got := calls.Load(); got < 20 || got > 2*70 {
			t.Errorf("the backend was asked %d times in an outage of 30s, want between 20 and 140", got)
		}
		log.want(t, errAway.Error(), 1)
		away.Store(false)
		back := time.Since(s.begin)
		s.drain()
		after := 0
		for _, st := range s.starts[before+10:] {
			if st.at > back+time.Second {
				break
			}
			after++
		}
		if after == 0 {
			t.Error("no job starts within a second of the backend's return")
		}
		if got := len(s.starts); got != 111 {
			t.Errorf("%d jobs have started, want 111", got)
		}
		wantOrderOfKeys(t, s)
		log.want(t, "backend unavailable", 1)
		log.want(t, "backend recovered", 1)
	})
}

// A run that ends during an outage drops what waits.
func TestOutageThatNeverEnds(t *testing.T) {
	inEachOutage(t, func(t *testing.T, b backend.Backend, away *atomic.Bool, _ *atomic.Int64) {
		away.Store(true)
		s := open(t, b, config{}, nil)
		for i := range 10 {
			s.submit("key", named("", i), limit("key", perSecond(10)))
		}
		time.Sleep(time.Hour)
		s.cut()
		if got := s.Stats().Dropped; got != 10 {
			t.Errorf("%d jobs are dropped, want 10", got)
		}
	})
}

// An answer that is lost may have charged a slot: then one is wasted, and none
// is given out twice.
func TestOutageWithLostAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := inMemory()
		b := &lossy{remote: remote{inner: inner, trip: 2 * time.Millisecond}}
		s := open(t, b, config{}, nil)
		for i := range 50 {
			s.submit("key", named("", i), limit("key", perSecond(10)))
		}
		s.drain()
		if got := s.Stats().Succeeded; got != 50 {
			t.Errorf("%d jobs have succeeded, want 50", got)
		}
		wantOrderOfKeys(t, s)
	})
}

// lossy is a remote backend that loses every third answer.
type lossy struct {
	remote
	calls int
}

func (l *lossy) Reserve(ctx context.Context, reqs []backend.Request, ds []backend.Decision) error {
	if err := l.remote.Reserve(ctx, reqs, ds); err != nil {
		return err
	}
	if l.calls++; l.calls%3 == 0 {
		clear(ds)
		return errAway
	}
	return nil
}
