package schedule

import (
	"cmp"
	"slices"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
)

// oracle does what the scheduler does, by a plain loop over all lanes. It has no
// heap, no gate and no cohort, and looks at everything at every step.
type oracle struct {
	cfg    Config
	tau    int64
	idle   int
	seq    int
	lanes  []*oracleLane
	limits map[string]*oracleLimit

	apart   []*oracleJob // jobs that wait for their date in no lane
	expired []int
	paused  bool
	pauses  map[string]bool
}

type oracleLane struct {
	key      string
	priority int
	jobs     []*oracleJob
	running  int
	lastSlot int64
	head     bool // its first job competes
	ready    int64
	overdue  int64
}

type oracleJob struct {
	id     int
	seq    int
	limits []backend.Limit
	lane   *oracleLane

	notBefore int64
	deadline  int64 // 0: none
	held      bool  // the lane waits for notBefore
	first     bool  // it has not been in its lane
}

type oracleLimit struct {
	params gcra.FreqLimitParams
	state  gcra.State
	closed int64
}

func newOracle(cfg Config) *oracle {
	return &oracle{cfg: cfg, idle: cfg.Workers, limits: map[string]*oracleLimit{}, pauses: map[string]bool{}}
}

func (o *oracle) limit(key string) *oracleLimit {
	if o.limits[key] == nil {
		o.limits[key] = &oracleLimit{}
	}
	return o.limits[key]
}

func (o *oracle) open(l backend.Limit) int64 {
	lim := o.limit(l.Key)
	return max(lim.closed, lim.state.Slot(0, lim.params, l.Units()))
}

// opens is when the last of a head's limits opens.
func (o *oracle) opens(l *oracleLane) int64 {
	at := o.limit(l.key).closed
	for _, lim := range l.jobs[0].limits {
		at = max(at, o.open(lim))
	}
	return at
}

// heads are the lanes whose head is under a limit.
func (o *oracle) heads(key string) []*oracleLane {
	var heads []*oracleLane
	for _, l := range o.lanes {
		if l.head && slices.ContainsFunc(l.jobs[0].limits, func(l backend.Limit) bool { return l.Key == key }) {
			heads = append(heads, l)
		}
	}
	return heads
}

func (o *oracle) adopt(now int64, l backend.Limit) {
	lim := o.limit(l.Key)
	l.Params.Burst = max(l.Params.Burst, 1)
	lim.state = lim.state.Rebase(now, l.Params)
	lim.params = l.Params
}

func (o *oracle) submit(now int64, id int, key string, priority int, limits []backend.Limit, dates Dates) {
	for _, l := range limits {
		o.adopt(now, l)
	}
	o.seq++
	j := &oracleJob{id: id, seq: o.seq, limits: limits, lane: o.lane(key, priority), notBefore: dates.NotBefore, deadline: dates.Deadline}
	if j.notBefore > max(now, o.tau) {
		j.first = true
		o.apart = append(o.apart, j)
		return
	}
	j.lane.jobs = append(j.lane.jobs, j)
	o.compete(now)
}

// arrive lets the jobs into their lanes whose dates have come.
func (o *oracle) arrive(now, tau int64) {
	slices.SortFunc(o.apart, func(a, b *oracleJob) int {
		return cmp.Or(cmp.Compare(a.notBefore, b.notBefore), cmp.Compare(a.seq, b.seq))
	})
	for len(o.apart) > 0 && o.apart[0].notBefore <= tau {
		j := o.apart[0]
		o.apart = o.apart[1:]
		if j.first {
			j.first = false
			o.seq++
			j.seq = o.seq
		}
		j.lane.insert(j)
		o.compete(now)
	}
	for _, l := range o.lanes {
		if len(l.jobs) > 0 && l.jobs[0].notBefore <= tau {
			l.jobs[0].held = false
		}
	}
	o.compete(now)
}

