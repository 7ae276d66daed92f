package backendtest

import (
	"sync"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
)

const (
	goroutines = 8  // that reserve at the same time
	rounds     = 40 // of each
)

// concurrently runs f in several goroutines, each several times, and returns
// what they returned. A nil decision list means that the call failed.
func (p *probe) concurrently(f func(goroutine, round int) []backend.Request) (reqs []backend.Request, ds []backend.Decision) {
	p.Helper()
	var (
		wg sync.WaitGroup
		mu sync.Mutex // guards reqs and ds
	)
	for g := range goroutines {
		wg.Go(func() {
			for round := range rounds {
				batch := f(g, round)
				decisions := make([]backend.Decision, len(batch))
				if err := p.b.Reserve(p.Context(), batch, decisions); err != nil {
					p.Errorf("Reserve() = %v, want nil", err)
					return
				}
				mu.Lock()
				reqs, ds = append(reqs, batch...), append(ds, decisions...)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return reqs, ds
}

// slotsByKey merges the granted slots of each key, once for each unit of cost.
func slotsByKey(reqs []backend.Request, ds []backend.Decision) map[string][]time.Time {
	slots := map[string][]time.Time{}
	for i, d := range ds {
		if !d.Granted {
			continue
		}
		for _, l := range reqs[i].Limits {
			slots[l.Key] = append(slots[l.Key], repeat(d.Slot, l.Units())...)
		}
	}
	return slots
}

// Traps 4 and 13: the slots that many goroutines take of few keys are an
// unbroken chain: none is given twice, none is lost.
func testConcurrentChain(p *probe) {
	params := every(time.Hour, 1)
	keys := []string{"a", "b", "c"}
	reqs, ds := p.concurrently(func(g, round int) []backend.Request {
		l := []backend.Limit{limit(keys[(g+round)%len(keys)], params)}
		return repeat(backend.Request{Limits: l, Horizon: backend.Unlimited}, 2)
	})
	total := 0
	for key, slots := range slotsByKey(reqs, ds) {
		if err := CheckWindows(slots, params, Tolerance); err != nil {
			p.Errorf("key %q: %v", key, err)
		}
		first, last := slots[0], slots[0]
		for _, s := range slots {
			if s.Before(first) {
				first = s
			}
			if s.After(last) {
				last = s
			}
		}
		p.at("last slot of "+key, last, first.Add(time.Duration(len(slots)-1)*time.Hour))
		total += len(slots)
	}
	if want := goroutines * rounds * 2; total != want {
		p.Errorf("slots = %d, want %d", total, want)
	}
}

// Trap 13 for requests under several limits, of several costs and horizons.
func testConcurrentWindows(p *probe) {
	params := map[string]gcra.FreqLimitParams{
		"shared": {Limit: 30, Period: time.Hour, Burst: 30},
		"a":      {Limit: 1, Period: time.Hour, Burst: 1},
		"b":      {Limit: 7, Period: time.Hour, Burst: 3},
		"c":      {Limit: 20, Period: time.Hour, Burst: 20},
	}
	names := []string{"a", "b", "c"}
	reqs, ds := p.concurrently(func(g, round int) []backend.Request {
		own := names[(g+round)%len(names)]
		req := backend.Request{
			Limits: []backend.Limit{
				limit("shared", params["shared"]),
				costing(limit(own, params[own]), 1+round%max(1, min(3, params[own].Burst))),
			},
			Horizon: backend.Unlimited,
		}
		bounded := backend.Request{Limits: []backend.Limit{limit(own, params[own])}, Horizon: time.Duration(round) * time.Hour}
		return []backend.Request{req, bounded}
	})
	slots := slotsByKey(reqs, ds)
	for key, l := range params {
		if err := CheckWindows(slots[key], l, Tolerance); err != nil {
			p.Errorf("key %q: %v", key, err)
		}
	}
	if got, want := len(slots["shared"]), goroutines*rounds; got != want {
		p.Errorf("slots under the shared limit = %d, want %d", got, want)
	}
}

// Traps 4 and 7: many at once want two limits of which one has less. It decides
// how many are granted, and the other is charged for those only.
func testConcurrentAllOrNothing(p *probe) {
	scarce := limit("scarce", every(time.Hour, 5))
	plenty := limit("plenty", every(time.Hour, 12))
	_, ds := p.concurrently(func(g, round int) []backend.Request {
		if g%2 == 0 {
			return []backend.Request{request(scarce, plenty)}
		}
		return []backend.Request{request(plenty, scarce)}
	})
	granted := 0
	for _, d := range ds {
		if d.Granted {
			granted++
		}
	}
	if granted != 5 {
		p.Errorf("granted at once = %d, want 5", granted)
	}
	p.hasLeft(plenty, 7)
}
