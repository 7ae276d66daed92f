package backendtest

import (
	"errors"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
)

// probe asks a backend, and fails the test if an answer is not consistent in
// itself.
type probe struct {
	*testing.T
	b      backend.Backend
	tokens map[time.Time]int64 // by slot, of all decisions
}

// every is the rate of one event per interval.
func every(interval time.Duration, burst int) gcra.FreqLimitParams {
	return gcra.FreqLimitParams{Limit: 1, Period: interval, Burst: burst}
}

// limit is a limit at cost 1.
func limit(key string, p gcra.FreqLimitParams) backend.Limit {
	return backend.Limit{Key: key, Params: p}
}

// costing returns the limit at another cost.
func costing(l backend.Limit, cost int) backend.Limit {
	l.Cost = cost
	return l
}

// request asks for a slot at once.
func request(limits ...backend.Limit) backend.Request {
	return backend.Request{Limits: limits}
}

// stale is what decisions hold before Reserve writes to them.
var stale = backend.Decision{
	Granted: true,
	Slot:    time.Unix(1, 0),
	Binding: 99,
	Err:     errors.New("a decision that was not written"),
}

// batch reserves, and checks what holds for any answer.
func (p *probe) batch(reqs ...backend.Request) []backend.Decision {
	p.Helper()
	decisions := make([]backend.Decision, len(reqs)+1)
	for i := range decisions {
		decisions[i] = stale
	}
	before := time.Now()
	if err := p.b.Reserve(p.Context(), reqs, decisions); err != nil {
		p.Fatalf("Reserve() = %v, want nil", err)
	}
	after := time.Now()
	if decisions[len(reqs)] != stale {
		p.Errorf("Reserve() of %d requests wrote a decision more", len(reqs))
	}
	decisions = decisions[:len(reqs)]
	for i, d := range decisions {
		switch {
		case d.Err == stale.Err:
			p.Fatalf("decision %d was not written", i)
		case d.Err != nil:
			if d.Granted {
				p.Errorf("decision %d = %+v, want no Err or not Granted", i, d)
			}
			continue
		}
		p.tokens[d.Slot] = d.Token
		if d.Slot.Before(before.Add(-Tolerance)) {
			p.Errorf("decision %d: Slot is %v before now, want it never before", i, before.Sub(d.Slot))
		}
		if d.Binding < -1 || d.Binding >= len(reqs[i].Limits) {
			p.Errorf("decision %d: Binding = %d, want -1 or an index of %d limits", i, d.Binding, len(reqs[i].Limits))
		}
		if d.Binding == -1 && !d.Granted && !(d.Held && len(reqs[i].HeldBy) > 0) && reqs[i].NotBefore.IsZero() {
			p.Errorf("decision %d = %+v, want it granted: all limits are open", i, d)
		}
		if ahead := d.Slot.Sub(after); d.Granted && ahead > max(reqs[i].Horizon, 0)+Tolerance {
			p.Errorf("decision %d: granted %v ahead, want at most the horizon, %v", i, ahead, reqs[i].Horizon)
		}
	}
	return decisions
}

// reserve asks for one slot within a horizon.
func (p *probe) reserve(horizon time.Duration, limits ...backend.Limit) backend.Decision {
	p.Helper()
	d := p.batch(backend.Request{Limits: limits, Horizon: horizon})[0]
	if d.Err != nil {
		p.Fatalf("Reserve(%v): Err = %v, want nil", limits, d.Err)
	}
	return d
}

// takes wants a slot to be granted at once, and returns it.
func (p *probe) takes(limits ...backend.Limit) time.Time {
	p.Helper()
	d := p.reserve(0, limits...)
	if !d.Granted || d.Binding != -1 {
		p.Fatalf("Reserve(%.100v) = %+v, want it granted at once", limits, d)
	}
	return d.Slot
}

// refused wants no slot to be granted at once, and returns the decision.
func (p *probe) refused(limits ...backend.Limit) backend.Decision {
	p.Helper()
	d := p.reserve(0, limits...)
	if d.Granted {
		p.Fatalf("Reserve(%.100v) = %+v, want it refused", limits, d)
	}
	return d
}

// books takes the next slot, however far ahead, and returns it.
func (p *probe) books(limits ...backend.Limit) time.Time {
	p.Helper()
	d := p.reserve(backend.Unlimited, limits...)
	if !d.Granted {
		p.Fatalf("Reserve(%.100v) with no horizon = %+v, want it granted", limits, d)
	}
	return d.Slot
}

// left takes all the slots that a limit grants at once, and counts them.
func (p *probe) left(l backend.Limit) int {
	p.Helper()
	n := 0
	for p.reserve(0, l).Granted {
		if n++; n > l.Params.Burst+1 {
			p.Fatalf("slots granted at once by %v: more than its burst", l.Params)
		}
	}
	return n
}

// hasLeft wants exactly n slots to be granted at once. It takes them.
func (p *probe) hasLeft(l backend.Limit, n int) {
	p.Helper()
	if got := p.left(l); got != n {
		p.Errorf("slots left of key %.20q at once = %d, want %d", l.Key, got, n)
	}
}

// at wants an instant to be another, within Tolerance.
func (p *probe) at(what string, got, want time.Time) {
	p.Helper()
	if off := got.Sub(want); off.Abs() > Tolerance {
		p.Errorf("%s = %v, want %v: it is off by %v", what, got, want, off)
	}
}

// closes holds a key, and returns the instants between which it opens.
func (p *probe) closes(key string, d time.Duration) (from, to time.Time) {
	p.Helper()
	from = time.Now().Add(d)
	if err := p.b.Hold(p.Context(), key, d); err != nil {
		p.Fatalf("Hold(%.20q, %v) = %v, want nil", key, d, err)
	}
	return from.Add(-Tolerance), time.Now().Add(d + Tolerance)
}

// opens wants the limit to be closed until an instant in a range.
func (p *probe) opens(l backend.Limit, from, to time.Time) {
	p.Helper()
	if d := p.refused(l); d.Slot.Before(from) || d.Slot.After(to) {
		p.Errorf("key %.20q opens at %v, want from %v to %v", l.Key, d.Slot, from, to)
	}
}
