package schedule

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
)

// watched is a scheduler with an observer that knows nothing of claims, but keeps a ledger of the
// limits, and knows which jobs are the first of their lanes.
//
// The observer requires every job to start that could: a worker is free, and all of its limits are
// open. A limit is idle when all its debt is paid: then its capacity is lost. Let c be
// the time by which a job moves the TAT of a limit. If all limits of a job are idle, and
// it is kept waiting all the same, then another job must profit:
//
//   - It waits, at one of its limits, for less than c of its own, plus c of the other job
//     at those of its limits that are faster for it.
//   - At the end another job takes one of its limits, one which has waited for its limits
//     for longer than the slowest of them takes to serve it four times, and for which
//     that limit is not the fastest. Or else something has happened meanwhile that nobody
//     could know of: a job came, went or started, a key was held, and so on.
//
// A job that could start may also be kept waiting while a limit of it is in debt, for
// another to save up. That takes no longer than the debt lasts, and then the above.
type watched struct {
	schedulerMachine
	t      failer
	work   workload
	now    int64
	paused bool

	ledger  map[string]gcra.State
	params  map[string]gcra.FreqLimitParams
	slowest map[string]int64 // the longest interval that a limit ever has
	fastest map[string]int64 // the shortest
	slack   map[string]int64
	closed  map[string]int64
	head    map[*Job]int64 // since when a job has been the first of its lane

	happened int             // how many events and starts there have been
	claims   map[*claim]int  // how many there had been when a claim was made
	kept     map[*Job]span64 // jobs that could start
	idle     map[*Job]span64 // those of them whose limits are idle
	spans    int             // of these, for the test of this test
}

// span64 is how long something has been so.
type span64 struct {
	begin    int64
	happened int             // before
	claimed  map[string]bool // limits on which there have been claims
}

func newWatched(t failer, w workload) *watched {
	m := &watched{
		schedulerMachine: newSchedulerMachine(w.cfg), t: t, work: w,
		ledger: map[string]gcra.State{}, params: map[string]gcra.FreqLimitParams{}, closed: map[string]int64{},
		slowest: map[string]int64{}, fastest: map[string]int64{}, slack: map[string]int64{}, head: map[*Job]int64{},
	}
	note := func(key string, p gcra.FreqLimitParams) {
		interval := int64(p.Interval())
		m.slowest[key] = max(m.slowest[key], interval)
		m.fastest[key] = min(cmp.Or(m.fastest[key], interval), interval)
	}
	for _, j := range w.work {
		for _, l := range j.limits {
			note(l.Key, l.Params)
		}
	}
	for _, e := range w.events {
		if e.do == setsParams {
			note(e.key, e.params)
		}
	}
	for _, j := range w.work {
		m.slacken(j.limits)
	}
	return m
}

func (m *watched) submit(now int64, id int, w work) {
	m.event(now)
	for _, l := range w.limits {
		m.set(now, l.Key, l.Params)
	}
	m.schedulerMachine.submit(now, id, w)
	m.look(now)
}

func (m *watched) set(now int64, key string, p gcra.FreqLimitParams) {
	m.ledger[key] = m.ledger[key].Rebase(now, p)
	m.params[key] = p
}

func (m *watched) meddle(now int64, e event) {
	m.event(now)
	switch e.do {
	case holdsKey:
		if e.until > now {
			m.closed[e.key] = max(m.closed[e.key], e.until)
		}
	case pauses, resumes:
		m.paused = e.do == pauses
	case setsParams:
		if _, used := m.Params(e.key); used {
			m.set(now, e.key, e.params)
		}
	}
	m.schedulerMachine.meddle(now, e)
	m.look(now)
}

func (m *watched) cancel(now int64, id int) {
	m.event(now)
	m.schedulerMachine.cancel(now, id)
	m.look(now)
}

func (m *watched) finish(now int64, id int, again bool) {
	m.event(now)
	m.schedulerMachine.finish(now, id, again)
	m.look(now)
}

func (m *watched) later(now int64, id int, at int64, hold bool) {
	m.event(now)
	m.schedulerMachine.later(now, id, at, hold)
	m.look(now)
}

