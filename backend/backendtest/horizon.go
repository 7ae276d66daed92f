package backendtest

import (
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

func testHorizonZero(p *probe) {
	l := limit("k", every(time.Hour, 1))
	first := p.takes(l)
	for _, horizon := range []time.Duration{0, -1, -time.Hour} {
		d := p.reserve(horizon, l)
		if d.Granted || d.Binding != 0 {
			p.Errorf("Reserve() with horizon %v = %+v, want it refused by limit 0", horizon, d)
		}
		p.at("refused slot", d.Slot, first.Add(time.Hour))
	}
	p.at("slot after refusals", p.books(l), first.Add(time.Hour))
}

// A horizon reaches its length and no further, and what it refuses is not
// charged.
func testHorizonBounded(p *probe) {
	l := limit("k", every(time.Hour, 1))
	first := p.takes(l)
	for i := range 3 {
		slot := first.Add(time.Duration(i+1) * time.Hour)
		ahead := time.Duration(i+1) * time.Hour
		d := p.reserve(ahead-time.Minute, l)
		if d.Granted {
			p.Fatalf("Reserve() with horizon %v = %+v, want it refused", ahead-time.Minute, d)
		}
		p.at("slot beyond the horizon", d.Slot, slot)
		d = p.reserve(ahead+time.Minute, l)
		if !d.Granted || d.Binding != 0 {
			p.Fatalf("Reserve() with horizon %v = %+v, want it granted, bound by limit 0", ahead+time.Minute, d)
		}
		p.at("slot within the horizon", d.Slot, slot)
	}
}

// With no horizon every request is granted, each an interval after the one
// before once the burst is used up.
func testHorizonUnlimited(p *probe) {
	for _, burst := range []int{1, 3} {
		l := limit(string(rune('a'+burst)), every(time.Hour, burst))
		first := p.books(l)
		for i := 1; i < 50; i++ {
			want := first.Add(time.Duration(max(0, i+1-burst)) * time.Hour)
			p.at("slot of a chain", p.books(l), want)
		}
	}
	l := limit("further than Unlimited", every(time.Hour, 1))
	p.takes(l)
	if d := p.reserve(2*backend.Unlimited, l); !d.Granted {
		p.Errorf("Reserve() with twice Unlimited = %+v, want it granted", d)
	}
}

// A slot is not taken before NotBefore, which the horizon has to reach.
func testNotBefore(p *probe) {
	limits := []backend.Limit{limit("k", every(time.Hour, 1))}
	at := time.Now().Add(10 * time.Minute)
	d := p.batch(backend.Request{Limits: limits, NotBefore: at, Horizon: 5 * time.Minute})[0]
	if d.Granted || d.Binding != -1 {
		p.Errorf("Reserve() beyond the horizon = %+v, want it refused, by no limit", d)
	}
	p.at("refused slot", d.Slot, at)
	d = p.batch(backend.Request{Limits: limits, NotBefore: at, Horizon: 15 * time.Minute})[0]
	if !d.Granted {
		p.Errorf("Reserve() within the horizon = %+v, want it granted", d)
	}
	p.at("slot", d.Slot, at)
	d = p.batch(backend.Request{Limits: limits, NotBefore: at, Horizon: backend.Unlimited})[0]
	p.at("slot after it", d.Slot, at.Add(time.Hour))
	d = p.batch(backend.Request{NotBefore: time.Now().Add(-time.Hour)})[0]
	if !d.Granted {
		p.Errorf("Reserve() with a time that has passed = %+v, want it granted", d)
	}
}
