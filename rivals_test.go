package dispatcher_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
)

// turning is a remote backend that many share and that gives turns.
type turning struct {
	giver
	mu    sync.Mutex
	turns map[string]time.Time // the last that was told
	calls int
	asked int
	slots []time.Time // of the shared limit
}

const contended = "shared"

func (b *turning) Reserve(ctx context.Context, reqs []backend.Request, ds []backend.Decision) error {
	if err := b.travel(ctx); err != nil {
		return err
	}
	if err := b.decide(ctx, reqs, ds); err != nil {
		return err
	}
	return b.travel(ctx)
}

func (b *turning) decide(ctx context.Context, reqs []backend.Request, ds []backend.Decision) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls++
	b.asked += len(reqs)
	if err := b.inner.Reserve(ctx, reqs, ds); err != nil {
		return err
	}
	for i, req := range reqs {
		switch d := &ds[i]; {
		case d.Granted:
			b.slots = append(b.slots, d.Slot)
		case req.InTurn:
			l := req.Limits[d.Binding]
			d.Turn = d.Slot
			if next := b.turns[l.Key].Add(l.Params.Interval()); next.After(d.Turn) {
				d.Turn = next
			}
			b.turns[l.Key] = d.Turn
		}
	}
	return nil
}

// However many dispatchers want the same limit, all of its slots are used, and
// together they call the backend less than once a start, as one alone does.
func TestRivalsDoNotStampede(t *testing.T) {
	for _, members := range []int{1, 2, 8, 32} {
		t.Run(fmt.Sprint(members), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const (
					rate = 100
					// Turns are told for so long when 32 ask for 6 jobs each.
					warmUp = 2 * time.Second
					steady = 15 * time.Second
					lasts  = warmUp + steady + time.Second
				)
				b := &turning{turns: map[string]time.Time{}}
				b.inner, b.trip = inMemory(), 2*time.Millisecond
				begin := time.Now()
				var all []*stage
				for m := range members {
					s := open(t, b, config{Workers: 100}, nil)
					all = append(all, s)
					for i := range (lasts/time.Second + 5) * rate {
						key := fmt.Sprint("key", m, "-", i%200)
						s.submit(key, "job", limit(contended, perSecond(rate)), limit(key, perSecond(1)))
					}
				}
				time.Sleep(lasts)
				for _, s := range all {
					s.cut()
				}
				var (
					starts int
					slots  = map[dispatcher.Limit][]time.Time{}
				)
				for _, s := range all {
					starts += len(s.starts)
					for l, at := range s.slots() {
						slots[l] = append(slots[l], at...)
					}
				}
				wantWindows(t, slots)
				// At first all ask at once and are told several turns each, of which they
				// need one: a few slots go unused until those turns are over.
				used := 0
				for _, at := range slots[limit(contended, perSecond(rate))] {
					if since := at.Sub(begin); since >= warmUp && since < warmUp+steady {
						used++
					}
				}
				if want := int(steady.Seconds() * rate); used != want {
					t.Errorf("%d slots are used in %v, want all %d", used, steady, want)
				}
				perStart := float64(b.calls) / float64(starts)
				t.Logf("%d dispatchers: %d starts, %.2f calls and %.2f requests a start", members, starts, perStart, float64(b.asked)/float64(starts))
				if perStart > 1 {
					t.Errorf("%.2f calls a start, want 1 at most", perStart)
				}
			})
		})
	}
}
