package backendtest

import (
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// newsPatience is how long news may take.
const newsPatience = 10 * time.Second

// watches has the backend tell its news. It skips the test if the backend can't.
func (p *probe) watches() (news chan backend.Change, stop func()) {
	p.Helper()
	w := p.traits().Watcher
	if w == nil {
		p.Skip("the backend is no Watcher")
	}
	news = make(chan backend.Change, 100)
	stop = w.Watch(func(c backend.Change) { news <- c })
	p.Cleanup(stop)
	return news, stop
}

// hears wants a change to be told, whatever is told before, and returns it.
func (p *probe) hears(news chan backend.Change, kind backend.ChangeKind, key string) backend.Change {
	p.Helper()
	patience := time.NewTimer(newsPatience)
	defer patience.Stop()
	for {
		select {
		case c := <-news:
			if c.Kind == kind && c.Key == key {
				return c
			}
		case <-patience.C:
			p.Fatalf("after %v a change of kind %d and key %.20q was not told", newsPatience, kind, key)
		}
	}
}

// hearsHold wants a hold to be told, which ends in a range.
func (p *probe) hearsHold(news chan backend.Change, key string, from, to time.Time) {
	p.Helper()
	c := p.hears(news, backend.ChangeHold, key)
	if c.Until.Before(from) || c.Until.After(to) {
		p.Errorf("a hold of key %.20q is told until %v, want from %v to %v", key, c.Until, from, to)
	}
}

// Holds that are in force are told at first, and those of any key later.
func testWatchHolds(p *probe) {
	if p.traits().Watcher == nil {
		p.Skip("the backend is no Watcher")
	}
	from, to := p.closes("before", time.Hour)
	p.closes("over", time.Nanosecond)
	p.takes(limit("in debt", every(time.Hour, 1)))
	first, _ := p.watches()
	patience := time.After(newsPatience)
	for told := false; ; {
		var c backend.Change
		select {
		case c = <-first:
		case <-patience:
			p.Fatalf("after %v ChangeCurrent was not told", newsPatience)
		}
		if c.Kind == backend.ChangeCurrent {
			if !told {
				p.Errorf("ChangeCurrent is told before a hold that is in force")
			}
			break
		}
		told = told || c.Kind == backend.ChangeHold && c.Key == "before"
		if c.Kind != backend.ChangeHold || c.Key == "in debt" || c.Key == "before" && (c.Until.Before(from) || c.Until.After(to)) {
			p.Errorf("%+v is told, want the hold of \"before\" from %v to %v", c, from, to)
		}
	}
	second, _ := p.watches()
	p.hears(second, backend.ChangeCurrent, "")
	for _, key := range []string{"", "k", "\x00{k}*\xff"} {
		from, to := p.closes(key, time.Minute)
		p.hearsHold(first, key, from, to)
		p.hearsHold(second, key, from, to)
	}
	from, to = p.closes("k", time.Hour)
	p.hearsHold(first, "k", from, to)
}

// Limits that get a slot back are told, and that all was forgotten.
func testWatchReleases(p *probe) {
	news, _ := p.watches()
	p.hears(news, backend.ChangeCurrent, "")
	a, b := limit("", every(time.Hour, 1)), limit("b", every(time.Hour, 1))
	p.takes(a, b)
	p.releases(p.books(a, b), a, b)
	p.hears(news, backend.ChangeRelease, "")
	p.hears(news, backend.ChangeRelease, "b")
	if err := p.b.Clear(p.Context()); err != nil {
		p.Fatalf("Clear() = %v, want nil", err)
	}
	p.hears(news, backend.ChangeClear, "")
}

// When the news is stopped for one, others still hear it, and it may begin again.
func testWatchStop(p *probe) {
	stopped, stop := p.watches()
	p.hears(stopped, backend.ChangeCurrent, "")
	goesOn, _ := p.watches()
	p.hears(goesOn, backend.ChangeCurrent, "")
	stop()
	stop()
	for len(stopped) > 0 {
		<-stopped
	}
	from, to := p.closes("k", time.Hour)
	p.hearsHold(goesOn, "k", from, to)
	again, _ := p.watches()
	p.hearsHold(again, "k", from, to)
	p.hears(again, backend.ChangeCurrent, "")
	if n := len(stopped); n > 0 {
		p.Errorf("%d changes are told after stop, want none", n)
	}
}
