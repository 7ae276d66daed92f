package backendtest

import (
	"slices"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// traits returns what the backend can do.
func (p *probe) traits() backend.Traits { return backend.TraitsOf(p.b) }

// Traits names every ability that the backend has methods for, and always says the same.
func testTraits(p *probe) {
	t, again := p.b.Traits(), p.b.Traits()
	_, releaser := p.b.(backend.Releaser)
	_, checker := p.b.(backend.Checker)
	_, watcher := p.b.(backend.Watcher)
	_, sharder := p.b.(backend.Sharder)
	_, journal := p.b.(backend.Journal)
	for _, c := range []struct {
		field              string
		method, now, later bool
	}{
		{"Releaser", releaser, t.Releaser != nil, again.Releaser != nil},
		{"Checker", checker, t.Checker != nil, again.Checker != nil},
		{"Watcher", watcher, t.Watcher != nil, again.Watcher != nil},
		{"Sharder", sharder, t.Sharder != nil, again.Sharder != nil},
		{"Journal", journal, t.Journal != nil, again.Journal != nil},
		{"InProcess", false, t.InProcess, again.InProcess},
	} {
		if c.method && !c.now {
			p.Errorf("the backend is a %s, but Traits().%[1]s = nil", c.field)
		}
		if c.now != c.later {
			p.Errorf("Traits().%s changes from one call to the next", c.field)
		}
	}
}

// Check and Reserve agree on which limits the backend can keep.
func testTraitsCheck(p *probe) {
	fine := limit("k", every(time.Hour, 2))
	for _, limits := range [][]backend.Limit{
		nil,
		{fine},
		{costing(fine, 2)},
		{costing(fine, 3)},
		{fine, fine},
		{{Key: "k"}},
		{limit("k", every(time.Nanosecond, 1))},
	} {
		check := backend.Check(p.b, limits)
		decisions := make([]backend.Decision, 1)
		if err := p.b.Reserve(p.Context(), []backend.Request{request(limits...)}, decisions); err != nil {
			p.Fatalf("Reserve(%v) = %v, want nil", limits, err)
		}
		if got := decisions[0].Err; (got == nil) != (check == nil) {
			p.Errorf("Reserve(%v): Err = %v, but Check() = %v: want both or neither", limits, got, check)
		}
	}
}

// A backend in this process reports all holds before Watch returns.
func testTraitsInProcess(p *probe) {
	t := p.traits()
	if !t.InProcess || t.Watcher == nil {
		return // no promise to test
	}
	p.closes("k", time.Hour)
	news, _ := p.watches()
	var kinds []backend.ChangeKind
	for len(news) > 0 {
		kinds = append(kinds, (<-news).Kind)
	}
	if !slices.Contains(kinds, backend.ChangeHold) {
		p.Errorf("kinds of changes that Watch reports before it returns = %v, want a ChangeHold among them", kinds)
	}
}
