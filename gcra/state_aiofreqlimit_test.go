package gcra_test

import (
	"encoding/json"
	"math"
	"os"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/gcra"
)

// vectors are the answers of the Python limiter aiofreqlimit, in seconds.
type vectors struct {
	Tolerance float64 `json:"tolerance_seconds"`
	Steps     []struct {
		vectorParams
		Now    float64  `json:"now"`
		TAT    *float64 `json:"tat"`
		NewTAT float64  `json:"new_tat"`
		Delay  float64  `json:"delay"`
	} `json:"gcra_step"`
	Sequences []struct {
		ID     int          `json:"id"`
		Family string       `json:"family"`
		Params vectorParams `json:"params"`
		Steps  []struct {
			Now      float64 `json:"now"`
			Key      *string `json:"key"` // nil is the global bucket
			Delay    float64 `json:"delay"`
			TATAfter float64 `json:"tat_after"`
		} `json:"steps"`
	} `json:"sequences"`
}

type vectorParams struct {
	Limit  int     `json:"limit"`
	Period float64 `json:"period"`
	Burst  int     `json:"burst"`
}

func (p vectorParams) params() gcra.FreqLimitParams {
	return gcra.FreqLimitParams{Limit: p.Limit, Period: time.Duration(nanos(p.Period)), Burst: p.Burst}
}

// mixed gives the params of every second step of the sequences that use one key
// with two sets of params. The file names only the first; these follow from its
// numbers. Of 286 they tell that the interval is 0.2 s and the burst at least 9.
var mixed = map[int]gcra.FreqLimitParams{
	285: {Limit: 1, Period: time.Second, Burst: 1},
	286: {Limit: 5, Period: time.Second, Burst: 10},
	287: {Limit: 1, Period: time.Second, Burst: 1},
}

// upstreamForgets is the one sequence that is upstream's test of its idle_ttl,
// 0.05 s: at its last step, 0.1 s after k1 was charged an interval of 1 s,
// upstream has forgotten the debt. Here debt is kept (trap 10), and the answers
// of that step are the ones below.
const upstreamForgets = 5

var remembered = struct{ delay, tatAfter float64 }{0.9, 2.0}

// nanos returns seconds in nanoseconds. The fraction is scaled by itself, so
// that seconds since 1970 keep what digits they have.
func nanos(seconds float64) int64 {
	whole, frac := math.Modf(seconds)
	return int64(whole)*1e9 + int64(math.Round(frac*1e9))
}

func loadVectors(t *testing.T) vectors {
	t.Helper()
	text, err := os.ReadFile("testdata/aiofreqlimit.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// agree reports whether got nanoseconds are the wanted seconds, within a
// tolerance in seconds.
func agree(got int64, want, tolerance float64) bool {
	return math.Abs(float64(got-nanos(want))) <= tolerance*1e9
}

// drift is by how much a sum of n floats of about this size may be off: half a
// unit in the last place each time. It is nothing near 0, but 0.12 us for
// seconds since 1970, which shows after a few steps.
func drift(seconds float64, n int) float64 {
	return float64(n) * (math.Nextafter(seconds, math.Inf(1)) - seconds) / 2
}

func TestStepsOfAiofreqlimit(t *testing.T) {
	v := loadVectors(t)
	if len(v.Steps) != 40 {
		t.Errorf("steps = %d, want 40", len(v.Steps))
	}
	for i, step := range v.Steps {
		var s gcra.State
		if step.TAT != nil {
			s.TAT = nanos(*step.TAT)
		}
		p, now := step.params(), nanos(step.Now)
		slot := s.Slot(now, p, 1)
		if !agree(slot-now, step.Delay, v.Tolerance) {
			t.Errorf("step %d: delay = %d ns, want %v s", i, slot-now, step.Delay)
		}
		if s = s.Charge(slot, p, 1); !agree(s.TAT, step.NewTAT, v.Tolerance) {
			t.Errorf("step %d: TAT = %d ns, want %v s", i, s.TAT, step.NewTAT)
		}
	}
}

// Every sequence to its end, each step on the state that the one before left.
// Among them are clocks that go back and keys with two sets of params (traps 4,
// 5 and 8).
func TestSequencesOfAiofreqlimit(t *testing.T) {
	v := loadVectors(t)
	if len(v.Sequences) != 174 {
		t.Errorf("sequences = %d, want 174", len(v.Sequences))
	}
	for _, seq := range v.Sequences {
		first := seq.Params.params()
		second, isMixed := mixed[seq.ID]
		if isMixed != (seq.Family == "mixed_params_same_key") {
			t.Errorf("sequence %d of family %s: second params known = %v", seq.ID, seq.Family, isMixed)
		}
		keys := map[string]gcra.State{}
		for i, step := range seq.Steps {
			p := first
			if isMixed && i%2 == 1 {
				p = second
			}
			key := "" // the global bucket; no other key of the file is empty
			if step.Key != nil {
				key = *step.Key
			}
			if seq.ID == upstreamForgets && i == len(seq.Steps)-1 {
				step.Delay, step.TATAfter = remembered.delay, remembered.tatAfter
			}
			now, s := nanos(step.Now), keys[key]
			slot := s.Slot(now, p, 1)
			if !agree(slot-now, step.Delay, v.Tolerance) {
				t.Errorf("sequence %d (%s) step %d: delay = %d ns, want %v s", seq.ID, seq.Family, i, slot-now, step.Delay)
			}
			s = s.Charge(slot, p, 1)
			if !agree(s.TAT, step.TATAfter, v.Tolerance+drift(step.TATAfter, i+1)) {
				t.Errorf("sequence %d (%s) step %d: TAT = %d ns, want %v s", seq.ID, seq.Family, i, s.TAT, step.TATAfter)
			}
			keys[key] = s
		}
	}
}
