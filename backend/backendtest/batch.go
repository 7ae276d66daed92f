package backendtest

import (
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// Requests are decided in their order: each sees the charges of those before.
func testBatchOrder(p *probe) {
	a := limit("a", every(time.Hour, 2))
	b := limit("b", every(2*time.Hour, 1))
	ds := p.batch(
		request(a, b), // granted
		request(b, a), // refused by b, so a is not charged
		request(a),    // granted: the second of a
		request(a),    // refused
		backend.Request{Limits: []backend.Limit{b}, Horizon: 3 * time.Hour},           // granted ahead
		backend.Request{Limits: []backend.Limit{a, b}, Horizon: backend.Unlimited},    // after it
		backend.Request{Limits: []backend.Limit{a}, Horizon: 3 * time.Hour},           // beyond it
		backend.Request{Limits: []backend.Limit{limit("c", every(time.Hour, 1)), {}}}, // invalid
		request(limit("c", every(time.Hour, 1))),                                      // granted
	)
	first := ds[0].Slot
	for i, want := range []struct {
		granted bool
		binding int
		slot    time.Duration
	}{
		{true, -1, 0},
		{false, 0, 2 * time.Hour},
		{true, -1, 0},
		{false, 0, time.Hour},
		{true, 0, 2 * time.Hour},
		{true, 1, 4 * time.Hour},
		{false, 0, 4 * time.Hour},
		{},
		{true, -1, 0},
	} {
		d := ds[i]
		if i == 7 {
			if d.Err == nil {
				p.Errorf("decision %d = %+v, want an error", i, d)
			}
			continue
		}
		if d.Granted != want.granted || d.Binding != want.binding || d.Err != nil {
			p.Errorf("decision %d = %+v, want Granted %v, Binding %d", i, d, want.granted, want.binding)
		}
		p.at("slot in the batch", d.Slot, first.Add(want.slot))
	}
}

func testBatchEmpty(p *probe) {
	if err := p.b.Reserve(p.Context(), nil, nil); err != nil {
		p.Errorf("Reserve() of no requests = %v, want nil", err)
	}
	p.batch()
}

// A request without limits is granted now, alone and between others.
func testNoLimits(p *probe) {
	p.takes()
	l := limit("k", every(time.Hour, 1))
	for _, horizon := range []time.Duration{-1, 0, time.Hour, backend.Unlimited} {
		none := backend.Request{Horizon: horizon}
		for i, d := range p.batch(none, request(l), none) {
			if i != 1 && (!d.Granted || d.Binding != -1 || d.Slot.After(time.Now().Add(Tolerance))) {
				p.Errorf("decision %d on no limits with horizon %v = %+v, want it granted now", i, horizon, d)
			}
		}
	}
}
