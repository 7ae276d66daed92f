package gcra_test

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/seeds"
	"pgregory.net/rapid"
)

// charge is one that a ledger was told of.
type charge struct {
	slot int64
	cost int
}

// book is a ledger and all charges that were made and not taken back, in their order.
type book struct {
	gcra.Ledger
	p    gcra.FreqLimitParams
	now  int64
	held []charge
}

// take charges the first slot, or one that is later by some time.
func (b *book) take(cost int, late int64) charge {
	c := charge{b.Slot(b.now, b.p, cost) + late, cost}
	b.Charge(b.now, c.slot, b.p, cost)
	b.held = append(b.held, c)
	return c
}

// giveBack takes back the charge with an index in held. Of several that are the same it is
// the last one.
func (b *book) giveBack(i int) bool {
	c := b.held[i]
	ok := b.Refund(c.slot, b.p, c.cost)
	if ok {
		for b.held[i] != c || slices.Contains(b.held[i+1:], c) {
			i++
		}
		b.held = slices.Delete(b.held, i, i+1)
	}
	return ok
}

// replay is what a key is left with if only these charges are made: the definition of
// GCRA, once over all of them.
func replay(held []charge, p gcra.FreqLimitParams) (tat, last int64) {
	for _, c := range held {
		tat = max(tat, c.slot) + int64(c.cost)*int64(p.Interval())
		last = max(last, c.slot)
	}
	return tat, last
}

// slots are those of some charges, each as often as it costs.
func slotsOf(held []charge) (slots []int64) {
	for _, c := range held {
		slots = append(slots, slices.Repeat([]int64{c.slot}, c.cost)...)
	}
	return slots
}

// agrees returns nil if the ledger is what the charges held make of it. What has passed
// makes no difference.
func (b *book) agrees() error {
	tat, last := replay(b.held, b.p)
	if s := b.State(); max(s.TAT, b.now) != max(tat, b.now) || max(s.Last, b.now) != max(last, b.now) {
		return fmt.Errorf("at %d: %+v, want TAT %d and Last %d, as left by %v", b.now, s, tat, last, b.held)
	}
	return nil
}

const ms = int64(time.Millisecond)

// drawBook draws params of which some dozens of intervals are up to a minute.
func drawBook(t *rapid.T) *book {
	return &book{now: rapid.Int64Range(0, 3).Draw(t, "start") * ms, p: gcra.FreqLimitParams{
		Limit:  1,
		Period: time.Duration(rapid.SampledFrom([]int64{ms / 3, ms, 7 * ms, 100 * ms, 1000 * ms}).Draw(t, "interval")),
		Burst:  rapid.IntRange(1, 6).Draw(t, "burst"),
	}}
}

// step lets some time pass, or charges, or takes back.
func (b *book) step(t *rapid.T, costs int, giveBack func(i int)) {
	interval := int64(b.p.Interval())
	switch what := rapid.IntRange(0, 9).Draw(t, "what"); {
	case what < 2: // a while, or rest
		b.now += rapid.SampledFrom([]int64{1, ms, interval / 2, interval, 5 * interval, 20 * interval}).Draw(t, "pass")
	case what < 7 || len(b.held) == 0:
		late := int64(0)
		if rapid.IntRange(0, 2).Draw(t, "late") == 0 {
			late = rapid.Int64Range(0, 20).Draw(t, "by") * interval / 10
		}
		b.take(rapid.IntRange(1, min(costs, b.p.Burst)).Draw(t, "cost"), late)
	default:
		giveBack(rapid.IntRange(0, len(b.held)-1).Draw(t, "which"))
	}
}

