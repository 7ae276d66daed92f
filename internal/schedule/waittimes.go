package schedule

import (
	"math"

	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/pqueue"
)

// The wait time of a limit is the time that heads have waited for the limit and for nothing
// else: they wait at one of its gates while a worker is free. Time that a head waits for a
// worker counts for no limit.
//
// If more heads wait than workers are free, not all of them could start. So each counts in
// part: by the number of free workers divided by the number of heads, of which at
// most Config.Workers are taken into account. With n heads behind a limit that keeps a quarter of
// the workers idle, its wait time grows by n/4 seconds a second. That is the time that the
// heads would save without the limit.
//
// One meter serves all limits: it shows the wait time of a head that has waited since the
// meter stood at zero. A head's wait time is the reading of the meter when it leaves a limit,
// less the reading when it came. The wait time of a limit is the sum of these differences.

// meter shows wait time.
type meter struct {
	runs  bool  // Next found nothing more to take, and workers are free
	since int64 // it shows the wait time up to then
	shows int64 // the reading, in units of waitUnit
	rest  int64 // the part of it that is less than a unit, in nanoseconds
	heads int   // how many wait for limits that are not held
}

// waitUnit is the unit of wait times, in nanoseconds: the sum for a million heads that wait
// for a month, in nanoseconds, overflows 64 bits.
const waitUnit = 1000

// tick is called before anything changes that the meter depends on.
func (s *Scheduler) tick(now int64) {
	if now > s.meter.since || s.holds.Top() != nil {
		s.pass(now)
	}
}

// pass lets time pass up to now, and ends the holds that end by then.
func (s *Scheduler) pass(now int64) {
	for s.holds.Len() > 0 && s.holds.Top().until <= now {
		h := s.holds.Top()
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
	m.rest += passed % waitUnit
	m.shows += passed/waitUnit + m.rest/waitUnit
	m.rest %= waitUnit
}

// countWaiting is called when n more heads wait at a gate; n may be negative.
func (s *Scheduler) countWaiting(g *gate, n int) {
	lim := g.limit
	if lim == nil || g.cost == 0 {
		return
	}
	lim.waiting += int32(n)
	if lim.hold != nil {
		return
	}
	s.meter.heads += n
	lim.waited -= int64(n) * s.meter.shows
}

// waitedFor returns the wait time of a limit, in units of waitUnit. limit.waited is less by
// the present reading of the meter for each head that waits, unless the limit is held.
func (s *Scheduler) waitedFor(lim *limit) int64 {
	waited := lim.waited
	if lim.hold == nil {
		waited += int64(lim.waiting) * s.meter.shows
	}
	return waited
}

// waitTime is the wait time of a limit that is not in use and was forgotten.
type waitTime struct {
	key    string
	params gcra.FreqLimitParams
	waited int64 // in units of waitUnit
	pos    int32
}

func (l *waitTime) Before(o *waitTime) bool { return l.waited < o.waited }
func (l *waitTime) Position() *int32        { return &l.pos }

// waitTimes holds the longest wait times of forgotten limits.
type waitTimes struct {
	byKey map[string]*waitTime
	least pqueue.Queue[*waitTime]
}

// maxWaitTimes is how many wait times it holds at most.
const maxWaitTimes = 1024

// remember keeps the wait time of a limit that is being forgotten.
func (ws *waitTimes) remember(lim *limit) {
	if lim.waited == 0 {
		return
	}
	if ws.byKey == nil {
		ws.byKey = make(map[string]*waitTime)
	}
	l := &waitTime{key: lim.keyState.key, params: lim.params, waited: lim.waited}
	ws.byKey[l.key] = l
	ws.least.Push(l)
	if ws.least.Len() > maxWaitTimes {
		ws.recall(ws.least.Top().key)
	}
}

// recall returns the wait time of a limit that comes into use again, and drops its entry.
func (ws *waitTimes) recall(key string) int64 {
	l, ok := ws.byKey[key]
	if !ok {
		return 0
	}
	ws.least.Remove(l)
	delete(ws.byKey, key)
	return l.waited
}

// all calls report for each entry.
func (ws *waitTimes) all(report func(key string, p gcra.FreqLimitParams, waited int64)) {
	for key, l := range ws.byKey {
		reportWait(report, key, l.params, l.waited)
	}
}

// reportWait calls report if a limit has a wait time.
func reportWait(report func(key string, p gcra.FreqLimitParams, waited int64), key string, p gcra.FreqLimitParams, waited int64) {
	switch {
	case waited > math.MaxInt64/waitUnit:
		report(key, p, math.MaxInt64)
	case waited > 0:
		report(key, p, waited*waitUnit)
	}
}
