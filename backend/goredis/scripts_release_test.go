package goredis

import (
	"encoding/binary"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/redistest"
	"pgregory.net/rapid"
)

// Trap 11, for the scripts: whatever is charged and given back, in whatever order, Redis
// holds what gcra.Ledger does, also beyond what that remembers.
func TestScriptsAgreeWithLedger(t *testing.T) {
	client, prefix, n := redistest.Client(t), redistest.Prefix(t), 0
	lab := newLab(t, client, prefix)
	rapid.Check(t, func(t *rapid.T) {
		n++
		lab.prefix, lab.now = fmt.Sprint(prefix, n, ":"), labStart
		interval := rapid.SampledFrom([]time.Duration{time.Millisecond, 30 * time.Millisecond, time.Second}).Draw(t, "interval")
		p := every(interval, rapid.IntRange(1, 40).Draw(t, "burst"))
		odd := rapid.Bool().Draw(t, "odd") // slots at odd instants
		var (
			ledger gcra.Ledger
			grants []grant
		)
		for step := range rapid.IntRange(1, 120).Draw(t, "steps") {
			switch what := rapid.IntRange(0, 9).Draw(t, "what"); {
			case what == 0:
				lab.pass(rapid.SampledFrom([]time.Duration{time.Microsecond, interval / 3, interval, 300 * time.Millisecond}).Draw(t, "pass"))
			case what <= 6 || len(grants) == 0:
				l := limit("k", p)
				l.Cost = rapid.IntRange(1, min(p.Burst, 2)).Draw(t, "cost")
				r := booking(l)
				if odd {
					r.NotBefore = time.UnixMicro(lab.now + rapid.Int64Range(0, 50).Draw(t, "not before"))
				}
				d := lab.reserve(t, r)[0]
				ledger.Charge(nanos(lab.now), nanos(d.Token), p, l.Cost)
				grants = append(grants, grant{r.Limits, d.Token})
			default: // maybe again
				g := rapid.SampledFrom(grants).Draw(t, "grant")
				lab.release(t, g.limits, g.token)
				ledger.Refund(nanos(g.token), p, g.limits[0].Cost)
			}
			if len(grants) == 0 {
				continue
			}
			value, err := client.Get(lab.t.Context(), lab.prefix+"k").Result()
			if err != nil {
				t.Fatalf("GET: %v, want nil", err)
			}
			got, want := parseStored(t, value), inMicros(ledger.State())
			if int64(got.tat) != want.TAT || int64(got.last) != want.Last || len(got.older) > 32*24 {
				t.Fatalf("step %d: Redis holds %+v, want TAT %d, Last %d and 32 older records at most", step, got, want.TAT, want.Last)
			}
		}
	})
}

// Trap 11: a burst, and what comes after it, is given back, in whatever order.
func TestReleaseOfABurst(t *testing.T) {
	l := newLab(t, redistest.Client(t), redistest.Prefix(t))
	for name, order := range map[string][]int{
		"the first first": {0, 1, 2, 3, 4, 5}, "the last first": {5, 4, 3, 2, 1, 0}, "criss-cross": {3, 0, 5, 1, 4, 2},
	} {
		k := limit(name, every(time.Hour, 3))
		var tokens []int64
		for range order {
			tokens = append(tokens, l.one(backend.Unlimited, k).Token)
		}
		for _, i := range order {
			l.release(t, []backend.Limit{k}, tokens[i])
		}
		k.Cost = 3
		l.takes(k)
	}
}

// What version 1 of the layout holds is debt like any other. It can't be given back; what is
// charged from then on can.
func TestReadsOldLayout(t *testing.T) {
	l := newLab(t, redistest.Client(t), redistest.Prefix(t))
	k := limit("k", every(time.Hour, 3))
	const hour = int64(time.Hour / time.Microsecond)
	old := []byte{1}
	for _, n := range []int64{l.now, l.now + 2*hour, l.now, hour, 0, 0} { // two were charged now
		old = binary.LittleEndian.AppendUint64(old, math.Float64bits(float64(n)))
	}
	if err := l.client.Set(t.Context(), l.prefix+"k", old, time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	l.release(t, []backend.Limit{k}, l.now)
	l.takes(k)
	if got := l.refused(k); got != time.Hour {
		t.Errorf("wait after a burst, two of it by the old layout = %v, want 1h", got)
	}
	l.release(t, []backend.Limit{k}, l.now)
	l.release(t, []backend.Limit{k}, l.now)
	l.takes(k)
	if got := l.refused(k); got != time.Hour {
		t.Errorf("wait after one was given back and taken again = %v, want 1h", got)
	}
}