func (m *watched) expired(now int64) []int {
	ids := m.schedulerMachine.expired(now)
	if len(ids) > 0 {
		m.event(now)
	}
	m.look(now)
	return ids
}

func (m *watched) next(now int64) (id int, slot int64, ok bool) {
	dates := m.dates.Len() + m.tried.Len()
	id, slot, ok = m.schedulerMachine.next(now)
	if m.dates.Len()+m.tried.Len() < dates {
		m.happened++ // a date has come, and changed who goes first
	}
	m.lookAtClaims()
	if ok {
		m.start(now, m.jobs[id], slot)
		m.look(now)
	}
	return id, slot, ok
}

// wake is called when nothing more can start now.
func (m *watched) wake(now int64) (int64, bool) {
	m.look(now)
	m.see(now)
	return m.schedulerMachine.wake(now)
}

func (m *watched) event(now int64) {
	m.now = now
	m.happened++
}

// look finds out which jobs are the first of their lanes.
func (m *watched) look(now int64) {
	was := maps.Clone(m.head)
	clear(m.head)
	for _, l := range m.lanes() {
		if at, ok := was[l.head]; ok {
			m.head[l.head] = at
		} else {
			m.head[l.head] = max(now, l.lastSlot)
			m.happened++
		}
	}
}

// lookAtClaims notes which claims there are: for this alone he must know of them, to
// tell what happened after they were made from what did before.
func (m *watched) lookAtClaims() {
	was := m.claims
	m.claims = map[*claim]int{}
	for _, n := range m.keys.All() {
		if n.limit == nil || n.limit.claim() == nil {
			continue
		}
		c := n.limit.claim()
		if at, ok := was[c]; ok {
			m.claims[c] = at
		} else {
			m.claims[c] = m.happened
		}
	}
}

// lanes are those whose heads wait for nothing but limits and workers.
func (m *watched) lanes() []*lane {
	var lanes []*lane
	for _, n := range m.keys.All() {
		for l := range n.lanes() {
			if l.state == waiting {
				lanes = append(lanes, l)
			}
		}
	}
	slices.SortFunc(lanes, func(a, b *lane) int { return cmp.Compare(idOf(a.head), idOf(b.head)) })
	return lanes
}

func (m *watched) charge(l backend.Limit) int64 {
	return int64(l.Units()) * int64(m.params[l.Key].Interval())
}

// opens is when a limit opens for a job.
func (m *watched) opens(l backend.Limit) int64 {
	p := m.params[l.Key]
	p.Burst = max(p.Burst, 1)
	return max(m.closed[l.Key], m.ledger[l.Key].Slot(0, p, l.Units()))
}

// see notes which jobs could start.
func (m *watched) see(now int64) {
	kept, idle := m.kept, m.idle
	m.kept, m.idle = map[*Job]span64{}, map[*Job]span64{}
	if m.paused || m.Idle() <= 0 {
		return
	}
	for _, l := range m.lanes() {
		j, paid := l.head, true
		open := max(m.closed[l.keyState.key], l.lastSlot, m.work.work[idOf(j)].dates.NotBefore) <= now
		var debt, most int64
		for _, lim := range m.limitsOf(j) {
			open = open && m.opens(lim) <= now
			paid = paid && m.ledger[lim.Key].TAT <= now
			debt = max(debt, m.slowest[lim.Key]*int64(max(m.params[lim.Key].Burst, 1)))
			most = max(most, m.most(lim))
		}
		if !open {
			continue
		}
		m.kept[j] = m.since(now, j, kept)
		if begin := m.kept[j].begin; now >= begin+debt+most && now > begin {
			m.fatalf("at %d job %d could start since %d, and nobody has taken a limit of it, want less than %d",
				now, idOf(j), begin, debt+most)
		}
		if !paid {
			continue
		}
		m.idle[j] = m.since(now, j, idle)
		if begin := m.idle[j].begin; now >= begin+most && now > begin {
			m.fatalf("at %d job %d could start since %d, and its limits are idle, want less than %d", now, idOf(j), begin, most)
		}
	}
	m.spans += len(m.idle)
}

