package schedule

import (
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
}

type oracleLimit struct {
	params gcra.FreqLimitParams
	state  gcra.State
	closed int64
}

func newOracle(cfg Config) *oracle {
	return &oracle{cfg: cfg, idle: cfg.Workers, limits: map[string]*oracleLimit{}}
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

func (o *oracle) submit(now int64, id int, key string, priority int, limits []backend.Limit) {
	for _, l := range limits {
		o.adopt(now, l)
	}
	i := slices.IndexFunc(o.lanes, func(l *oracleLane) bool {
		return l.key == key && l.priority == priority
	})
	if i < 0 {
		i = len(o.lanes)
		o.lanes = append(o.lanes, &oracleLane{key: key, priority: priority})
	}
	l := o.lanes[i]
	o.seq++
	l.jobs = append(l.jobs, &oracleJob{id: id, seq: o.seq, limits: limits, lane: l})
	o.compete(now)
}

// compete makes heads of the first jobs that may compete and do not yet.
func (o *oracle) compete(now int64) {
	for _, l := range o.lanes {
		if l.head || len(l.jobs) == 0 || o.busy(l.key) {
			continue
		}
		var longest int64
		for _, lim := range l.jobs[0].limits {
			longest = max(longest, int64(lim.Units())*int64(o.limit(lim.Key).params.Interval()))
		}
		l.head = true
		l.ready = max(now, l.lastSlot, o.opens(l))
		l.overdue = l.ready + 4*longest
	}
}

func (o *oracle) busy(key string) bool {
	return o.cfg.Serial && slices.ContainsFunc(o.lanes, func(l *oracleLane) bool {
		return l.key == key && l.running > 0
	})
}

func (o *oracle) deferKey(now int64, key string, until int64) {
	if until > now {
		lim := o.limit(key)
		lim.closed = max(lim.closed, until)
	}
}

func (o *oracle) finished(now int64, j *oracleJob, again bool) {
	o.idle++
	j.lane.running--
	if again {
		at := 0
		for at < len(j.lane.jobs) && j.lane.jobs[at].seq < j.seq {
			at++
		}
		j.lane.jobs = slices.Insert(j.lane.jobs, at, j)
		j.lane.head = false
	}
	o.compete(now)
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
	for o.idle > 0 {
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
		if best != nil {
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

func (o *oracle) take(now int64, l *oracleLane) (*oracleJob, int64) {
	slot := max(now, l.lastSlot, o.opens(l))
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
	if o.idle == 0 {
		return 0, false
	}
	for _, l := range o.lanes {
		if l.head {
			if at := o.opens(l) - o.cfg.Horizon; at > now && (!ok || at < soonest) {
				soonest, ok = at, true
			}
		}
	}
	return soonest, ok
}