// insert puts a job before those that were submitted after it.
func (l *oracleLane) insert(j *oracleJob) {
	at := 0
	for at < len(l.jobs) && l.jobs[at].seq < j.seq {
		at++
	}
	if at == 0 {
		l.head = false
	}
	l.jobs = slices.Insert(l.jobs, at, j)
}

// expire ends the jobs whose deadlines have passed.
func (o *oracle) expire(now int64) {
	for _, j := range o.waiting() {
		if j.deadline != 0 && j.deadline < now {
			o.remove(now, j.id)
			o.expired = append(o.expired, j.id)
		}
	}
}

func (o *oracle) waiting() []*oracleJob {
	all := slices.Clone(o.apart)
	for _, l := range o.lanes {
		all = append(all, l.jobs...)
	}
	return all
}

func (o *oracle) remove(now int64, id int) {
	is := func(j *oracleJob) bool { return j.id == id }
	o.apart = slices.DeleteFunc(o.apart, is)
	for _, l := range o.lanes {
		if len(l.jobs) > 0 && is(l.jobs[0]) {
			l.head = false
		}
		l.jobs = slices.DeleteFunc(l.jobs, is)
	}
	o.compete(now)
}

func (o *oracle) pauseKey(now int64, key string, pause bool) {
	o.pauses[key] = pause
	for _, l := range o.lanes {
		if l.key == key && pause {
			l.head = false
		}
	}
	o.compete(now)
}

func (o *oracle) setParams(now int64, key string, p gcra.FreqLimitParams) {
	o.adopt(now, backend.Limit{Key: key, Params: p})
}

func (o *oracle) setWorkers(n int) {
	o.idle += n - o.cfg.Workers
	o.cfg.Workers = n
}

func (o *oracle) lane(key string, priority int) *oracleLane {
	i := slices.IndexFunc(o.lanes, func(l *oracleLane) bool {
		return l.key == key && l.priority == priority
	})
	if i < 0 {
		i = len(o.lanes)
		o.lanes = append(o.lanes, &oracleLane{key: key, priority: priority})
	}
	return o.lanes[i]
}

// compete makes heads of the first jobs that may compete and do not yet.
func (o *oracle) compete(now int64) {
	for _, l := range o.lanes {
		if l.head || len(l.jobs) == 0 || l.jobs[0].held || o.busy(l.key) || o.pauses[l.key] {
			continue
		}
		var longest int64
		for _, lim := range l.jobs[0].limits {
			longest = max(longest, int64(lim.Units())*int64(o.limit(lim.Key).params.Interval()))
		}
		l.head = true
		l.ready = max(now, l.lastSlot, l.jobs[0].notBefore, o.opens(l))
		l.overdue = l.ready + 4*longest
	}
}

func (o *oracle) busy(key string) bool {
	return o.cfg.Serial && slices.ContainsFunc(o.lanes, func(l *oracleLane) bool {
		return l.key == key && l.running > 0
	})
}

func (o *oracle) holdKey(now int64, key string, until int64) {
	if until > now {
		lim := o.limit(key)
		lim.closed = max(lim.closed, until)
	}
}

func (o *oracle) finished(now int64, j *oracleJob, again bool) {
	o.idle++
	j.lane.running--
	if again {
		j.lane.insert(j)
	}
	o.compete(now)
}

// later is finished for a job that runs again at an instant.
func (o *oracle) later(now int64, j *oracleJob, at int64, hold bool) {
	j.notBefore, j.held = at, hold
	if !hold {
		o.idle++
		j.lane.running--
		o.apart = append(o.apart, j)
		o.compete(now)
		return
	}
	o.finished(now, j, true)
}

// first reports whether a ranks before b.
func (o *oracle) first(a, b *oracleLane) bool {
	if a.priority != b.priority {
		return a.priority > b.priority
	}
	switch {
	case o.cfg.Order == Fair && a.ready != b.ready:
		return a.ready < b.ready
	case o.cfg.Order == Backlog && len(a.jobs) != len(b.jobs):
		return len(a.jobs) > len(b.jobs)
	}
	return a.jobs[0].seq < b.jobs[0].seq
}

