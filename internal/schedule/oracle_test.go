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
	latest int64 // when the last job was submitted
	lanes  []*oracleLane
	limits map[string]*oracleLimit

	expired []int

	ruledOut []int
	paused   bool
	pauses   map[string]bool
}

type oracleLane struct {
	key      string
	priority int
	jobs     []*oracleJob // that wait, whether they are there yet or not
	running  int
	lastSlot int64
	ahead    int64 // no job of a lower priority gets a slot before this
	oracleHead
}

// oracleHead is the job of a lane that competes.
type oracleHead struct {
	head    *oracleJob // nil: none
	ready   int64
	overdue int64
}

type oracleJob struct {
	id     int
	seq    int
	limits []backend.Limit
	lane   *oracleLane

	arrives   int64 // its place: when it was submitted, or its first date
	notBefore int64
	deadline  int64 // 0: none
	held      bool  // the lane waits for notBefore
	came      bool  // its date had come when it was submitted
	back      bool  // it runs again, and its key waits for it
}

// before is the order of a lane.
func (j *oracleJob) before(o *oracleJob) bool {
	return cmp.Or(cmp.Compare(j.arrives, o.arrives), cmp.Compare(j.seq, o.seq)) < 0
}

// present is the jobs of a lane that are there at tau.
func (o *oracle) present(l *oracleLane) []*oracleJob {
	return slices.DeleteFunc(slices.Clone(l.jobs), func(j *oracleJob) bool { return !j.held && !j.came && j.notBefore > o.tau })
}

// first is the first job that is there, nil if there is none.
func (o *oracle) first(l *oracleLane) *oracleJob {
	var first *oracleJob
	for _, j := range o.present(l) {
		if first == nil || j.before(first) {
			first = j
		}
	}
	return first
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
	for _, lim := range l.head.limits {
		at = max(at, o.open(lim))
	}
	return at
}

