package gcra_test

import (
	"math"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/gcra"
)

// admitted counts the events that may happen at one frozen instant.
func admitted(s gcra.State, now int64, p gcra.FreqLimitParams) int {
	n := 0
	for s.Slot(now, p, 1) == now {
		s = s.Charge(now, p, 1)
		n++
	}
	return n
}

// busy returns a state in which n slots were taken greedily from now on.
func busy(p gcra.FreqLimitParams, now int64, n int) gcra.State {
	var s gcra.State
	for range n {
		s = s.Charge(s.Slot(now, p, 1), p, 1)
	}
	return s
}

func TestSlotAndCharge(t *testing.T) {
	p := gcra.FreqLimitParams{Limit: 10, Period: 1000, Burst: 3} // T 100, tau 200
	var s gcra.State
	for i, step := range []struct {
		now  int64
		cost int
		slot int64
		want gcra.State
	}{
		{0, 1, 0, gcra.State{TAT: 100, Last: 0, Interval: 100}},
		{0, 1, 0, gcra.State{TAT: 200, Last: 0, Interval: 100}},
		{0, 1, 0, gcra.State{TAT: 300, Last: 0, Interval: 100}},
		{0, 1, 100, gcra.State{TAT: 400, Last: 100, Interval: 100}},
		{150, 2, 300, gcra.State{TAT: 600, Last: 300, Interval: 100}},
		{350, 1, 400, gcra.State{TAT: 700, Last: 400, Interval: 100}},
		{1000, 3, 1000, gcra.State{TAT: 1300, Last: 1000, Interval: 100}},
		{1000, 3, 1300, gcra.State{TAT: 1600, Last: 1300, Interval: 100}},
		{1600, 1, 1600, gcra.State{TAT: 1700, Last: 1600, Interval: 100}},
	} {
		slot := s.Slot(step.now, p, step.cost)
		if slot != step.slot {
			t.Fatalf("step %d: %+v.Slot(%d, cost %d) = %d, want %d", i, s, step.now, step.cost, slot, step.slot)
		}
		if s = s.Charge(slot, p, step.cost); s != step.want {
			t.Fatalf("step %d: Charge(%d, cost %d) = %+v, want %+v", i, slot, step.cost, s, step.want)
		}
	}
}

func TestHeadroom(t *testing.T) {
	p := gcra.FreqLimitParams{Limit: 1, Period: time.Second, Burst: 5}
	for cost, want := range map[int]time.Duration{
		1: 4 * time.Second, 2: 3 * time.Second, 5: 0,
	} {
		if got := gcra.Headroom(p, cost); got != int64(want) {
			t.Errorf("Headroom(%v, %d) = %d, want %d", p, cost, got, want)
		}
	}
	if got := gcra.Headroom(p, 1); got != int64(p.Tau()) {
		t.Errorf("Headroom(%v, 1) = %d, want Tau, %d", p, got, p.Tau())
	}
}

// Traps 1, 2 and 3: a full burst at one frozen instant is exactly Burst, with
// rates whose interval is not a whole number, and at any instant.
func TestFullBurst(t *testing.T) {
	for _, p := range []gcra.FreqLimitParams{
		{Limit: 30, Period: time.Second, Burst: 30},
		{Limit: 20, Period: time.Minute, Burst: 20},
		{Limit: 7, Period: time.Second, Burst: 7},
		{Limit: 100, Period: time.Minute, Burst: 100},
		{Limit: 1, Period: day, Burst: 1},
		{Limit: 1, Period: day, Burst: 30},
		{Limit: 1_000_000, Period: time.Second, Burst: 1000},
		{Limit: 1_000_000_000, Period: time.Second, Burst: 1000},
		{Limit: 3, Period: 10, Burst: 3},
		{Limit: 30, Period: time.Second},
	} {
		for _, now := range []int64{0, 1, 333_333_333, 1_700_000_000_123_456_789} {
			if got, want := admitted(gcra.State{}, now, p), max(p.Burst, 1); got != want {
				t.Errorf("events of %v at instant %d = %d, want %d", p, now, got, want)
			}
		}
	}
}

// Trap 1: where the exact answer is 0 the delay is 0, not a tiny float. Every
// slot of a chain is what the arithmetic on paper says.
func TestExactChain(t *testing.T) {
	for _, p := range []gcra.FreqLimitParams{
		{Limit: 30, Period: time.Second, Burst: 30},
		{Limit: 7, Period: time.Second, Burst: 3},
		{Limit: 20, Period: time.Minute, Burst: 1},
	} {
		const now = 1_700_000_000_123_456_789
		for i, slot := range greedy(p, now, 1000) {
			want := now + int64(max(0, i+1-p.Burst))*int64(p.Interval())
			if slot != want {
				t.Fatalf("slot %d of %v = now + %d, want now + %d", i, p, slot-now, want-now)
			}
		}
	}
}

