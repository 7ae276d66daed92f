package dispatcher_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
)

// A job with a date takes its place in its key as if it were submitted at that instant,
// whatever keeps the key from starting jobs then: those submitted before the date go
// first, those submitted later go behind it, and of two with equal dates the one that
// was submitted first is first.
func TestDateIsThePlace(t *testing.T) {
	begin := func(t *testing.T, cfg config, handler dispatcher.Handler[string]) *stage {
		return open(t, inMemory(), cfg, handler)
	}
	hour := func(_ context.Context, j job) error {
		if j.Payload == "long" {
			time.Sleep(time.Hour)
		}
		return nil
	}
	for name, stall := range map[string]func(t *testing.T, order dispatcher.Order) (s *stage, end func()){
		"no worker is free": func(t *testing.T, order dispatcher.Order) (*stage, func()) {
			s := begin(t, config{Workers: 1, Order: order}, hour)
			s.submit("other", "long")
			return s, func() {}
		},
		"a job of the key runs": func(t *testing.T, order dispatcher.Order) (*stage, func()) {
			s := begin(t, config{Serial: true, Order: order}, hour)
			s.submit("k", "long")
			return s, func() {}
		},
		"all is paused": func(t *testing.T, order dispatcher.Order) (*stage, func()) {
			s := begin(t, config{Workers: 1, Order: order}, nil)
			s.Pause()
			return s, s.Resume
		},
		"the key is paused": func(t *testing.T, order dispatcher.Order) (*stage, func()) {
			s := begin(t, config{Workers: 1, Order: order}, nil)
			s.PauseKey("k")
			return s, func() { s.ResumeKey("k") }
		},
		"the limit is closed": func(t *testing.T, order dispatcher.Order) (*stage, func()) {
			s := begin(t, config{Workers: 1, Order: order}, nil)
			if err := s.Hold(t.Context(), "x", time.Hour); err != nil {
				t.Fatal(err)
			}
			return s, func() {}
		},
		"the backend fails": func(t *testing.T, order dispatcher.Order) (*stage, func()) {
			b := &failing{Backend: inMemory()}
			b.away.Store(true)
			s := open(t, b, config{Workers: 1, Order: order}, nil)
			return s, func() { b.away.Store(false) }
		},
		"Run has not been called": func(t *testing.T, order dispatcher.Order) (*stage, func()) {
			s := prepare(t, inMemory(), config{Workers: 1, Order: order}, nil)
			return s, s.run
		},
	} {
		t.Run(name, func(t *testing.T) {
			inEachOrder(t, func(t *testing.T, order dispatcher.Order) {
				s, end := stall(t, order)
				x := limit("x", perSecond(1))
				var now time.Time // no date
				date := s.begin.Add(10 * time.Minute)
				submit := func(payload string, notBefore time.Time) {
					s.submitJob(job{Key: "k", Payload: payload, Limits: []dispatcher.Limit{x}, NotBefore: notBefore})
				}
				submit("dated 0", date)
				submit("dated 1", date)
				submit("sooner", date.Add(-1))
				time.Sleep(time.Minute)
				submit("before", now)
				submit("dated 2", date)
				time.Sleep(time.Until(date))
				submit("after", now)
				time.Sleep(40 * time.Minute)
				submit("long after", now)
				end()
				s.drain()
				got := s.order()
				if len(got) > 0 && got[0] == "long" {
					got = got[1:]
				}
				want := []string{"before", "sooner", "dated 0", "dated 1", "dated 2", "after", "long after"}
				if !slices.Equal(got, want) {
					t.Errorf("the order of starts is %q, want %q", got, want)
				}
			})
		})
	}
}

// Before its date a job holds up nobody, though slots are taken a horizon ahead: a job
// that is submitted a moment before the date, and may start, does so at once.
func TestDateHoldsUpNobodyBefore(t *testing.T) {
	inEachBackend(t, func(t *testing.T, b backend.Backend) {
		for _, order := range []dispatcher.Order{dispatcher.Fair, dispatcher.FIFO, dispatcher.Backlog} {
			s := open(t, b, config{Order: order}, nil)
			slow := limit("slow "+order.String(), every(time.Hour))
			s.submit("other", "first", slow)
			s.submitJob(job{Key: "k", Payload: "dated", Limits: []dispatcher.Limit{slow}, NotBefore: s.begin.Add(10 * time.Second)})
			time.Sleep(10*time.Second - 4*time.Millisecond)
			s.submitJob(job{Key: "k", Payload: "free", Limits: dispatcher.NoLimits})
			s.drain()
			s.wantStarts("free", 10*time.Second-4*time.Millisecond)
			s.wantNear("dated", time.Hour)
		}
	})
}

// So does a job that waits for an instant to run again: until then those behind it go on.
func TestSnoozeHoldsUpNobodyBefore(t *testing.T) {
	inEachOrder(t, func(t *testing.T, order dispatcher.Order) {
		var ran atomic.Bool
		s := open(t, inMemory(), config{Order: order}, func(_ context.Context, j job) error {
			if j.Payload == "snoozed" && !ran.Swap(true) {
				return dispatcher.Snooze(10 * time.Second)
			}
			return nil
		})
		slow := limit("slow", every(time.Hour))
		s.submit("k", "snoozed", slow)
		time.Sleep(10*time.Second - 4*time.Millisecond)
		s.submitJob(job{Key: "k", Payload: "free", Limits: dispatcher.NoLimits})
		time.Sleep(time.Second)
		s.submitJob(job{Key: "k", Payload: "behind", Limits: dispatcher.NoLimits})
		s.drain()
		s.wantStarts("free", 10*time.Second-4*time.Millisecond)
		s.wantStarts("snoozed", 0, time.Hour)
		s.wantStarts("behind", time.Hour)
	})
}

// Whatever order jobs come back in that were snoozed, they go by their submission, and
// before those that were submitted after them.
func TestSnoozedComeBackInOrder(t *testing.T) {
	inEachOrder(t, func(t *testing.T, order dispatcher.Order) {
		naps := map[string]time.Duration{"m0": 3 * time.Second, "m1": time.Second, "m2": 4 * time.Second, "m3": 2 * time.Second}
		s := open(t, inMemory(), config{Order: order, Workers: 1}, func(_ context.Context, j job) error {
			if d := naps[j.Payload]; d > 0 && j.Attempt() == 1 {
				return dispatcher.Snooze(d)
			}
			return nil
		})
		s.Pause()
		for i := range 8 {
			s.submit("k", named("m", i))
			if i == 3 {
				s.Resume()
				time.Sleep(time.Millisecond)
				s.PauseKey("k")
			}
		}
		time.Sleep(10 * time.Second)
		s.ResumeKey("k")
		synctest.Wait()
		s.drain()
		s.wantOrder("m0", "m1", "m2", "m3", "m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7")
	})
}
