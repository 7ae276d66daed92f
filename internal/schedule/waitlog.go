package schedule

import "slices"

// waitLog records for how long the head of a lane has waited for each of its limits. A forecast
// keeps these, to tell which limit kept a job waiting for longest.
type waitLog struct {
	since        int64       // when it became the head
	reading      int64       // of the meter when it came to its cohort
	cohortWaited []int64     // if that has several gates: gateSet.waited at that instant
	limits       []limitWait // before it came there
}

// limitWait is a limit and for how long a head has waited for it, in units of waitUnit.
type limitWait struct {
	limit  *limit
	waited int64
}

// startWaitLogs has the scheduler keep wait logs from now on.
func (s *Scheduler) startWaitLogs() {
	s.logWaits = true
	for _, k := range s.keys.All() {
		for l := range k.lanes() {
			if l.state == waiting {
				s.resetWaitLog(l, s.meter.since)
				l.waitLog().arrive(l.cohort, s.meter.shows)
			}
		}
	}
}

// resetWaitLog is called when a lane has another head.
func (s *Scheduler) resetWaitLog(l *lane, now int64) {
	if !s.logWaits {
		return
	}
	r := l.ensureRare()
	if r.waitLog == nil {
		r.waitLog = &waitLog{}
	}
	r.waitLog.since, r.waitLog.limits = now, r.waitLog.limits[:0]
}

// arrive is called when the head has come to a cohort. shows is the reading of the meter.
func (w *waitLog) arrive(c *cohort, shows int64) {
	if w == nil {
		return
	}
	w.reading = shows
	if c.gates != nil {
		c.gates.addUp(c.at, shows)
		w.cohortWaited = append(w.cohortWaited[:0], c.gates.waited...)
	}
}

// leave is called when the head leaves its cohort.
func (w *waitLog) leave(c *cohort, shows int64) {
	switch {
	case w == nil:
	case c.gates == nil:
		w.add(c.at, shows-w.reading)
	default:
		c.gates.addUp(c.at, shows)
		for i, g := range c.gates.gates {
			w.add(g, c.gates.waited[i]-w.cohortWaited[i])
		}
	}
}

// addUp adds the time that the cohort has waited at g, where it still is, since the last call.
func (x *gateSet) addUp(g *gate, shows int64) {
	if x.waited == nil {
		x.waited = make([]int64, len(x.gates))
	} else {
		x.waited[slices.Index(x.gates, g)] += shows - x.reading
	}
	x.reading = shows
}

// add adds the time that the head has waited at a gate.
func (w *waitLog) add(g *gate, waited int64) {
	if g.limit == nil || g.cost == 0 || waited == 0 {
		return
	}
	for i := range w.limits {
		if of := &w.limits[i]; of.limit == g.limit {
			of.waited += waited
			return
		}
	}
	w.limits = append(w.limits, limitWait{g.limit, waited})
}

// binding returns the limit for which a head that starts at slot has waited for longest. It
// returns nil if the head has waited for longer for something other than limits.
func (w *waitLog) binding(slot int64) *limit {
	var longest limitWait
	other := (slot - w.since) / waitUnit
	for _, of := range w.limits {
		other -= of.waited
		if of.waited > longest.waited {
			longest = of
		}
	}
	if longest.waited < other {
		return nil
	}
	return longest.limit
}