// heads are the lanes whose head is under a limit.
func (o *oracle) heads(key string) []*oracleLane {
	var heads []*oracleLane
	for _, l := range o.lanes {
		if l.head != nil && slices.ContainsFunc(l.head.limits, func(l backend.Limit) bool { return l.Key == key }) {
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

// checkAll ends the jobs that wait and cost more than a Burst.
func (o *oracle) checkAll(now int64) {
	for _, j := range o.waiting() {
		o.check(now, j)
	}
}

// check ends a job that waits and costs more than a Burst.
func (o *oracle) check(now int64, j *oracleJob) {
	for _, l := range j.limits {
		if max(l.Cost, 1) > max(o.limit(l.Key).params.Burst, 1) {
			o.remove(now, j.id)
			o.ruledOut = append(o.ruledOut, j.id)
			return
		}
	}
}

func (o *oracle) submit(now, submitted int64, id int, key string, priority int, limits []backend.Limit, dates Dates) {
	for _, l := range limits {
		o.adopt(now, l)
	}
	o.checkAll(now)
	o.seq++
	o.latest = min(now, max(o.latest, submitted))
	l := o.lane(key, priority)
	l.jobs = append(l.jobs, &oracleJob{
		id: id, seq: o.seq, limits: limits, lane: l, arrives: max(o.latest, dates.NotBefore),
		notBefore: dates.NotBefore, deadline: dates.Deadline, came: dates.NotBefore <= max(now, o.tau),
	})
	o.compete(now)
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
	var all []*oracleJob
	for _, l := range o.lanes {
		all = append(all, l.jobs...)
	}
	return all
}

func (o *oracle) remove(now int64, id int) {
	is := func(j *oracleJob) bool { return j.id == id }
	for _, l := range o.lanes {
		l.jobs = slices.DeleteFunc(l.jobs, is)
	}
	o.compete(now)
}

func (o *oracle) pauseKey(now int64, key string, pause bool) {
	o.pauses[key] = pause
	o.compete(now)
}

func (o *oracle) setParams(now int64, key string, p gcra.FreqLimitParams) {
	o.adopt(now, backend.Limit{Key: key, Params: p})
	o.checkAll(now)
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

// compete finds the job of each lane that competes at tau, if one does.
func (o *oracle) compete(now int64) {
	for _, l := range o.lanes {
		j := o.first(l)
		if j == nil || j.held && j.notBefore > o.tau || o.busy(l.key) || o.behind(l) || o.pauses[l.key] {
			l.oracleHead = oracleHead{}
			continue
		}
		if l.head == j {
			continue
		}
		var longest int64
		for _, lim := range j.limits {
			longest = max(longest, int64(lim.Units())*int64(o.limit(lim.Key).params.Interval()))
		}
		l.head = j
		l.ready = o.slot(now, l)
		l.overdue = l.ready + 4*longest
	}
}

func (o *oracle) busy(key string) bool {
	return o.cfg.Serial && slices.ContainsFunc(o.lanes, func(l *oracleLane) bool {
		return l.key == key && l.running > 0
	})
}

// behind reports whether a lane waits for a job of its key that runs again. Of two lanes
// with such jobs the one of the higher priority goes first, whatever else.
func (o *oracle) behind(l *oracleLane) bool {
	own := slices.ContainsFunc(l.jobs, func(j *oracleJob) bool { return j.back })
	for _, j := range o.waiting() {
		if !j.back || j.lane.key != l.key || j.lane == l {
			continue
		}
		if l.priority < j.lane.priority || o.cfg.Serial && !own {
			return true
		}
	}
	return false
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
		j.back = true
		o.rejoin(now, j)
	} else {
		o.compete(now)
	}
}

// rejoin puts a job back that runs again.
func (o *oracle) rejoin(now int64, j *oracleJob) {
	j.lane.jobs = append(j.lane.jobs, j)
	o.compete(now)
	o.check(now, j)
}

// later is finished for a job that runs again at an instant.
func (o *oracle) later(now int64, j *oracleJob, at int64, hold bool) {
	o.idle++
	j.lane.running--
	j.notBefore, j.held, j.came, j.back = at, hold, false, hold
	if hold {
		o.rejoin(now, j)
		return
	}
	// A job that can't start again does not come before others first.
	j.lane.jobs = append(j.lane.jobs, j)
	o.check(now, j)
	o.expire(now)
	o.compete(now)
}

// ranks reports whether a ranks before b.
func (o *oracle) ranks(a, b *oracleLane) bool {
	if a.priority != b.priority {
		return a.priority > b.priority
	}
	n, m := len(o.present(a)), len(o.present(b))
	switch {
	case o.cfg.Order == Fair && a.ready != b.ready:
		return a.ready < b.ready
	case o.cfg.Order == Backlog && n != m:
		return n > m
	}
	return a.head.before(b.head)
}

// heading is what competes at present.
func (o *oracle) heading() map[*oracleLane]oracleHead {
	all := map[*oracleLane]oracleHead{}
	for _, l := range o.lanes {
		all[l] = l.oracleHead
	}
	return all
}

// next takes the next job, or returns nil. It looks ahead up to the horizon, and
// nothing is left of that if no job is taken there.
func (o *oracle) next(now int64) (*oracleJob, int64) {
	o.tau = max(o.tau, now)
	o.compete(now)
	decided, heading := o.tau, o.heading()
	for o.idle > 0 && !o.paused {
		var best *oracleLane
		soonest := int64(1) << 62
		for _, l := range o.lanes {
			if l.head == nil {
				continue
			}
			if at := o.opens(l); at > o.tau {
				soonest = min(soonest, at)
			} else if !o.claimed(o.tau, l) && (best == nil || o.ranks(l, best)) {
				best = l
			}
		}
		for _, j := range o.waiting() {
			if j.notBefore > o.tau {
				soonest = min(soonest, j.notBefore)
			}
		}
		if best != nil {
			if j := best.head; j.deadline != 0 && o.slot(now, best) > j.deadline {
				o.remove(now, j.id)
				o.expired = append(o.expired, j.id)
				decided, heading = o.tau, o.heading()
				continue
			}
			return o.take(now, best)
		}
		if soonest > now+o.cfg.Horizon {
			break
		}
		o.tau = soonest
		o.compete(now)
	}
	o.tau = decided
	for _, l := range o.lanes {
		l.oracleHead = heading[l]
	}
	return nil, 0
}

// claimed reports whether someone of higher rank that is overdue would be put
// off by l.
func (o *oracle) claimed(tau int64, l *oracleLane) bool {
	for _, lim := range l.head.limits {
		holder := slices.MinFunc(o.heads(lim.Key), func(a, b *oracleLane) int {
			if a.overdue != b.overdue {
				return int(a.overdue - b.overdue)
			}
			if a.head.before(b.head) {
				return -1
			}
			return 1
		})
		if holder == l || holder.overdue > tau || !o.ranks(holder, l) {
			continue
		}
		is := o.limit(lim.Key)
		then := is.state.Charge(tau, is.params, lim.Units())
		i := slices.IndexFunc(holder.head.limits, func(h backend.Limit) bool { return h.Key == lim.Key })
		if then.Slot(0, is.params, holder.head.limits[i].Units()) > o.opens(holder) {
			return true
		}
	}
	return false
}

// slot is when a head can start.
func (o *oracle) slot(now int64, l *oracleLane) int64 {
	at := max(now, l.lastSlot, l.head.notBefore, o.opens(l))
	for _, other := range o.lanes {
		if other.key == l.key && other.priority > l.priority {
			at = max(at, other.ahead)
		}
	}
	return at
}

func (o *oracle) take(now int64, l *oracleLane) (*oracleJob, int64) {
	slot := o.slot(now, l)
	j := l.head
	for _, lim := range j.limits {
		is := o.limit(lim.Key)
		is.state = is.state.Charge(slot, is.params, lim.Units())
	}
	l.jobs = slices.DeleteFunc(l.jobs, func(o *oracleJob) bool { return o == j })
	j.held = false
	l.lastSlot = slot
	if j.back {
		l.ahead = slot
	}
	j.back = false
	l.running++
	o.idle--
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
			look(j.notBefore)
		}
		if j.deadline != 0 {
			look(j.deadline + 1)
		}
	}
	for _, l := range o.lanes {
		if l.head != nil && o.idle > 0 && !o.paused {
			look(o.opens(l) - o.cfg.Horizon)
		}
	}
	return soonest, ok
}
