package backendtest

import (
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// Trap 7: one limit refuses, wherever it stands, and all others keep what they
// had.
func testAllOrNothing(p *probe) {
	for i, name := range []string{"first", "middle", "last"} {
		limits := []backend.Limit{
			limit(name+" a", every(time.Hour, 3)),
			limit(name+" b", every(2*time.Hour, 4)),
			limit(name+" c", every(3*time.Hour, 5)),
		}
		p.takes(limits...) // all three are known
		p.hasLeft(limits[i], limits[i].Params.Burst-1)
		for _, horizon := range []time.Duration{0, time.Minute} {
			for range 10 {
				if d := p.reserve(horizon, limits...); d.Granted || d.Binding != i {
					p.Fatalf("Reserve() with the %s limit used up = %+v, want it refused by limit %d", name, d, i)
				}
			}
		}
		for j, l := range limits {
			if j != i {
				p.hasLeft(l, l.Params.Burst-1)
			}
		}
	}
	// The same where the others are not known yet.
	used := limit("used", every(time.Hour, 1))
	unknown := limit("unknown", every(time.Hour, 2))
	p.takes(used)
	p.refused(unknown, used)
	p.hasLeft(unknown, 2)
}

// A granted request charges all limits at the one slot, the slot of the limit which
// opens last.
func testAllAtOneSlot(p *probe) {
	a := limit("a", every(time.Hour, 1))
	b := limit("b", every(3*time.Hour, 1))
	first := p.takes(a, b)
	p.at("slot of both", p.books(a, b), first.Add(3*time.Hour))
	p.at("next slot of a", p.refused(a).Slot, first.Add(4*time.Hour))
	p.at("next slot of b", p.refused(b).Slot, first.Add(6*time.Hour))
}

// Binding is the limit that opens last, the first of them if several do.
func testBinding(p *probe) {
	a := limit("a", every(time.Hour, 1))
	b := limit("b", every(2*time.Hour, 1))
	c := limit("c", every(2*time.Hour, 1))
	open := limit("open", every(time.Hour, 9))
	first := p.takes(a, b, c)
	for _, x := range []struct {
		limits  []backend.Limit
		binding int
		slot    time.Duration
	}{
		{[]backend.Limit{open, a}, 1, time.Hour},
		{[]backend.Limit{a, open}, 0, time.Hour},
		{[]backend.Limit{a, b}, 1, 2 * time.Hour},
		{[]backend.Limit{b, a}, 0, 2 * time.Hour},
		{[]backend.Limit{b, c}, 0, 2 * time.Hour},
		{[]backend.Limit{open, a, c, b}, 2, 2 * time.Hour},
	} {
		d := p.refused(x.limits...)
		if d.Binding != x.binding {
			p.Errorf("Reserve(%v): Binding = %d, want %d", x.limits, d.Binding, x.binding)
		}
		p.at("refused slot", d.Slot, first.Add(x.slot))
	}
	if d := p.reserve(backend.Unlimited, open, a, b); !d.Granted || d.Binding != 2 {
		p.Errorf("Reserve() with no horizon = %+v, want it granted, bound by limit 2", d)
	}
}

// A request may have many limits.
func testManyLimits(p *probe) {
	var limits []backend.Limit
	for i := range 20 {
		limits = append(limits, limit(string(rune('a'+i)), every(time.Hour, 2+i)))
	}
	p.takes(limits...)
	p.takes(limits...)
	if d := p.refused(limits...); d.Binding != 0 {
		p.Errorf("Binding of 20 limits = %d, want 0", d.Binding)
	}
	for i, l := range limits[1:] {
		p.hasLeft(l, i+1)
	}
}
