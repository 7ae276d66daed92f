package gcra_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/freqlimit/dispatcher/gcra"
)

// Trap 11: refund and charge again gives the same slot: no hole.
func TestRefundThenChargeAgain(t *testing.T) {
	p := gcra.FreqLimitParams{Limit: 10, Period: time.Second, Burst: 3}
	for used := range 10 {
		for cost := 1; cost <= p.Burst; cost++ {
			before := busy(p, 100, used)
			slot := before.Slot(100, p, cost)
			s, ok := before.Charge(slot, p, cost).Refund(slot, p, cost)
			if !ok {
				t.Fatalf("refund of cost %d after %d events = false, want true", cost, used)
			}
			if got := s.Slot(100, p, cost); got != slot {
				t.Errorf("slot of cost %d after %d events and a refund = %d, want %d again", cost, used, got, slot)
			}
		}
	}
}

// Trap 11: a slot is refunded once, and never when a later one, other params or
// no charge at all stand in the way.
func TestRefundRefused(t *testing.T) {
	p := gcra.FreqLimitParams{Limit: 10, Period: 1000, Burst: 1} // T 100
	other := gcra.FreqLimitParams{Limit: 5, Period: 1000}
	charged := busy(p, 50, 1)
	once, ok := charged.Refund(50, p, 1)
	if !ok {
		t.Fatal("first refund = false, want true")
	}
	for _, c := range []struct {
		name   string
		state  gcra.State
		slot   int64
		params gcra.FreqLimitParams
	}{
		{"a second time", once, 50, p},
		{"never charged", gcra.State{}, 0, p},
		{"another slot", charged, 51, p},
		{"a slot before the charge", charged, 0, p},
		{"after a later slot", busy(p, 50, 2), 50, p},
		{"with other params", charged, 50, other},
		{"after a change of params", charged.Rebase(50, other), 50, p},
	} {
		got, ok := c.state.Refund(c.slot, c.params, 1)
		if ok || got != c.state {
			t.Errorf("%s: %+v.Refund(%d) = %+v, %v, want it unchanged, false", c.name, c.state, c.slot, got, ok)
		}
	}
}

// Trap 11: no credit from nothing. A key that had rested gets its full burst
// back and no more, and one event of many at one instant gives back its own
// share only.
func TestRefundGivesNoCredit(t *testing.T) {
	p := gcra.FreqLimitParams{Limit: 10, Period: time.Second, Burst: 5}
	const now = int64(time.Hour)
	s, _ := gcra.State{}.Charge(now, p, 1).Refund(now, p, 1)
	if got := admitted(s, now, p); got != 5 {
		t.Errorf("events at once after a refund = %d, want 5", got)
	}
	s, ok := busy(p, now, 3).Refund(now, p, 1)
	if got := admitted(s, now, p); !ok || got != 3 {
		t.Errorf("events at once after 3 and a refund = %d, want 3", got)
	}
}

// Trap 11: whatever is refunded, at any later moment, for any later event, the
// state allows no more than before the charge.
func TestRefundNeverAllowsMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawParams(t)
		now := rapid.Int64Range(0, 1000).Draw(t, "now")
		before := busy(p, now, rapid.IntRange(0, 20).Draw(t, "events"))
		if rapid.Bool().Draw(t, "other params before") {
			before.Interval = rapid.Int64Range(1, 100).Draw(t, "interval")
		}
		cost := rapid.IntRange(1, max(p.Burst, 1)).Draw(t, "cost")
		slot := before.Slot(now, p, cost) + rapid.Int64Range(0, 300).Draw(t, "late")
		after, ok := before.Charge(slot, p, cost).Refund(slot, p, cost)
		if !ok {
			t.Fatalf("%+v: refund of a slot just charged = false, want true", before)
		}
		if after.TAT < before.TAT || after.TAT > max(before.TAT, slot) {
			t.Fatalf("TAT after charge and refund = %d, want from %d to %d",
				after.TAT, before.TAT, max(before.TAT, slot))
		}
		at := now + rapid.Int64Range(0, 2000).Draw(t, "rest")
		c := rapid.IntRange(1, max(p.Burst, 1)).Draw(t, "cost of the next")
		if got, least := after.Slot(at, p, c), before.Slot(at, p, c); got < least {
			t.Fatalf("slot after charge and refund = %d, want no earlier than %d", got, least)
		}
		if again, ok := after.Refund(slot, p, cost); ok || again != after {
			t.Fatalf("second refund = %+v, %v, want %+v, false", again, ok, after)
		}
	})
}

