package backendtest

import (
	"math"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// Trap 12: a hold only extends.
func testHoldExtendsOnly(p *probe) {
	l := limit("k", every(time.Minute, 3))
	from, to := p.closes("k", 2*time.Hour)
	p.opens(l, from, to)
	for _, shorter := range []time.Duration{time.Hour, time.Minute, 1, 0, -1, -5 * time.Hour, math.MinInt64} {
		p.closes("k", shorter)
		p.opens(l, from, to)
	}
	from, to = p.closes("k", 3*time.Hour)
	p.opens(l, from, to)
}

// Trap 12: a hold closes its key and no other, and only what its limits
// share with it. What other keys do does not open it.
func testHoldIsPerKey(p *probe) {
	k, other := limit("k", every(time.Minute, 3)), limit("other", every(time.Minute, 3))
	p.takes(k, other)
	from, to := p.closes("k", 2*time.Hour)
	p.takes(other)
	if d := p.refused(other, k); d.Binding != 1 {
		p.Errorf("Binding of a held key = %d, want 1", d.Binding)
	}
	p.closes("other", time.Minute)
	p.opens(k, from, to)
	ownFrom, ownTo := p.closes("other", time.Hour)
	p.opens(other, ownFrom, ownTo)
	p.opens(k, from, to)
	p.takes(limit("", every(time.Minute, 1)))
	// The refused requests charged the other key nothing: one of three is left.
	slot := p.books(other)
	if slot.Before(ownFrom) || slot.After(ownTo) {
		p.Errorf("slot of the other key = %v, want from %v to %v", slot, ownFrom, ownTo)
	}
}

// A key never charged can be held. When it opens it has its full burst.
func testHoldUnknownKey(p *probe) {
	from, to := p.closes("k", time.Hour)
	l := limit("k", every(time.Minute, 3))
	p.opens(l, from, to)
	d := p.reserve(2*time.Hour, l)
	if !d.Granted || d.Binding != 0 || d.Slot.Before(from) || d.Slot.After(to) {
		p.Fatalf("Reserve() of a held key = %+v, want it granted from %v to %v", d, from, to)
	}
	for i := range 5 {
		want := d.Slot.Add(time.Duration(max(0, i-1)) * time.Minute)
		p.at("slot after the hold", p.books(l), want)
	}
	// A d of zero or less closes nothing.
	for _, d := range []time.Duration{0, -1, math.MinInt64} {
		p.closes("not closed", d)
		p.takes(limit("not closed", every(time.Hour, 9)))
	}
}

// Slots already granted stay, and debt and hold go side by side: the later
// of the two counts.
func testHoldUnderDebt(p *probe) {
	l := limit("k", every(time.Hour, 1))
	first := p.takes(l)
	p.at("booked slot", p.books(l), first.Add(time.Hour))
	p.closes("k", time.Minute)
	p.at("slot of a key in debt for longer than it is held", p.refused(l).Slot, first.Add(2*time.Hour))
	from, to := p.closes("k", 5*time.Hour)
	p.opens(l, from, to)
	slot := p.books(l)
	if slot.Before(from) || slot.After(to) {
		p.Errorf("slot of a held key = %v, want from %v to %v", slot, from, to)
	}
	p.at("the slot after it", p.books(l), slot.Add(time.Hour))
}

// heldBy asks for a slot at once under some limits, unless a key is held.
func heldBy(key string, limits ...backend.Limit) backend.Request {
	return backend.Request{Limits: limits, HeldBy: []string{key}}
}

// A request waits for the holds of its HeldBy too. None of these keys is charged, and
// their debt does not count.
func testHeldBy(p *probe) {
	l := limit("k", every(time.Hour, 3))
	p.takes(limit("in debt", every(time.Hour, 1)))
	from, to := p.closes("held", 2*time.Hour)
	p.closes("shorter", time.Hour)
	both := heldBy("shorter", l)
	both.HeldBy = append(both.HeldBy, "held", "unknown")
	for i, d := range p.batch(heldBy("held", l), both, heldBy("unknown", l), heldBy("in debt", l), heldBy("k", l), heldBy("k", l)) {
		switch {
		case i < 2 && (d.Granted || d.Binding != -1 || !d.Held || d.Slot.Before(from) || d.Slot.After(to)):
			p.Errorf("decision %d on a request by a held key = %+v, want it refused, -1, until %v to %v", i, d, from, to)
		case (i == 2 || i == 3 || i == 4) && !d.Granted:
			p.Errorf("decision %d on a request by a key that is not held = %+v, want it granted", i, d)
		case i == 5 && (d.Granted || d.Binding != 0 || d.Held):
			p.Errorf("decision %d on a request by its limit's key, which is in debt = %+v, want it refused, 0", i, d)
		}
	}
	p.hasLeft(limit("unknown", every(time.Hour, 1)), 1)
	// Who opens last binds.
	p.closes("k", 3*time.Hour)
	if d := p.batch(heldBy("held", l))[0]; d.Granted || d.Binding != 0 || !d.Held {
		p.Errorf("decision on a request by a key held for less long than its limit = %+v, want it refused, 0, held", d)
	}
}

// A hold of HeldBy that ends within the horizon puts the slot off, and all of the request's
// limits are charged at that slot.
func testHeldByWithinHorizon(p *probe) {
	l := limit("k", every(time.Hour, 1))
	from, to := p.closes("held", time.Hour)
	r := heldBy("held", l)
	r.Horizon = 2 * time.Hour
	d := p.batch(r)[0]
	if !d.Granted || d.Binding != -1 || d.Slot.Before(from) || d.Slot.After(to) {
		p.Fatalf("decision on a request by a held key = %+v, want it granted from %v to %v", d, from, to)
	}
	p.at("the slot after it", p.books(l), d.Slot.Add(time.Hour))
}

// A hold beyond Unlimited counts as Unlimited, and does not overflow.
func testHoldFarAhead(p *probe) {
	l := limit("k", every(time.Hour, 1))
	p.closes("k", math.MaxInt64)
	d := p.refused(l)
	if ahead := time.Until(d.Slot); (ahead - backend.Unlimited).Abs() > time.Minute {
		p.Errorf("a key held for ever opens in %v, want %v", ahead, backend.Unlimited)
	}
	p.takes(limit("other", every(time.Hour, 1)))
}

// Clear forgets debt and holds, of all keys.
func testClear(p *probe) {
	keys := []string{"", "a", "b", "*", "held"}
	for _, key := range keys[:4] {
		p.books(limit(key, every(time.Hour, 1)))
		p.books(limit(key, every(time.Hour, 1)))
	}
	p.closes("held", time.Hour)
	p.closes("a", time.Hour)
	for range 2 {
		if err := p.b.Clear(p.Context()); err != nil {
			p.Fatalf("Clear() = %v, want nil", err)
		}
	}
	for _, key := range keys {
		p.hasLeft(limit(key, every(time.Hour, 1)), 1)
	}
}
