package backendtest

import (
	"time"

	"github.com/freqlimit/dispatcher/gcra"
)

// fullBursts are the shapes that floats and rounded intervals get wrong, with
// the periods of a slow clock.
var fullBursts = []gcra.FreqLimitParams{
	{Limit: 30, Period: time.Hour, Burst: 30},
	{Limit: 20, Period: time.Hour, Burst: 20},
	{Limit: 7, Period: time.Hour, Burst: 7},
	{Limit: 100, Period: 7 * time.Hour, Burst: 100},
	{Limit: 1, Period: 24 * time.Hour, Burst: 1},
	{Limit: 1, Period: time.Hour},
}

// Trap 3: a key that has rested grants exactly Burst at once, and then the next
// an interval later.
func testFullBurst(p *probe) {
	for _, params := range fullBursts {
		l := limit(params.String(), params)
		first := p.takes(l)
		for i := 2; i <= params.Burst; i++ {
			if d := p.reserve(0, l); !d.Granted {
				p.Fatalf("slot %d of %v = %+v, want it granted", i, params, d)
			}
		}
		d := p.refused(l)
		p.at("slot after the burst of "+params.String(), d.Slot, first.Add(params.Interval()))
	}
}

// Trap 3 within one batch, which is one instant.
func testBurstSharedByBatch(p *probe) {
	for _, params := range fullBursts {
		l, granted := limit(params.String(), params), 0
		for _, d := range p.batch(repeat(request(l), params.Burst+3)...) {
			if d.Granted {
				granted++
			}
		}
		if want := max(params.Burst, 1); granted != want {
			p.Errorf("granted of a batch under %v = %d, want %d", params, granted, want)
		}
	}
}

// A request that is granted at once has a slot of now: not earlier, and not so much later that
// a job would wait.
func testSlotsFollowTheClock(p *probe) {
	l := limit("k", every(time.Minute, 100))
	for range 20 {
		before := time.Now()
		slot := p.takes(l)
		if after := time.Now(); slot.Before(before.Add(-Tolerance)) || slot.After(after.Add(Tolerance)) {
			p.Errorf("slot granted at once = %v, want from %v to %v", slot, before, after)
		}
	}
}

func repeat[T any](v T, n int) []T {
	s := make([]T, n)
	for i := range s {
		s[i] = v
	}
	return s
}
