package gcra_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/freqlimit/dispatcher/gcra"
)

// Trap 9, raised: a key used at 1 a day waits for one interval of the new rate,
// not for the day.
func TestRaisedFromOncePerDay(t *testing.T) {
	slow := gcra.FreqLimitParams{Limit: 1, Period: day}
	fast := gcra.FreqLimitParams{Limit: 30, Period: time.Second, Burst: 30}
	even := gcra.FreqLimitParams{Limit: 30, Period: time.Second, Burst: 1}
	const start = int64(time.Hour)
	s := gcra.State{}.Charge(start, slow, 1)

	for _, now := range []int64{start, start + 1, start + int64(time.Minute)} {
		for _, p := range []gcra.FreqLimitParams{fast, even} {
			wait := s.Rebase(now, p).Slot(now, p, 1) - now
			if wait < 0 || wait > int64(p.Interval()) {
				t.Errorf("wait at %v after it was raised to %v = %d, want at most one interval, %d",
					time.Duration(now-start), p, wait, p.Interval())
			}
		}
	}
	if got := s.Slot(start, even, 1); got != start+int64(day) {
		t.Errorf("slot without Rebase = %d, want the TAT as it is, %d", got, start+int64(day))
	}
}

// Trap 9, lowered: 30/s with its burst of 30 used up, lowered to 1/s with a
// burst of 30, has no burst to give.
func TestLoweredGivesNoBurst(t *testing.T) {
	fast := gcra.FreqLimitParams{Limit: 30, Period: time.Second, Burst: 30}
	slow := gcra.FreqLimitParams{Limit: 1, Period: time.Second, Burst: 30}
	const now = int64(time.Hour)
	full := busy(fast, now, 30)

	s := full.Rebase(now, slow)
	if got := admitted(s, now, slow); got != 0 {
		t.Errorf("events at once after it was lowered = %d, want 0", got)
	}
	for i := range int64(5) {
		want := now + (i+1)*int64(time.Second)
		slot := s.Slot(now, slow, 1)
		if slot != want {
			t.Errorf("slot %d after it was lowered = now + %d, want now + %d", i, slot-now, want-now)
		}
		s = s.Charge(slot, slow, 1)
	}
	if got := admitted(full, now, slow); got == 0 {
		t.Error("events at once without Rebase = 0, want the burst that Rebase takes away")
	}
}

func TestRebase(t *testing.T) {
	const none = 0
	per := func(interval time.Duration, burst int) gcra.FreqLimitParams {
		return gcra.FreqLimitParams{Limit: 1, Period: interval, Burst: burst}
	}
	for _, c := range []struct {
		name   string
		state  gcra.State
		now    int64
		params gcra.FreqLimitParams
		want   gcra.State
	}{
		{"never charged", gcra.State{}, 50, per(10, 1), gcra.State{}},
		{"the same params", gcra.State{TAT: 110, Last: 100, Interval: 10}, 50, per(10, 1), gcra.State{TAT: 110, Last: 100, Interval: 10}},
		{"Burst alone lowered", gcra.State{TAT: 900, Last: 100, Interval: 10}, 50, per(10, 3), gcra.State{TAT: 900, Last: 100, Interval: 10}},
		{"no debt", gcra.State{TAT: 40, Last: 30, Interval: 10}, 50, per(20, 1), gcra.State{TAT: 40, Last: 30, Interval: 20}},
		{"debt until now", gcra.State{TAT: 50, Last: 30, Interval: 10}, 50, per(20, 1), gcra.State{TAT: 50, Last: 30, Interval: 20}},
		{"three events, twice as slow", gcra.State{TAT: 80, Last: 30, Interval: 10}, 50, per(20, 9), gcra.State{TAT: 110, Last: 30, Interval: 20}},
		{"three events, twice as fast", gcra.State{TAT: 80, Last: 30, Interval: 10}, 50, per(5, 9), gcra.State{TAT: 65, Last: 30, Interval: 5}},
		{"a third of an event is rounded up", gcra.State{TAT: 51, Last: 30, Interval: 3}, 50, per(5, 9), gcra.State{TAT: 52, Last: 30, Interval: 5}},
		{"more than a full burst", gcra.State{TAT: 150, Last: 30, Interval: 10}, 50, per(20, 4), gcra.State{TAT: 250, Last: 30, Interval: 20}},
		{"slots ahead of now stay", gcra.State{TAT: 110, Last: 100, Interval: 10}, 50, per(20, 4), gcra.State{TAT: 120, Last: 100, Interval: 20}},
		{"slots ahead of now, twenty events", gcra.State{TAT: 300, Last: 100, Interval: 10}, 50, per(2, none), gcra.State{TAT: 140, Last: 100, Interval: 2}},
		{"at most 100 years", gcra.State{TAT: 1000, Last: 100, Interval: 1}, 50, per(day*365, 1), gcra.State{TAT: 100 + int64(gcra.MaxSpan), Last: 100, Interval: int64(day) * 365}},
	} {
		if got := c.state.Rebase(c.now, c.params); got != c.want {
			t.Errorf("%s: %+v.Rebase(%d, %v) = %+v, want %+v", c.name, c.state, c.now, c.params, got, c.want)
		}
	}
}