// Trap 2: rounding up never lets more than the rate through in the long run,
// and costs less than a nanosecond an event. Extreme rates do not overflow.
func TestExtremeRates(t *testing.T) {
	for _, p := range []gcra.FreqLimitParams{
		{Limit: 30, Period: time.Second},
		{Limit: 1, Period: day},
		{Limit: 1_000_000, Period: time.Second},
		{Limit: 999_999, Period: time.Second},
		{Limit: 1_000_000_000, Period: time.Second},
		{Limit: 3, Period: gcra.MaxSpan / 2},
	} {
		const n = 12
		slots := greedy(p, 0, n)
		for i := range n - 1 {
			took, exact := slots[i+1], float64(i+1)*float64(p.Period)/float64(p.Limit)
			if float64(took) < exact || float64(took) > exact+float64(i+1) {
				t.Errorf("slot %d of %v = %d, want from %.1f to %.1f", i+1, p, took, exact, exact+float64(i+1))
			}
		}
	}
	// The furthest that anything gets: a slot at the end of the horizon, on top
	// of it a full burst, at an instant in the year 2070.
	const now = int64(100 * 365 * day)
	widest := gcra.FreqLimitParams{Limit: 1, Period: day, Burst: int(gcra.MaxSpan / day)}
	s := gcra.State{}.Charge(now, widest, widest.Burst)
	if want := now + int64(gcra.MaxSpan); s.TAT != want {
		t.Errorf("TAT after a burst of MaxSpan = %d, want %d", s.TAT, want)
	}
	if got, want := s.Slot(now, widest, 1), now+int64(day); got != want {
		t.Errorf("slot after a burst of MaxSpan = %d, want %d", got, want)
	}
	if got := s.Slot(now, gcra.FreqLimitParams{Limit: 1, Period: 1}, 1); got < now || got > math.MaxInt64/2+now {
		t.Errorf("slot = %d, want no overflow", got)
	}
}

// Trap 4: instants that come in the wrong order give no slot twice.
func TestOutOfOrderNow(t *testing.T) {
	p := gcra.FreqLimitParams{Limit: 10, Period: time.Second, Burst: 1}
	var s gcra.State
	seen := map[int64]bool{}
	for i := range int64(100) {
		now := int64(time.Second) + (i*7919%13)*int64(time.Millisecond)
		slot := s.Slot(now, p, 1)
		if seen[slot] {
			t.Fatalf("slot %d was given twice", slot)
		}
		seen[slot] = true
		before := s.TAT
		if s = s.Charge(slot, p, 1); s.TAT < before {
			t.Fatalf("TAT moved back from %d to %d", before, s.TAT)
		}
	}
	if got, most := s.Last, int64(time.Second)+12e6+99*int64(p.Interval()); got > most {
		t.Errorf("last of 100 slots = %d, want at most %d: no slot is wasted", got, most)
	}
	// A charge at an instant long gone still costs an interval.
	before := s.TAT
	if s = s.Charge(0, p, 1); s.TAT != before+int64(p.Interval()) || s.Last == 0 {
		t.Errorf("Charge(0) = %+v, want TAT %d and Last kept", s, before+int64(p.Interval()))
	}
}

// Trap 5: a clock that steps an hour back gives no fresh burst, and the wait is
// no longer than the step and the debt. One that steps an hour forward gives
// one burst, as an hour of rest does, and coming back from there none.
func TestClockSteps(t *testing.T) {
	const hour, start = int64(time.Hour), 10 * int64(time.Hour)
	p := gcra.FreqLimitParams{Limit: 30, Period: time.Second, Burst: 30}
	full := busy(p, start, 30)

	back := start - hour
	if got := admitted(full, back, p); got != 0 {
		t.Errorf("events after a step back = %d, want 0", got)
	}
	if got, want := full.Slot(back, p, 1)-back, hour+int64(p.Interval()); got != want {
		t.Errorf("wait after a step back = %d, want %d", got, want)
	}

	ahead := start + hour
	if got := admitted(full, ahead, p); got != 30 {
		t.Errorf("events after a step forward = %d, want 30", got)
	}
	again := full.Charge(ahead, p, 30)
	if got := admitted(again, start, p); got != 0 {
		t.Errorf("events after a step forward and back = %d, want 0", got)
	}
	if got, most := again.Slot(start, p, 1)-start, hour+int64(time.Second); got > most {
		t.Errorf("wait after a step forward and back = %d, want at most %d", got, most)
	}
}

// Trap 6: what costs a full burst waits for the debt to be paid, and waits no
// longer than that.
func TestCostOfFullBurst(t *testing.T) {
	p := gcra.FreqLimitParams{Limit: 10, Period: 1000, Burst: 5} // T 100
	for _, c := range []struct {
		used, cost int
		want       int64
	}{
		{0, 5, 0},
		{1, 4, 0},
		{1, 5, 100},
		{5, 1, 100},
		{5, 5, 500},
		{7, 5, 700},
	} {
		if got := busy(p, 0, c.used).Slot(0, p, c.cost); got != c.want {
			t.Errorf("slot of cost %d after %d events = %d, want %d", c.cost, c.used, got, c.want)
		}
	}
}

// Trap 8: one state charged by turns with two sets of params holds the sum of
// both debts. Each charge costs its own interval.
func TestTwoParamsOneState(t *testing.T) {
	slow := gcra.FreqLimitParams{Limit: 1, Period: time.Second}
	fast := gcra.FreqLimitParams{Limit: 10, Period: time.Second, Burst: 10}
	var s gcra.State
	for range 3 {
		s = s.Charge(s.Slot(0, slow, 1), slow, 1)
		s = s.Charge(s.Slot(0, fast, 1), fast, 1)
	}
	if want := 3*int64(slow.Interval()) + 3*int64(fast.Interval()); s.TAT != want {
		t.Errorf("TAT = %d, want %d", s.TAT, want)
	}
}
