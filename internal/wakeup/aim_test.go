package wakeup

import (
	"math/rand/v2"
	"testing"
	"time"
)

const (
	us = time.Microsecond
	ms = time.Millisecond
)

func TestBudgetFillsWithTime(t *testing.T) {
	b := budget{left: budgetSize}
	for _, step := range []struct {
		spend, now, want time.Duration
	}{
		{0, 0, budgetSize},
		{0, time.Hour, budgetSize}, // never more
		{ms, time.Hour, budgetSize - ms},
		{0, time.Hour + 10*ms, budgetSize - ms + 10*ms/budgetShare},
		{0, time.Hour + 20*ms, budgetSize - ms + 20*ms/budgetShare},
		{budgetSize, time.Hour + 20*ms, -ms + 20*ms/budgetShare},
		{0, time.Hour + 30*ms, -ms + 30*ms/budgetShare},
		{0, 2 * time.Hour, budgetSize},
	} {
		b.spend(step.spend)
		full := b.full(step.now)
		if b.left != step.want || full != float64(step.want)/float64(budgetSize) {
			t.Errorf("at %v there are %v left, which is %.2f, want %v", step.now, b.left, full, step.want)
		}
	}
}

// To ask often is not to lose what has been earned since.
func TestBudgetCountsRemainders(t *testing.T) {
	var b budget
	for now := time.Duration(0); now <= ms; now += 7 {
		b.full(now)
	}
	b.full(ms)
	if want := ms / budgetShare; b.left != want {
		t.Errorf("%v are left, want %v", b.left, want)
	}
}

func TestMarginFollowsTheBudget(t *testing.T) {
	for _, c := range []struct {
		left, want time.Duration
	}{
		{budgetSize, 200 * us},
		{budgetSize / 2, 120 * us},
		{budgetSize / 4, 80 * us},
		{1, 40 * us},
		{0, 0},
		{-ms, 0},
	} {
		m := aim{fast: quantile{value: 40 * us}, slow: quantile{value: 200 * us}, budget: budget{left: c.left}}
		if got := m.margin(0); got.Round(us) != c.want {
			t.Errorf("with %v left the margin is %v, want %v", c.left, got, c.want)
		}
	}
}

func TestMarginIsBounded(t *testing.T) {
	m := newAim()
	for range 1000 {
		m.observe(time.Second)
	}
	if got := m.margin(0); got != mostMargin {
		t.Errorf("after very slow wake-ups the margin is %v, want %v", got, mostMargin)
	}
	for range 1000 {
		m.observe(0)
	}
	if got := m.margin(0); got < 0 || got > 5*us {
		t.Errorf("after very fast wake-ups the margin is %v, want next to none", got)
	}
}

func TestQuantileIsFollowedUpAndDown(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	m := newAim()
	for _, base := range []time.Duration{50 * us, 150 * us, 20 * us, 150 * us} {
		for range 400 { // uniform: base to base + 100 us
			m.observe(base + time.Duration(r.Int64N(int64(100*us))))
		}
		if got, want := m.fast.value, base+10*us; (got - want).Abs() > 25*us {
			t.Errorf("values from %v: the fast ones are put at %v, want about %v", base, got, want)
		}
		if got, want := m.slow.value, base+90*us; (got - want).Abs() > 30*us {
			t.Errorf("values from %v: the slow ones are put at %v, want about %v", base, got, want)
		}
	}
}

// However often instants come, and whatever waking up takes, no more than the
// share is spent.
func TestNoMoreThanTheShareIsSpent(t *testing.T) {
	for _, gap := range []time.Duration{30 * us, 100 * us, 333 * us, ms, 3 * ms, 33 * ms} {
		const total = 5 * time.Second
		r := rand.New(rand.NewPCG(3, 4))
		m := newAim()
		late, waits := 0, 0
		now := time.Duration(0)
		for now < total {
			at := now + gap // every wait ends at its instant or later
			if margin := m.margin(now); at-now > margin {
				took := 60*us + time.Duration(r.ExpFloat64()*float64(30*us))
				now = at - margin + took
				m.observe(took)
			}
			if now < at {
				m.budget.spend(at - now)
				now = at
			}
			waits++
			if now > at+60*us {
				late++
			}
		}
		if most := now/budgetShare + budgetSize + mostMargin; m.budget.spent > most {
			t.Errorf("an instant each %v: %v of %v are spent, want %v at most", gap, m.budget.spent, now, most)
		}
		// With the time there is, none of the usual ones needs to be late.
		if gap >= ms && late > waits/10 {
			t.Errorf("an instant each %v: %d of %d wake-ups are late", gap, late, waits)
		}
		// It adapts: where instants are rare, it spends far less.
		if gap >= 33*ms && m.budget.spent > now/100 {
			t.Errorf("an instant each %v: %v of %v are spent, want less than a hundredth", gap, m.budget.spent, now)
		}
	}
}
