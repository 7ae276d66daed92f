package schedule

import (
	"math"

	"github.com/freqlimit/dispatcher/gcra"
)

// A head loses time to a limit while it waits at one of the limit's gates and there is a
// worker for it: then the limit is all that keeps it. A head that waits for a worker loses
// nothing, whatever its limits.
//
// Of many heads that wait not all could start. If fewer workers are free than that, each
// head counts for its share of them, and no more than Config.Workers heads share: so with
// n heads behind a limit that keeps a quarter of the workers idle, the limit costs n/4
// seconds a second. That is what the heads would gain without it.
//
// So one meter serves all: it shows how much time a head that waits for a limit from its
// zero on has lost. What a limit has cost is the sum of the differences between what the
// meter shows when a head leaves the limit and what it has shown when it came.

// meter shows lost time.
type meter struct {
	runs  bool  // Next has found nothing more to take, and workers are free
	since int64 // it shows what was lost up to then
	shows int64 // in units of lostUnit
	rest  int64 // what is less than a unit, nanoseconds
	heads int   // how many wait for limits that are not held
}

// lostUnit is what times are summed up in, nanoseconds: a million heads that wait for a
// month are too much for nanoseconds in 64 bits.
const lostUnit = 1000

// tick is called before anything changes that the meter goes by.
func (s *Scheduler) tick(now int64) {
	if now > s.meter.since || s.holds.first != nil {
		s.pass(now)
	}
}

// pass lets time pass up to now.
func (s *Scheduler) pass(now int64) {
	for s.holds.len() > 0 && s.holds.top().until <= now {
		h := s.holds.top()
		s.endHold(h.until, h)
	}
	s.run(now)
}

// run lets the meter run until an instant.
func (s *Scheduler) run(until int64) {
	m := &s.meter
	from := max(m.since, s.outage)
	m.since = max(m.since, until)
	if !m.runs || until <= from || m.heads == 0 || s.idle <= 0 {
		return
	}
	passed := until - from
	if share := min(m.heads, s.cfg.Workers); s.idle < share {
		passed = int64(float64(passed) * float64(s.idle) / float64(share))
	}
	m.rest += passed % lostUnit
	m.shows += passed/lostUnit + m.rest/lostUnit
	m.rest %= lostUnit
}

// waits is called when n heads more wait at a gate; n may be negative.
func (s *Scheduler) waits(g *gate, n int) {
	lim := g.limit
	if lim == nil || g.cost == 0 {
		return
	}
	lim.waiting += int32(n)
	if lim.hold != nil {
		return
	}
	s.meter.heads += n
	lim.lost -= int64(n) * s.meter.shows
}

// hold is that of a limit: meanwhile its heads lose no time to it.
type hold struct {
	limit *limit
	until int64 // or later, if it was prolonged
	pos   int32
}

func (h *hold) before(o *hold) bool { return h.until < o.until }
func (h *hold) place() *int32       { return &h.pos }

// startHold is called when a limit is held, or for longer than before.
func (s *Scheduler) startHold(lim *limit) {
	if lim.hold != nil {
		return
	}
	lim.hold = &hold{limit: lim, until: lim.closed}
	s.holds.push(lim.hold)
	s.meter.heads -= int(lim.waiting)
	lim.lost += int64(lim.waiting) * s.meter.shows
}

// endHold is called when a limit may be held no longer.
func (s *Scheduler) endHold(now int64, h *hold) {
	s.run(now)
	lim := h.limit
	s.holds.remove(h)
	if lim.closed > now {
		h.until = lim.closed
		s.holds.push(h)
		return
	}
	lim.hold = nil
	s.meter.heads += int(lim.waiting)
	lim.lost -= int64(lim.waiting) * s.meter.shows
}

// lossOf returns what a limit has cost, in units of lostUnit. In limit.lost what its heads
// lose counts only when they leave or it is held: until then it is less by what the meter
// showed when they came.
func (s *Scheduler) lossOf(lim *limit) int64 {
	lost := lim.lost
	if lim.hold == nil {
		lost += int64(lim.waiting) * s.meter.shows
	}
	return lost
}

// loss is what a limit has cost that is not in use and was forgotten.
type loss struct {
	key    string
	params gcra.FreqLimitParams
	lost   int64 // in units of lostUnit
	pos    int32
}

func (l *loss) before(o *loss) bool { return l.lost < o.lost }
func (l *loss) place() *int32       { return &l.pos }

// losses is what the costliest of those limits have cost.
type losses struct {
	byKey map[string]*loss
	least queue[*loss]
}

// mostLosses is how many there are at most.
const mostLosses = 1024

// remember is called when a limit is forgotten.
func (ls *losses) remember(lim *limit) {
	if lim.lost == 0 {
		return
	}
	if ls.byKey == nil {
		ls.byKey = make(map[string]*loss)
	}
	l := &loss{key: lim.name.key, params: lim.params, lost: lim.lost}
	ls.byKey[l.key] = l
	ls.least.push(l)
	if ls.least.len() > mostLosses {
		ls.recall(ls.least.top().key)
	}
}

// recall returns what a limit has cost that comes into use again, and leaves that to it.
func (ls *losses) recall(key string) int64 {
	l, ok := ls.byKey[key]
	if !ok {
		return 0
	}
	ls.least.remove(l)
	delete(ls.byKey, key)
	return l.lost
}

// all calls tell for each.
func (ls *losses) all(tell func(key string, p gcra.FreqLimitParams, lost int64)) {
	for key, l := range ls.byKey {
		tellLoss(tell, key, l.params, l.lost)
	}
}

// tellLoss calls tell if a limit has cost time.
func tellLoss(tell func(key string, p gcra.FreqLimitParams, lost int64), key string, p gcra.FreqLimitParams, lost int64) {
	switch {
	case lost > math.MaxInt64/lostUnit:
		tell(key, p, math.MaxInt64)
	case lost > 0:
		tell(key, p, lost*lostUnit)
	}
}
