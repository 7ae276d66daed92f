package backendtest

import (
	"errors"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
)

// Traps 6 and 8: a request that can never be granted says so at once, with the
// error of [backend.Validate], and charges nothing, whatever its horizon.
func testInvalid(p *probe) {
	good := limit("good", every(time.Hour, 2))
	for _, c := range []struct {
		name   string
		limits []backend.Limit
		index  int
		is     error
	}{
		{"cost above Burst", []backend.Limit{good, costing(limit("k", every(time.Hour, 2)), 3)}, 1, gcra.ErrCost},
		{"cost above Burst of the first", []backend.Limit{costing(limit("k", every(time.Hour, 0)), 2), good}, 0, gcra.ErrCost},
		{"negative cost", []backend.Limit{good, costing(limit("k", every(time.Hour, 2)), -1)}, 1, gcra.ErrCost},
		{"no params", []backend.Limit{good, {Key: "k"}}, 1, gcra.ErrParams},
		{"negative burst", []backend.Limit{good, limit("k", every(time.Hour, -1))}, 1, gcra.ErrParams},
		{"interval of nothing", []backend.Limit{good, limit("k", gcra.FreqLimitParams{Limit: 2, Period: 1})}, 1, gcra.ErrParams},
		{"the same limit twice", []backend.Limit{good, good}, 1, backend.ErrSameKey},
		{"one key, two params", []backend.Limit{good, limit("k", every(time.Hour, 1)), limit("good", every(time.Minute, 1))}, 2, backend.ErrSameKey},
	} {
		for _, horizon := range []time.Duration{0, time.Hour, backend.Unlimited} {
			d := p.batch(backend.Request{Limits: c.limits, Horizon: horizon})[0]
			if !errors.Is(d.Err, backend.ErrLimit) || !errors.Is(d.Err, c.is) {
				p.Errorf("%s: Err = %v, want one that is ErrLimit and %v", c.name, d.Err, c.is)
				continue
			}
			wrong, ok := errors.AsType[*backend.LimitError](d.Err)
			if !ok || wrong.Index != c.index || wrong.Key != c.limits[c.index].Key {
				p.Errorf("%s: Err = %v, want a *LimitError for limit %d", c.name, d.Err, c.index)
			}
		}
	}
	p.hasLeft(good, 2)
	p.hasLeft(limit("k", every(time.Hour, 2)), 2)
}

// An invalid request in a batch harms no other.
func testInvalidAmongValid(p *probe) {
	l := limit("k", every(time.Hour, 2))
	twice := request(l, l)
	ds := p.batch(twice, request(l), twice, request(costing(l, 3)), request(l), request(l), twice)
	for i, granted := range []bool{false, true, false, false, true, false, false} {
		if ds[i].Granted != granted {
			p.Errorf("decision %d = %+v, want Granted %v", i, ds[i], granted)
		}
		if valid := i == 1 || i == 4 || i == 5; (ds[i].Err == nil) != valid {
			p.Errorf("decision %d = %+v, want an Err: %v", i, ds[i], !valid)
		}
	}
}

// A cost of n counts as n events, and waits until all n fit.
func testCost(p *probe) {
	l := limit("k", every(time.Hour, 5))
	first := p.takes(costing(l, 3))
	for _, x := range []struct {
		cost int
		slot time.Duration
	}{{3, time.Hour}, {4, 2 * time.Hour}, {5, 3 * time.Hour}} {
		d := p.refused(costing(l, x.cost))
		p.at("slot of a cost that does not fit", d.Slot, first.Add(x.slot))
	}
	p.takes(costing(l, 2))
	p.at("slot after the burst", p.refused(l).Slot, first.Add(time.Hour))
	p.at("slot of cost 5", p.books(costing(l, 5)), first.Add(5*time.Hour))
	p.at("slot of cost 0, which means 1", p.books(costing(l, 0)), first.Add(6*time.Hour))
	p.at("slot of cost 2", p.books(costing(l, 2)), first.Add(8*time.Hour))

	// Limits of one request have costs of their own.
	a, b := limit("a", every(time.Hour, 4)), limit("b", every(time.Hour, 4))
	p.takes(costing(a, 3), costing(b, 1))
	p.hasLeft(a, 1)
	p.hasLeft(b, 3)
}