// Trap 11: whatever is charged, and taken back in whatever order, the ledger is at every
// moment as if what was taken back had never been charged: no hole, no credit.
func TestLedgerIsExact(t *testing.T) {
	for name, costs := range map[string]int{"equal costs": 1, "mixed costs": 6} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				b := drawBook(t)
				for range rapid.IntRange(1, 33).Draw(t, "steps") {
					b.step(t, costs, func(i int) {
						if b.held[i].slot < b.now-int64(gcra.Recall) {
							return // it is forgotten
						}
						before, c := b.State(), b.held[i]
						if !b.giveBack(i) {
							// Only if it makes no difference.
							b.held = slices.Delete(b.held, i, i+1)
						} else if b.State().TAT > before.TAT {
							t.Fatalf("%+v after Refund(%d, cost %d) of %+v, want no more debt", b.State(), c.slot, c.cost, before)
						}
					})
					if err := b.agrees(); err != nil {
						t.Fatal(err)
					}
				}
				// All that are still to come, in any order: what is left is what was there
				// without them.
				for _, c := range rapid.Permutation(slices.Clone(b.held)).Draw(t, "order") {
					if c.slot > b.now && !b.giveBack(slices.Index(b.held, c)) {
						t.Fatalf("Refund(%d, cost %d) of a slot to come at %d = false, want true", c.slot, c.cost, b.now)
					}
				}
				if err := b.agrees(); err != nil {
					t.Fatal(err)
				}
				if s := b.State(); s.Last > b.now {
					t.Fatalf("%+v at %d when all slots to come were taken back", s, b.now)
				}
			})
		})
	}
}

// Traps 11 and 13: beyond what a ledger remembers it allows less than it might, never
// more: slots that are held obey the bound, and a refund of what is not held is refused.
func TestLedgerNeverAllowsMore(t *testing.T) {
	for _, random := range seeds.First(t, 1000) {
		b := &book{p: gcra.FreqLimitParams{Limit: 1, Period: time.Duration(1+random.IntN(100)) * time.Millisecond, Burst: 1 + random.IntN(60)}}
		var gone []charge
		for range 300 {
			switch random.IntN(6) {
			case 0:
				b.now += random.Int64N(int64(b.p.Period))
			case 1, 2, 3:
				b.take(1+random.IntN(min(b.p.Burst, 3)), random.Int64N(2)*random.Int64N(int64(b.p.Period)))
			case 4:
				if len(b.held) > 0 {
					i := random.IntN(len(b.held))
					if c := b.held[i]; b.giveBack(i) && !slices.Contains(b.held, c) {
						gone = append(gone, c)
					}
				}
			case 5:
				for _, c := range gone {
					if before := b.State(); !slices.Contains(b.held, c) && b.Refund(c.slot, b.p, c.cost) {
						t.Fatalf("%+v.Refund(%d, cost %d) a second time = true, want false", before, c.slot, c.cost)
					}
				}
			}
			tat, last := replay(b.held, b.p)
			if s := b.State(); s.TAT < tat && tat > b.now || s.Last != last && max(s.Last, last) > b.now {
				t.Fatalf("%+v at %d, want TAT from %d on and Last %d", s, b.now, tat, last)
			}
		}
		if err := checkWindows(slotsOf(b.held), b.p); err != nil {
			t.Fatal(err)
		}
	}
}

// Trap 11: of a limit that is busy, and of a burst after a rest, any number of charges can
// be taken back from either end, and dozens in any order.
func TestLedgerOfEvenCharges(t *testing.T) {
	for _, c := range []struct {
		name  string
		n     int
		order func(a, b int) int
	}{
		{"the latest first", 10_000, func(a, b int) int { return b - a }},
		{"the first first", 10_000, func(a, b int) int { return a - b }},
		{"criss-cross", 60, func(a, b int) int { return cmp.Compare(a*37%60, b*37%60) }},
	} {
		for _, burst := range []int{1, 2, 3, 30} {
			for _, cost := range []int{1, min(burst, 3)} {
				b := &book{now: int64(time.Hour), p: gcra.FreqLimitParams{Limit: 1000, Period: time.Second, Burst: burst}}
				b.take(1, 0)
				start := b.State()
				order := make([]int, c.n)
				for i := range order {
					order[i] = i
					b.take(cost, 0)
				}
				all := b.held[1:]
				slices.SortFunc(order, c.order)
				for _, i := range order {
					if !b.Refund(all[i].slot, b.p, cost) {
						t.Fatalf("%s, burst %d: refund of charge %d of cost %d = false, want true", c.name, burst, i, cost)
					}
				}
				if got := b.State(); got != start {
					t.Errorf("%s, burst %d, cost %d: %+v after all refunds, want %+v as before", c.name, burst, cost, got, start)
				}
			}
		}
	}
}

