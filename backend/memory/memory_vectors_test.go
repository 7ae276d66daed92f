package memory_test

import (
	"encoding/json"
	"math"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/memory"
	"github.com/freqlimit/dispatcher/gcra"
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

// monotone reports whether the clock of the sequence never goes back.
func (s sequence) monotone() bool {
	for i := range s.Steps[1:] {
		if s.Steps[i+1].Now < s.Steps[i].Now {
			return false
		}
	}
	return true
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

func duration(seconds float64) time.Duration {
	whole, frac := math.Modf(seconds)
	return time.Duration(whole)*time.Second + time.Duration(math.Round(frac*1e9))
}

// Every sequence of aiofreqlimit whose clock a bubble can follow: all but those
// in which it goes back, which package gcra is tested with.
func TestSequencesOfAiofreqlimit(t *testing.T) {
	text, err := os.ReadFile("../../gcra/testdata/aiofreqlimit.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, seq := range v.Sequences {
		if seq.monotone() {
			ran++
			synctest.Test(t, func(t *testing.T) { runSequence(t, seq, v.Tolerance) })
		} else if seq.Family != "clock_backwards" {
			t.Errorf("sequence %d of family %s: its clock goes back", seq.ID, seq.Family)
		}
	}
	if ran != 170 {
		t.Errorf("sequences that ran = %d, want 170", ran)
	}
}

func runSequence(t *testing.T, seq sequence, tolerance float64) {
	b := memory.New(memory.Config{})
	start := time.Now()
	params := gcra.FreqLimitParams{Limit: seq.Params.Limit, Period: duration(seq.Params.Period), Burst: seq.Params.Burst}
	second, isMixed := mixed[seq.ID]
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
		now := start.Add(duration(step.Now))
		time.Sleep(time.Until(now)) // moves the bubble's clock, exactly
		d := reserve(t, b, backend.Unlimited, limit(key, p))
		if !d.Granted {
			t.Fatalf("sequence %d step %d: decision = %+v, want it granted", seq.ID, i, d)
		}
		if got := d.Slot.Sub(now).Seconds(); math.Abs(got-want) > tolerance {
			t.Errorf("sequence %d (%s) step %d: delay = %v s, want %v s", seq.ID, seq.Family, i, got, want)
		}
	}
}