// Trap 9 for any change of params: after Rebase the debt is as many events as
// before, of the new interval, and rebasing again changes nothing.
func TestRebaseProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		old, p := drawParams(t), drawParams(t)
		if old.Interval() == p.Interval() {
			t.Skip("a burst that changes alone is no matter of Rebase")
		}
		now := rapid.Int64Range(0, 1000).Draw(t, "now")
		s := busy(old, now, rapid.IntRange(1, 30).Draw(t, "events"))
		now += rapid.Int64Range(0, 2000).Draw(t, "rest")

		base := max(now, s.Last)
		debt := max(0, s.TAT-base)
		got := s.Rebase(now, p)
		if got.Interval != int64(p.Interval()) || got.Last != s.Last {
			t.Fatalf("%+v.Rebase(%d, %v) = %+v, want the new Interval and the same Last", s, now, p, got)
		}
		if debt == 0 && got.TAT != s.TAT {
			t.Fatalf("%+v.Rebase(%d, %v) = %+v, want no debt to stay none", s, now, p, got)
		}
		if debt > 0 {
			events := float64(debt) / float64(old.Interval())
			least := events * float64(p.Interval())
			if have := float64(got.TAT - base); have < least-1e-6 || have >= least+1 {
				t.Fatalf("debt after %+v.Rebase(%d, %v) = %v, want %v rounded up", s, now, p, have, least)
			}
		}
		if again := got.Rebase(now, p); again != got {
			t.Fatalf("Rebase twice = %+v, want %+v", again, got)
		}
	})
}

// Trap 9: slots given out under the old params stay clear of those given out
// under the new ones: from the change on, the new bound holds.
func TestRebaseKeepsWindows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		old, p := drawParams(t), drawParams(t)
		s := busy(old, 0, rapid.IntRange(1, 30).Draw(t, "events"))
		now := rapid.Int64Range(0, 1000).Draw(t, "now")
		s = s.Rebase(now, p)
		var slots []int64
		for range 30 {
			slot := s.Slot(now, p, 1)
			s = s.Charge(slot, p, 1)
			slots = append(slots, slot)
			now += rapid.Int64Range(0, 50).Draw(t, "rest")
		}
		if err := checkWindows(slots, p); err != nil {
			t.Fatal(err)
		}
	})
}

// Trap 9: two users of a key whose params differ, as during a rolling upgrade,
// do not forgive each other's debt: together they get no more than the laxer
// params allow.
func TestRebaseForgivesNothing(t *testing.T) {
	lax := gcra.FreqLimitParams{Limit: 30, Period: time.Second, Burst: 30}
	strict := gcra.FreqLimitParams{Limit: 30, Period: time.Second, Burst: 1}
	var s gcra.State
	var slots []int64
	for now := int64(0); now < int64(2*time.Second); now += int64(time.Millisecond) {
		for _, p := range []gcra.FreqLimitParams{lax, strict} {
			for s = s.Rebase(now, p); s.Slot(now, p, 1) == now; s = s.Charge(now, p, 1) {
				slots = append(slots, now)
			}
		}
	}
	if err := checkWindows(slots, lax); err != nil {
		t.Error(err)
	}
	if len(slots) < 80 {
		t.Errorf("slots in 2 s = %d, want the rate and a burst", len(slots))
	}
}
