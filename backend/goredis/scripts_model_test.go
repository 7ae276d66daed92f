package goredis

import (
	"fmt"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/redistest"
	"pgregory.net/rapid"
)

// rates are params of which some have intervals that microseconds can't hold, and
// some are far apart; but so that no product of two intervals is over 2^53, beyond
// which the script rounds up by more: see rebase_test.go.
var rates = []gcra.FreqLimitParams{
	every(time.Second, 1),
	every(time.Second, 3),
	every(7*time.Millisecond, 20),
	every(time.Microsecond, 5),
	every(time.Minute, 2),
	{Limit: 30, Period: time.Second, Burst: 30},
	{Limit: 7, Period: time.Second},
	{Limit: 20, Period: time.Minute, Burst: 4},
	{Limit: 1_000_000, Period: time.Second, Burst: 1000},
	{Limit: 300, Period: time.Hour, Burst: 9},
}

var horizons = []time.Duration{
	-time.Second, 0, 999 * time.Nanosecond, time.Microsecond, 100 * time.Millisecond, 700 * time.Millisecond,
	time.Second, 3 * time.Second, time.Hour, backend.Unlimited - 1, backend.Unlimited, 2 * backend.Unlimited,
}

// history draws what happens to a lab.
type history struct {
	*rapid.T
	lab    *lab
	rates  []gcra.FreqLimitParams // by key; nil: any rate for any key
	grants []grant
}

// grant is a slot that was given out.
type grant struct {
	limits []backend.Limit
	token  int64
}

const historyKeys = 4

func (h *history) span(label string, from, to int) int {
	return rapid.IntRange(from, to).Draw(h.T, label)
}

func (h *history) duration(label string) time.Duration {
	unit := rapid.SampledFrom([]time.Duration{time.Microsecond, time.Millisecond, time.Second, time.Minute}).Draw(h.T, label)
	return unit * time.Duration(h.span(label, 1, 100))
}

// requests draws a batch.
func (h *history) requests() []backend.Request {
	reqs := make([]backend.Request, h.span("requests", 1, 6))
	for i := range reqs {
		r := &reqs[i]
		for _, key := range rapid.Permutation([]int{0, 1, 2, 3}[:historyKeys]).Draw(h.T, "keys")[:h.span("limits", 1, 3)] {
			p := rapid.SampledFrom(rates).Draw(h.T, "rate")
			if h.rates != nil {
				p = h.rates[key]
			}
			l := limit(fmt.Sprint(key), p)
			l.Cost = h.span("cost", 0, min(max(p.Burst, 1), 3))
			r.Limits = append(r.Limits, l)
		}
		for range max(h.span("held by", 0, 4)-2, 0) {
			r.HeldBy = append(r.HeldBy, fmt.Sprint(h.span("holds", 0, historyKeys-1)))
		}
		r.Horizon = rapid.SampledFrom(horizons).Draw(h.T, "horizon")
		r.MemberID = uint32(h.span("member", 0, 4))
		r.BusiestLimit = h.span("main", 0, len(r.Limits))
		r.MinHorizon = time.Duration(h.span("reach", 0, 4)) * 20 * time.Millisecond
		if h.span("not before", 0, 3) == 0 {
			r.NotBefore = time.UnixMicro(h.lab.now).Add(h.duration("not before") - time.Second)
		}
	}
	return reqs
}

// note keeps what was granted.
func (h *history) note(reqs []backend.Request, ds []backend.Decision) {
	for i, d := range ds {
		if d.Granted {
			h.grants = append(h.grants, grant{reqs[i].Limits, d.Token})
		}
	}
}

// aGrant draws one of the grants, mostly a late one, and its index.
func (h *history) aGrant() (int, grant) {
	i := len(h.grants) - 1 - min(h.span("grant", 0, 3)*h.span("from the end", 0, 3), len(h.grants)-1)
	return i, h.grants[i]
}

// Traps 1-4, 7, 9 and 12, for the script: in any history it does what gcra.State
// says, to the microsecond, whatever the clock does.
func TestScriptsAgreeWithModel(t *testing.T) {
	client, prefix, n := redistest.Client(t), redistest.Prefix(t), 0
	l := newLab(t, client, prefix)
	rapid.Check(t, func(t *rapid.T) {
		n++
		l.prefix, l.now = fmt.Sprint(prefix, n, ":"), labStart
		h := &history{T: t, lab: l}
		m := &model{keys: map[string]modelKey{}}
		for step := range h.span("steps", 1, 60) {
			m.now = l.now
			switch what := h.span("what", 0, 11); {
			case what <= 5:
				reqs := h.requests()
				ds, want := l.reserve(t, reqs...), m.reserve(reqs)
				for i := range reqs {
					if err := same(ds[i], want[i]); err != nil {
						t.Fatalf("step %d, request %d of %d, %+v: %v", step, i, len(reqs), reqs[i], err)
					}
				}
				h.note(reqs, ds)
			case what <= 7:
				l.pass(h.duration("on"))
			case what == 8:
				l.pass(-h.duration("back"))
			case what == 9:
				key, d := fmt.Sprint(h.span("key", 0, historyKeys-1)), int64(h.duration("hold")/time.Microsecond)
				l.holdKey(t, key, d)
				m.holdKey(key, d)
			case what == 10 && len(h.grants) > 0:
				_, g := h.aGrant()
				l.release(t, g.limits, g.token)
				m.release(g.limits, g.token)
			default:
				for key := range historyKeys {
					if key := fmt.Sprint(key); m.rests(key) {
						l.forget(t, key)
						m.forget(key)
					}
				}
			}
		}
	})
}
