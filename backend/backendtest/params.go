package backendtest

import (
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
)

// Trap 9: a limit that was raised opens after an interval of the new rate, not
// after the debt of the old one. The slot that a refusal names is kept: it does
// not move away as time goes by.
func testParamsRaised(p *probe) {
	slow, fast := limit("k", every(24*time.Hour, 1)), limit("k", every(10*time.Minute, 1))
	first := p.takes(slow)
	refused := p.refused(fast)
	p.at("slot of a raised limit", refused.Slot, first.Add(10*time.Minute))
	time.Sleep(2 * Tolerance)
	p.at("slot of a raised limit, later", p.refused(fast).Slot, refused.Slot)
	d := p.reserve(time.Hour, fast)
	if !d.Granted {
		p.Fatalf("Reserve() of a raised limit = %+v, want it granted", d)
	}
	p.at("granted slot of a raised limit", d.Slot, refused.Slot)
	p.at("slot after it", p.refused(fast).Slot, refused.Slot.Add(10*time.Minute))

	// A larger burst comes with it: one of 30 is used up.
	p.takes(limit("burst", every(24*time.Hour, 1)))
	p.hasLeft(limit("burst", every(time.Minute, 30)), 29)
}

// Trap 9: a limit that was lowered has no burst to give that was used before.
func testParamsLowered(p *probe) {
	fast := limit("k", gcra.FreqLimitParams{Limit: 60, Period: time.Hour, Burst: 60})
	slow := limit("k", gcra.FreqLimitParams{Limit: 1, Period: time.Hour, Burst: 60})
	first := p.takes(fast)
	last := first
	for range 59 {
		last = p.takes(fast)
	}
	// The sixty were not at one instant, and what has passed since the first
	// counts for sixty times as much in the new interval.
	late := 60*time.Since(first) + time.Minute
	d := p.reserve(time.Minute, slow)
	if d.Granted || d.Slot.Before(last.Add(time.Hour-late)) || d.Slot.After(time.Now().Add(time.Hour+Tolerance)) {
		p.Errorf("Reserve() of a lowered limit = %+v, want it refused until %v", d, last.Add(time.Hour))
	}
	slot := p.reserve(2*time.Hour, slow)
	if !slot.Granted {
		p.Fatalf("Reserve() of a lowered limit = %+v, want it granted", slot)
	}
	p.at("granted slot of a lowered limit", slot.Slot, d.Slot)
	p.at("slot after it", p.refused(slow).Slot, slot.Slot.Add(time.Hour))

	// The burst alone is lowered.
	for range 10 {
		p.takes(limit("burst", every(time.Hour, 10)))
	}
	if d := p.refused(limit("burst", every(time.Hour, 1))); time.Until(d.Slot) < 59*time.Minute {
		p.Errorf("a limit whose burst was lowered opens in %v, want at least the interval", time.Until(d.Slot))
	}
}

// Trap 9: debt is paid at the new pace from the request that first has the new params,
// also if it can't be granted.
func testParamsTold(p *probe) {
	slow, fast := limit("k", every(24*time.Hour, 1)), limit("k", every(Tolerance, 1))
	p.takes(slow)
	far := backend.Request{Limits: []backend.Limit{fast}, NotBefore: time.Now().Add(backend.Unlimited / 2)}
	if d := p.batch(far)[0]; d.Granted || d.Err != nil {
		p.Fatalf("Reserve() of a slot in 50 years = %+v, want it refused", d)
	}
	time.Sleep(3 * Tolerance)
	p.takes(slow) // nothing is left to pay
}

// Users of a key whose params differ, as during a rolling upgrade, do not forgive
// each other's debt: together they get no more than the laxer params allow.
func testParamsAlternate(p *probe) {
	lax, strict := limit("k", every(time.Hour, 5)), limit("k", every(time.Hour, 1))
	granted := 0
	for range 10 {
		granted += p.left(lax)
		if p.reserve(0, strict).Granted {
			granted++
		}
	}
	if granted != 5 {
		p.Errorf("slots granted at once to users with other params = %d, want 5", granted)
	}
}

// With an unlimited horizon the TAT is an instant, whatever params it was charged with.
func testParamsUnlimitedHorizon(p *probe) {
	slow, fast := limit("raised", every(24*time.Hour, 1)), limit("raised", every(time.Hour, 1))
	first := p.takes(slow)
	p.at("slot of a raised limit", p.books(fast), first.Add(24*time.Hour))
	p.at("slot after it", p.books(slow), first.Add(25*time.Hour))
	p.at("slot after that", p.books(fast), first.Add(49*time.Hour))

	used := limit("lowered", every(time.Minute, 60))
	for range 60 {
		p.takes(used)
	}
	d := p.reserve(backend.Unlimited, limit("lowered", every(time.Hour, 60)))
	if !d.Granted || d.Binding != -1 {
		p.Errorf("Reserve() of a lowered limit = %+v, want it granted at once: the TAT lies within the burst", d)
	}
}
