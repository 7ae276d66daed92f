package goredis

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/redis/go-redis/v9"
)

// vectors are the answers of the Python limiter aiofreqlimit, in seconds.
type vectors struct {
	Tolerance float64    `json:"tolerance_seconds"`
	Sequences []sequence `json:"sequences"`
}

type sequence struct {
	ID     int    `json:"id"`
	Family string `json:"family"`
	Params struct {
		Limit  int     `json:"limit"`
		Period float64 `json:"period"`
		Burst  int     `json:"burst"`
	} `json:"params"`
	Steps []struct {
		Now   float64 `json:"now"`
		Key   *string `json:"key"` // nil is the global bucket
		Delay float64 `json:"delay"`
	} `json:"steps"`
}

// mixed gives the params of every second step of the sequences that use one key
// with two sets of params, as they follow from the numbers.
var mixed = map[int]gcra.FreqLimitParams{
	285: {Limit: 1, Period: time.Second, Burst: 1},
	286: {Limit: 5, Period: time.Second, Burst: 10},
	287: {Limit: 1, Period: time.Second, Burst: 1},
}

// Upstream forgets debt at the last step of this sequence, which is its test of
// idle_ttl. Debt is kept here (trap 10): an interval of 1 s less 0.1 s.
const (
	upstreamForgets = 5
	remembered      = 0.9
)

// goesBack is the family of sequences in which the clock is set back. Upstream
// keeps its TAT, so that the wait grows by as much as the clock went back. Here
// the wait stays as it was: see clock_step_test.go.
const goesBack = "clock_backwards"

func duration(seconds float64) time.Duration {
	whole, frac := math.Modf(seconds)
	return time.Duration(whole)*time.Second + time.Duration(math.Round(frac*1e9))
}

// Every sequence of aiofreqlimit, except the four in goesBack.
func TestSequencesOfAiofreqlimit(t *testing.T) {
	text, err := os.ReadFile("../../gcra/testdata/aiofreqlimit.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	eachKind(t, func(t *testing.T, client redis.UniversalClient, prefix string) {
		l := newLab(t, client, prefix)
		ran, left := 0, 0
		for _, seq := range v.Sequences {
			if seq.Family == goesBack {
				left++
				continue
			}
			ran++
			l.prefix = fmt.Sprint(prefix, seq.ID, ":")
			runSequence(t, l, seq, v.Tolerance)
		}
		if ran != 170 || left != 4 {
			t.Errorf("sequences that ran and were left out = %d, %d, want 170, 4", ran, left)
		}
	})
}

// runSequence wants each slot to be, to the microsecond, what package gcra says
// of intervals that are rounded up to microseconds; and to be upstream's, except for
// the rounding: with T an interval, e what it is rounded up by, and n events
// behind a step,
//
//   - now is cut to microseconds, so the delay may be 1 us longer;
//   - the TAT of n events is n*e later, if none of them came to a rested key;
//   - tau is (Burst-1)*e longer, but a delay needs at least Burst events since the
//     key has rested, so that this takes back no more than they have added. The
//     instant of the first of them was cut too: the delay may be 1 us shorter.
func runSequence(t *testing.T, l *lab, seq sequence, tolerance float64) {
	t.Helper()
	const micro = 1e-6
	params := gcra.FreqLimitParams{Limit: seq.Params.Limit, Period: duration(seq.Params.Period), Burst: seq.Params.Burst}
	second, isMixed := mixed[seq.ID]
	states := map[string]gcra.State{}
	drift := map[string]float64{} // n*e of each key
	for i, step := range seq.Steps {
		p, key, want := params, "", step.Delay
		if isMixed && i%2 == 1 {
			p = second
		}
		if step.Key != nil {
			key = *step.Key
		}
		if seq.ID == upstreamForgets && i == len(seq.Steps)-1 {
			want = remembered
		}
		at := duration(step.Now)
		l.now = labStart + int64(at/time.Microsecond)
		d := l.one(backend.Unlimited, limit(key, p))

		rounded := gcra.FreqLimitParams{Limit: 1, Period: time.Duration(math.Ceil(float64(p.Interval())/1e3)) * time.Microsecond, Burst: p.Burst}
		slot := states[key].Slot(l.now*1000, rounded, 1)
		states[key] = states[key].Charge(slot, rounded, 1)
		if !d.Granted || d.Token*1000 != slot {
			t.Errorf("sequence %d (%s) step %d: decision = %+v, want it granted at %d", seq.ID, seq.Family, i, d, slot/1000)
		}

		got := float64(d.Token-l.now) * micro
		early, late := micro+tolerance, drift[key]+micro+tolerance
		if got < want-early || got > want+late {
			t.Errorf("sequence %d (%s) step %d: delay = %v s, want %v s, at most %v s less or %v s more",
				seq.ID, seq.Family, i, got, want, early, late)
		}
		drift[key] += rounded.Interval().Seconds() - p.Period.Seconds()/float64(p.Limit)
	}
}