// Trap 11: a charge is taken back once, and never with another slot, cost or params, or
// when it can't be known.
func TestRefundRefused(t *testing.T) {
	p := gcra.FreqLimitParams{Limit: 10, Period: 1000, Burst: 3} // T 100
	other := gcra.FreqLimitParams{Limit: 5, Period: 1000, Burst: 3}
	charged := func() *gcra.Ledger {
		var l gcra.Ledger
		l.Charge(50, 50, p, 2)
		return &l
	}
	for name, c := range map[string]struct {
		before func(l *gcra.Ledger)
		slot   int64
		params gcra.FreqLimitParams
		cost   int
	}{
		"a second time":            {func(l *gcra.Ledger) { l.Refund(50, p, 2) }, 50, p, 2},
		"another slot":             {nil, 51, p, 2},
		"no slot":                  {nil, 0, p, 2},
		"another cost":             {nil, 50, p, 1},
		"other params":             {nil, 50, other, 2},
		"a part of one":            {func(l *gcra.Ledger) { l.Charge(50, 50, p, 1); l.Refund(50, p, 1) }, 50, p, 1},
		"params changed":           {func(l *gcra.Ledger) { l.Rebase(50, other) }, 50, p, 2},
		"params changed, to these": {func(l *gcra.Ledger) { l.Rebase(50, other) }, 50, other, 2},
		"params there and back":    {func(l *gcra.Ledger) { l.Rebase(50, other); l.Rebase(50, p) }, 50, p, 2},
		"others charged":           {func(l *gcra.Ledger) { l.Charge(50, 50, other, 1) }, 50, p, 2},
		"others charged, and back": {func(l *gcra.Ledger) { l.Charge(50, 50, other, 1); l.Charge(50, 200, p, 1) }, 50, p, 2},
		"made elsewhere":           {func(l *gcra.Ledger) { *l = gcra.NewLedger(l.State()) }, 50, p, 2},
		"never charged":            {func(l *gcra.Ledger) { *l = gcra.Ledger{} }, 0, p, 1},
		"forgotten":                {func(l *gcra.Ledger) { *l = *outlived(p) }, 50, p, 2},
	} {
		l := charged()
		if c.before != nil {
			c.before(l)
		}
		before := l.State()
		if ok := l.Refund(c.slot, c.params, c.cost); ok || l.State() != before {
			t.Errorf("%s: Refund(%d, %v, %d) = %v, and %+v became %+v, want false and no change", name, c.slot, c.params, c.cost, ok, before, l.State())
		}
	}
	if !charged().Refund(50, p, 2) {
		t.Error("Refund of the charge = false, want true")
	}
}

// outlived is a ledger whose first charge, at 50, is long gone when others are made, though
// the key has never rested.
func outlived(p gcra.FreqLimitParams) *gcra.Ledger {
	var l gcra.Ledger
	l.Charge(50, 50, p, 2)
	for now, i := int64(50), int64(0); now <= 500+int64(gcra.Recall); now, i = l.State().TAT-10, i+1 {
		l.Charge(now, now+i%7, p, 1)
	}
	return &l
}

// Trap 11: a burst gives back each of its charges, and no more.
func TestRefundOfABurst(t *testing.T) {
	p := gcra.FreqLimitParams{Limit: 10, Period: time.Second, Burst: 5}
	const now = int64(time.Hour)
	var l gcra.Ledger
	for range 5 {
		l.Charge(now, now, p, 1)
	}
	for left := 1; left <= 5; left++ {
		if !l.Refund(now, p, 1) {
			t.Fatalf("refund %d of 5 = false, want true", left)
		}
		if got := admitted(l.State(), now, p); got != left {
			t.Errorf("events at once after %d refunds = %d, want %d", left, got, left)
		}
	}
	if l.Refund(now, p, 1) {
		t.Error("refund 6 of 5 = true, want false")
	}
}