// next takes the next job, or returns nil.
func (o *oracle) next(now int64) (*oracleJob, int64) {
	tau := max(o.tau, now)
	o.arrive(now, tau)
	for o.idle > 0 && !o.paused {
		o.arrive(now, tau)
		var best *oracleLane
		soonest := int64(1) << 62
		for _, l := range o.lanes {
			if !l.head {
				continue
			}
			if at := o.opens(l); at > tau {
				soonest = min(soonest, at)
			} else if !o.claimed(tau, l) && (best == nil || o.first(l, best)) {
				best = l
			}
		}
		for _, j := range o.waiting() {
			if (j.held || !slices.Contains(j.lane.jobs, j)) && j.notBefore > tau {
				soonest = min(soonest, j.notBefore)
			}
		}
		if best != nil {
			if j := best.jobs[0]; j.deadline != 0 && o.slot(now, best) > j.deadline {
				o.remove(now, j.id)
				o.expired = append(o.expired, j.id)
				continue
			}
			o.tau = tau
			return o.take(now, best)
		}
		if soonest > now+o.cfg.Horizon {
			break
		}
		tau = soonest
	}
	o.tau = max(o.tau, now)
	return nil, 0
}

// claimed reports whether someone of higher rank that is overdue would be put
// off by l.
func (o *oracle) claimed(tau int64, l *oracleLane) bool {
	for _, lim := range l.jobs[0].limits {
		holder := slices.MinFunc(o.heads(lim.Key), func(a, b *oracleLane) int {
			if a.overdue != b.overdue {
				return int(a.overdue - b.overdue)
			}
			return a.jobs[0].seq - b.jobs[0].seq
		})
		if holder == l || holder.overdue > tau || !o.first(holder, l) {
			continue
		}
		is := o.limit(lim.Key)
		then := is.state.Charge(tau, is.params, lim.Units())
		i := slices.IndexFunc(holder.jobs[0].limits, func(h backend.Limit) bool { return h.Key == lim.Key })
		if then.Slot(0, is.params, holder.jobs[0].limits[i].Units()) > o.opens(holder) {
			return true
		}
	}
	return false
}

// slot is when a head can start.
func (o *oracle) slot(now int64, l *oracleLane) int64 {
	return max(now, l.lastSlot, l.jobs[0].notBefore, o.opens(l))
}

func (o *oracle) take(now int64, l *oracleLane) (*oracleJob, int64) {
	slot := o.slot(now, l)
	j := l.jobs[0]
	for _, lim := range j.limits {
		is := o.limit(lim.Key)
		is.state = is.state.Charge(slot, is.params, lim.Units())
	}
	l.jobs = l.jobs[1:]
	l.head = false
	l.lastSlot = slot
	l.running++
	o.idle--
	for _, other := range o.lanes {
		if o.busy(other.key) {
			other.head = false
		}
	}
	o.compete(now)
	return j, slot
}

// wake is when to look again: when the next head may be decided on. Heads that
// could have been and were not are kept waiting by a claim.
func (o *oracle) wake(now int64) (int64, bool) {
	soonest, ok := int64(0), false
	look := func(at int64) {
		if at > now && (!ok || at < soonest) {
			soonest, ok = at, true
		}
	}
	for _, j := range o.waiting() {
		if o.idle > 0 && !o.paused {
			look(j.notBefore - o.cfg.Horizon)
		}
		if j.deadline != 0 {
			look(j.deadline + 1)
		}
	}
	for _, l := range o.lanes {
		if l.head && o.idle > 0 && !o.paused {
			look(o.opens(l) - o.cfg.Horizon)
		}
	}
	return soonest, ok
}