// since says how long something has been so that is so now, and was so when seen last.
func (m *watched) since(now int64, j *Job, was map[*Job]span64) span64 {
	s, ok := was[j]
	if !ok {
		s = span64{now, m.happened, map[string]bool{}}
	}
	for _, lim := range m.limitsOf(j) {
		if c := m.lookUp(lim.Key).limit.claim(); c != nil {
			s.claimed[lim.Key] = true
			s.happened = min(s.happened, m.claims[c])
		}
	}
	if len(s.claimed) == 0 {
		m.fatalf("job %d could start at %d, and nothing keeps it waiting", idOf(j), now)
	}
	return s
}

func (m *watched) limitsOf(j *Job) []backend.Limit { return m.work.work[idOf(j)].limits }

// most is for how long a limit may be idle while a job under it is kept waiting.
func (m *watched) most(lim backend.Limit) int64 {
	return int64(lim.Units())*m.slowest[lim.Key] + m.slack[lim.Key]
}

// slacken finds the longest that a job takes at the limits that are faster for it than
// one of its limits, whatever the params.
func (m *watched) slacken(limits []backend.Limit) {
	for _, lim := range limits {
		sum, own := int64(0), int64(lim.Units())*m.slowest[lim.Key]
		for _, o := range limits {
			if units := int64(o.Units()); o.Key != lim.Key && units*m.fastest[o.Key] <= own {
				sum += min(own, units*m.slowest[o.Key])
			}
		}
		m.slack[lim.Key] = max(m.slack[lim.Key], sum)
	}
}

// start checks for whose sake the jobs were kept waiting of which one takes a limit.
func (m *watched) start(now int64, j *Job, slot int64) {
	taken := map[string]backend.Limit{}
	for _, lim := range m.limitsOf(j) {
		taken[lim.Key] = lim
	}
	byID := func(a, b *Job) int { return cmp.Compare(idOf(a), idOf(b)) }
	for _, o := range slices.SortedFunc(maps.Keys(m.idle), byID) {
		if o == j || m.share(o, taken) {
			m.profits(max(now, slot), o, j, m.idle[o])
			delete(m.idle, o) // none of the others can start now
		}
	}
	for o := range m.kept {
		if o == j || m.share(o, taken) {
			delete(m.kept, o)
		}
	}
	for _, lim := range taken {
		m.ledger[lim.Key] = m.ledger[lim.Key].Charge(slot, m.params[lim.Key], lim.Units())
	}
	m.happened++
}

func (m *watched) share(j *Job, taken map[string]backend.Limit) bool {
	return slices.ContainsFunc(m.limitsOf(j), func(l backend.Limit) bool { return taken[l.Key].Key == l.Key })
}

// profits checks that it is for the sake of a job that another was kept waiting.
func (m *watched) profits(now int64, kept, j *Job, since span64) {
	if since.begin == now || m.happened > since.happened {
		return
	}
	if j == kept {
		m.fatalf("job %d could start at %d, and starts at %d, and nothing has happened meanwhile", idOf(j), since.begin, now)
	}
	limits := m.limitsOf(j)
	if !slices.ContainsFunc(limits, func(l backend.Limit) bool { return since.claimed[l.Key] }) {
		return
	}
	slowest, worth := int64(0), false
	for i, lim := range limits {
		slowest = max(slowest, m.charge(lim))
		for k, o := range limits {
			worth = worth || i != k && since.claimed[lim.Key] && m.charge(o) <= m.charge(lim)
		}
	}
	if waited := now - m.head[j]; waited < 4*slowest || !worth {
		m.fatalf("job %d could start from %d to %d, but kept its limits idle for job %d, which has waited for %d, at a limit that is not its fastest: %v; want %d at least, true",
			idOf(kept), since.begin, now, idOf(j), waited, worth, 4*slowest)
	}
}

func (m *watched) fatalf(format string, args ...any) {
	m.t.Helper()
	m.t.Fatalf("%s\n%v", fmt.Sprintf(format, args...), m.work)
}