// A record holds no more than so many units, and so many charges. What it can't hold is
// charged, and can't be taken back.
func TestLedgerOfHugeCosts(t *testing.T) {
	if math.MaxInt == math.MaxInt32 {
		t.Skip("no cost is too high")
	}
	p := gcra.FreqLimitParams{Limit: 1, Period: 1, Burst: math.MaxInt32 * 4 & math.MaxInt}
	for _, cost := range []int{math.MaxInt32, p.Burst / 2} {
		var l gcra.Ledger
		l.Charge(0, 0, p, 1)
		l.Charge(0, 0, p, cost)
		if got, want := l.Refund(0, p, cost), cost <= math.MaxInt32; got != want {
			t.Errorf("Refund of cost %d = %v, want %v", cost, got, want)
		}
		l.Charge(0, 0, p, 1)
		if !l.Refund(0, p, 1) {
			t.Errorf("Refund of a charge after one of cost %d = false, want true", cost)
		}
		if tat := l.State().TAT; tat != 1 && tat != int64(cost)+1 {
			t.Errorf("TAT after cost 1 and %d = %d, want 1, or both", cost, tat)
		}
	}
}

// Trap 9: debt that is measured again goes by the slots that are still held, not by those
// that were taken back.
func TestRebaseAfterRefund(t *testing.T) {
	p := gcra.FreqLimitParams{Limit: 1, Period: 10}
	slow := gcra.FreqLimitParams{Limit: 1, Period: 100}
	for _, held := range []int{1, 2, 3} {
		var l gcra.Ledger
		for range 4 {
			l.Charge(5, l.Slot(5, p, 1), p, 1) // at 5, 15, 25 and 35
		}
		for i := held; i < 4; i++ {
			l.Refund(int64(5+10*i), p, 1)
		}
		l.Rebase(5, slow)
		if got, want := l.Slot(5, slow, 1), int64(5+10*(held-1)+100); got != want {
			t.Errorf("next slot, with %d held, at a tenth of the pace = %d, want %d: an interval after the last one held", held, got, want)
		}
	}
}

// Trap 9: slots to come that can't be taken back any more are still the latest, whatever is
// taken back after them: debt that is measured again goes by them.
func TestLedgerKnowsTheLatestSlotHeld(t *testing.T) {
	p := gcra.FreqLimitParams{Limit: 1, Period: 10, Burst: 1000}
	for name, charge := range map[string]func(l *gcra.Ledger) (slot int64){
		"forgotten, since there are too many": func(l *gcra.Ledger) int64 {
			l.Charge(0, 0, p, 100) // it never rests
			l.Charge(0, 900, p, 1)
			for i := range int64(29) {
				l.Charge(0, 1+i*i, p, 1)
			}
			return 900
		},
		"of other params": func(l *gcra.Ledger) int64 {
			l.Charge(0, 900, p, 100)
			l.Rebase(0, gcra.FreqLimitParams{Limit: 1, Period: 9, Burst: 1000})
			l.Rebase(0, p)
			return 900
		},
		"made elsewhere": func(l *gcra.Ledger) int64 {
			*l = gcra.NewLedger(gcra.State{TAT: 2000, Last: 700, Interval: 10})
			return 700
		},
	} {
		var l gcra.Ledger
		want := charge(&l)
		for i := range int64(20) {
			l.Charge(0, 3000+i*i, p, 1)
		}
		for i := range int64(40) {
			l.Refund(3000+i*i, p, 1)
			l.Refund(1+i*i, p, 1) // those that it remembers
		}
		if got := l.State().Last; got != want {
			t.Errorf("%s: the latest slot = %d, want %d, which is held", name, got, want)
		}
	}
}
