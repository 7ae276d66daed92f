package backendtest

import (
	"fmt"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// releases gives a slot back, one that no decision has named by a token of zero.
// It skips the test if the backend can't.
func (p *probe) releases(slot time.Time, limits ...backend.Limit) {
	p.Helper()
	r := p.traits().Releaser
	if r == nil {
		p.Skip("the backend is no Releaser")
	}
	if err := r.Release(p.Context(), limits, p.tokens[slot]); err != nil {
		p.Fatalf("Release() = %v, want nil", err)
	}
}

// Trap 11: a slot given back is given out again: no hole.
func testReleaseGivesBack(p *probe) {
	l := limit("k", every(time.Hour, 1))
	first := p.takes(l)
	for range 3 {
		slot := p.books(l)
		p.at("slot", slot, first.Add(time.Hour))
		p.releases(slot, l)
	}
	p.at("slot after it was given back", p.books(l), first.Add(time.Hour))

	// From the tail on, one by one.
	chain := limit("chain", every(time.Hour, 3))
	first = p.takes(costing(chain, 3))
	a, b := p.books(chain), p.books(costing(chain, 2))
	p.releases(b, costing(chain, 2))
	p.at("slot of the tail", p.books(costing(chain, 2)), b)
	p.at("first of the chain", a, first.Add(time.Hour))

	// A slot at once: what the key had is there again.
	burst := limit("burst", every(time.Hour, 3))
	p.releases(p.takes(costing(burst, 2)), costing(burst, 2))
	p.hasLeft(burst, 3)
}

// Trap 11: no credit from nothing. Giving back again changes nothing.
func testReleaseTwice(p *probe) {
	l := limit("k", every(time.Hour, 3))
	first := p.takes(costing(l, 3))
	slot := p.books(l)
	for range 3 {
		p.releases(slot, l)
	}
	p.at("slot", p.books(l), first.Add(time.Hour))
	p.at("slot after it", p.books(l), first.Add(2*time.Hour))
}

// Trap 11: a slot that is given back while later ones are held is not given out again: no
// slot is given out twice. Once those are given back too, it is.
func testReleaseInAnyOrder(p *probe) {
	l := limit("k", every(time.Hour, 1))
	first := p.takes(l)
	a, b := p.books(l), p.books(l)
	p.releases(a, l)
	p.releases(first, l)
	p.at("slot while a later one is held", p.refused(l).Slot, first.Add(3*time.Hour))
	p.releases(b, l)
	p.hasLeft(l, 1)

	// Of a burst and what comes after it, all but one.
	for held := range 5 {
		l := limit(fmt.Sprint("held", held), every(time.Hour, 3))
		first := p.takes(l)
		slots := []time.Time{first}
		for range 4 {
			slots = append(slots, p.books(l))
		}
		for _, i := range []int{3, 0, 4, 2, 1} {
			if i != held {
				p.releases(slots[i], l)
			}
		}
		// Three at once are those up to two hours after the one that is held.
		p.at("slot of a full burst", p.refused(costing(l, 3)).Slot, slots[held].Add(time.Hour))
	}
}

// Trap 11: each of the slots at one instant is given back, and no more than there are.
func testReleaseOfABurst(p *probe) {
	for times := range 4 {
		l := limit(fmt.Sprint("k", times), every(time.Hour, 4))
		at := p.batch(request(costing(l, 2)), request(l), request(l))[0].Slot
		for range times {
			p.releases(at, l)
		}
		p.releases(at, costing(l, 3)) // nothing costs that
		p.hasLeft(l, min(times, 2))
	}
	l := limit("other cost", every(time.Hour, 4))
	two := p.takes(costing(l, 2))
	p.releases(two, l)
	p.hasLeft(l, 2)
}

// Each limit of the request gives back for itself, all that it was charged.
func testReleaseOfSeveralLimits(p *probe) {
	a, b, c := limit("a", every(time.Hour, 1)), limit("b", every(2*time.Hour, 1)), limit("c", every(3*time.Hour, 1))
	first := p.takes(a, b, c)
	slot := p.books(a, b, c)
	p.at("slot of all", slot, first.Add(3*time.Hour))
	p.at("a later slot of b", p.books(b), first.Add(5*time.Hour))
	p.releases(slot, a, b, c)
	p.at("slot of a, given back", p.books(a), first.Add(time.Hour))
	p.at("slot of b, where a later one is held", p.books(b), first.Add(7*time.Hour))
	p.at("slot of c, given back", p.books(c), first.Add(3*time.Hour))
}

// Giving back what was never granted gives nothing.
func testReleaseNothing(p *probe) {
	l := limit("k", every(time.Hour, 2))
	p.releases(time.Now(), l)
	p.releases(time.Time{}, l)
	p.releases(time.Now(), nil...)
	p.hasLeft(l, 2)
	first := p.refused(l).Slot
	p.releases(first, l)
	p.releases(first.Add(time.Hour), l)
	p.releases(time.Time{}, l)
	p.at("slot", p.refused(l).Slot, first)

	// The wrong params, and another key.
	slot := p.books(l)
	p.releases(slot, limit("k", every(time.Minute, 2)))
	p.releases(slot, limit("other", every(time.Hour, 2)))
	p.at("slot", p.refused(l).Slot, slot.Add(time.Hour))
}
