package goredis

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/backendtest"
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/redistest"
	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"
)

// windows is a history of keys whose rates stay, and what is wanted of it.
type windows struct {
	history
	lost   int64            // by how much the clock was set back
	closed map[string]int64 // held keys, until when
}

// real is an instant of the lab by a clock that was never set back.
func (w *windows) real(instant int64) int64 { return instant + w.lost }

// Trap 13: in any history, of any requests, holds, releases and keys that
// expire when their debt is paid, the slots of a key obey its limit, to the
// microsecond, and none lies in a hold.
func TestWindows(t *testing.T) { checkWindows(t, false) }

// Traps 5 and 13: the same if the clock is set back now and again. Measured by one
// that goes on, no slot comes earlier for it.
func TestWindowsWhenTheClockIsSetBack(t *testing.T) { checkWindows(t, true) }

func checkWindows(t *testing.T, back bool) {
	prefix, n := redistest.Prefix(t), 0
	l := newLab(t, redistest.Client(t), prefix)
	rapid.Check(t, func(t *rapid.T) {
		n++
		l.prefix, l.now = fmt.Sprint(prefix, n, ":"), labStart
		w := &windows{history: history{T: t, lab: l}, closed: map[string]int64{}}
		for range historyKeys {
			w.rates = append(w.rates, rapid.SampledFrom(rates).Draw(t, "rate"))
		}
		for range w.span("steps", 1, 60) {
			w.step(back)
		}
		w.check()
	})
}

func (w *windows) step(back bool) {
	l := w.lab
	switch what := w.span("what", 0, 11); {
	case what <= 5:
		reqs := w.requests()
		from := len(w.grants)
		w.note(reqs, l.reserve(w.T, reqs...))
		for i := range w.grants[from:] {
			g := &w.grants[from+i]
			g.token = w.real(g.token)
			for _, limit := range g.limits {
				if until := w.closed[limit.Key]; g.token < until {
					w.Fatalf("slot of %q = %d, want none before %d, to when it is held", limit.Key, g.token, until)
				}
			}
		}
	case what <= 8:
		l.pass(w.duration("on"))
	case what == 9 && back:
		d := w.duration("back")
		l.pass(-d)
		w.lost += int64(d / time.Microsecond)
	case what == 9 && len(w.grants) > 0:
		i, g := w.aGrant()
		l.release(w.T, g.limits, g.token)
		w.grants = append(w.grants[:i:i], w.grants[i+1:]...)
	case what == 10:
		key, d := fmt.Sprint(w.span("key", 0, historyKeys-1)), int64(w.duration("hold")/time.Microsecond)
		l.holdKey(w.T, key, d)
		w.closed[key] = max(w.closed[key], w.real(l.now+d))
	default:
		for key := range historyKeys {
			w.expire(fmt.Sprint(key))
		}
	}
}

// expire forgets a key as soon as Redis may.
func (w *windows) expire(key string) {
	value, err := w.lab.client.Get(w.lab.t.Context(), w.lab.prefix+key).Result()
	if errors.Is(err, redis.Nil) {
		return
	}
	if err != nil {
		w.Fatalf("GET: %v, want nil", err)
	}
	if parseStored(w.T, value).debtUntil() <= w.lab.now {
		w.lab.forget(w.T, key)
	}
}

// check wants the slots of each key within its limit, with its interval rounded
// up to microseconds.
func (w *windows) check() {
	for key, rate := range w.rates {
		if err := backendtest.CheckWindows(w.slots(fmt.Sprint(key)), roundedUp(rate), 0); err != nil {
			w.Fatalf("key %d: %v", key, err)
		}
	}
}

// slots is those of a key, once for each unit of cost.
func (w *windows) slots(key string) (slots []time.Time) {
	for _, g := range w.grants {
		for _, l := range g.limits {
			for range l.Units() {
				if l.Key == key {
					slots = append(slots, time.UnixMicro(g.token))
				}
			}
		}
	}
	return slots
}

// roundedUp is params as they are kept: their interval is whole microseconds.
func roundedUp(p gcra.FreqLimitParams) gcra.FreqLimitParams {
	return every((p.Interval()+time.Microsecond-1)/time.Microsecond*time.Microsecond, p.Burst)
}

// Trap 13 with the real clock: goroutines that ask all the time, of processes that
// share nothing but Redis, get slots that obey the limit.
func TestWindowsOfSeveralBackends(t *testing.T) {
	prefix, p := redistest.Prefix(t), gcra.FreqLimitParams{Limit: 300, Period: time.Second, Burst: 4}
	const (
		backends = 3
		asks     = 150
	)
	tokens := make(chan int64, 2*backends*asks)
	done := make(chan error, 2*backends)
	for range backends {
		b := newBackend(t, redistest.Client(t), Config{Prefix: prefix})
		for g := range 2 {
			go func() {
				var d [1]backend.Decision
				for range asks {
					r := backend.Request{Limits: []backend.Limit{limit("k", p)}, Horizon: time.Duration(g) * 5 * time.Millisecond}
					if err := b.Reserve(t.Context(), []backend.Request{r}, d[:]); err != nil {
						done <- err
						return
					}
					if d[0].Granted {
						tokens <- d[0].Token
					}
				}
				done <- nil
			}()
		}
	}
	for range 2 * backends {
		if err := receive(t, "the end of a goroutine", done); err != nil {
			t.Errorf("Reserve() = %v, want nil", err)
		}
	}
	close(tokens)
	var all []int64
	for s := range tokens {
		all = append(all, s)
	}
	if err := backendtest.CheckWindows(moments(all), roundedUp(p), 0); err != nil || len(all) < p.Burst {
		t.Errorf("%d slots: %v, want many and nil", len(all), err)
	}
}