// Traps 11 and 13: with charges at wild instants and refunds of any slot held,
// the slots that are still held obey the sliding-window bound.
func TestRefundKeepsWindows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawParams(t)
		var (
			s    gcra.State
			held []int64
		)
		for range 50 {
			if len(held) > 0 && rapid.IntRange(0, 2).Draw(t, "refund") == 0 {
				i := len(held) - 1 - rapid.IntRange(0, min(2, len(held)-1)).Draw(t, "which")
				after, ok := s.Refund(held[i], p, 1)
				if ok {
					held = slices.Delete(held, i, i+1)
				}
				s = after
				continue
			}
			slot := s.Slot(rapid.Int64Range(0, 2000).Draw(t, "now"), p, 1)
			s = s.Charge(slot, p, 1)
			held = append(held, slot)
		}
		if err := checkWindows(held, p); err != nil {
			t.Fatal(err)
		}
	})
}

// Traps 11 and 13: with charges of any cost, and refunds of any slots held in any
// order, the latest first among them, those still held obey the bound.
func TestRefundInAnyOrderKeepsWindows(t *testing.T) {
	type charge struct {
		slot int64
		cost int
	}
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(11, seed))
		p := gcra.FreqLimitParams{Limit: 1, Period: 10, Burst: 1 + random.IntN(4)}
		var (
			s    gcra.State
			held []charge
			now  int64
		)
		for range 25 {
			now += int64(random.IntN(12))
			s = s.Rebase(now, p)
			if len(held) > 0 && random.IntN(2) == 0 {
				i := len(held) - 1
				if random.IntN(2) == 0 {
					i = random.IntN(len(held))
				}
				after, ok := s.Refund(held[i].slot, p, held[i].cost)
				if ok {
					held = slices.Delete(held, i, i+1)
				}
				s = after
				continue
			}
			c := charge{cost: 1 + random.IntN(p.Burst)}
			if c.slot = s.Slot(now, p, c.cost); c.slot <= now+25 { // the horizon
				s = s.Charge(c.slot, p, c.cost)
				held = append(held, c)
			}
		}
		var slots []int64
		for _, c := range held {
			slots = append(slots, slices.Repeat([]int64{c.slot}, c.cost)...)
		}
		if err := checkWindows(slots, p); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// Trap 11: slots that lie ahead, refunded from the last to the first, are all
// given back: the key is as it was.
func TestRefundOfAChain(t *testing.T) {
	p := gcra.FreqLimitParams{Limit: 1000, Period: time.Second}
	const now = int64(time.Hour)
	start := busy(p, now, 1)
	s := start
	var slots []int64
	for range 5 {
		slot := s.Slot(now, p, 1)
		s = s.Charge(slot, p, 1)
		slots = append(slots, slot)
	}
	for i, slot := range slices.Backward(slots) {
		var ok bool
		if s, ok = s.Refund(slot, p, 1); !ok {
			t.Fatalf("refund of slot %d of 5 = false, want true", i)
		}
		if got := s.Slot(now, p, 1); got != slot {
			t.Errorf("the next slot after the refund of slot %d = %d, want %d again", i, got, slot)
		}
	}
	if s.TAT != start.TAT {
		t.Errorf("TAT after all refunds = %d, want %d as before", s.TAT, start.TAT)
	}
}
