package schedule

import (
	"cmp"
	"maps"
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
	claims map[string]*oracleClaim

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
	taken    bool  // the head is just being taken
	oracleHead
}

// oracleHead is the job of a lane that competes.
type oracleHead struct {
	head  *oracleJob // nil: none
	ready int64
	since int64
	from  map[string]int64 // limits at which it has waived its place, and until when
}

// oracleClaim is a claim on a limit.
type oracleClaim struct {
	holder *oracleLane
	start  int64
	idles  bool
	slack  int64
	made   int64
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
	return &oracle{cfg: cfg, idle: cfg.Workers, limits: map[string]*oracleLimit{}, claims: map[string]*oracleClaim{}, pauses: map[string]bool{}}
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
		if l.head != nil && !l.taken && slices.ContainsFunc(l.head.limits, func(l backend.Limit) bool { return l.Key == key }) {
			heads = append(heads, l)
		}
	}
	return heads
}

func (o *oracle) adopt(now int64, l backend.Limit) {
	lim := o.limit(l.Key)
	l.Params.Burst = max(l.Params.Burst, 1)
	if lim.params != l.Params {
		delete(o.claims, l.Key)
	}
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

// candidate is the job of a lane that competes at tau if it is its turn, nil if there is none.
func (o *oracle) candidate(l *oracleLane) *oracleJob {
	j := o.first(l)
	if j == nil || j.held && j.notBefore > o.tau || o.busy(l.key) || o.behind(l) || o.pauses[l.key] {
		return nil
	}
	return j
}

// yields reports whether a job waits for one of another lane of its serial key, which is
// under the same limits at the same costs.
func (o *oracle) yields(j *oracleJob) bool {
	return o.cfg.Serial && slices.ContainsFunc(o.lanes, func(l *oracleLane) bool {
		if l.key != j.lane.key || l.priority <= j.lane.priority {
			return false
		}
		other := o.candidate(l)
		return other != nil && maps.Equal(other.costs(), j.costs())
	})
}

// costs is what a job costs, by limit.
func (j *oracleJob) costs() map[string]int {
	costs := map[string]int{}
	for _, l := range j.limits {
		costs[l.Key] = l.Units()
	}
	return costs
}

// compete finds the job of each lane that competes at tau, if one does.
func (o *oracle) compete(now int64) {
	for _, l := range o.lanes {
		j := o.candidate(l)
		if j == nil || o.yields(j) {
			l.oracleHead = oracleHead{}
			o.endClaims(l)
			continue
		}
		if l.head == j {
			continue
		}
		o.endClaims(l)
		l.head = j
		l.from = map[string]int64{}
		l.ready = o.slot(now, l)
		l.since = max(now, o.floor(l))
		if l.under(l.key) == (backend.Limit{}) {
			l.since = max(l.since, o.limit(l.key).closed)
		}
	}
}

// endClaims ends the claims of a lane.
func (o *oracle) endClaims(l *oracleLane) {
	maps.DeleteFunc(o.claims, func(_ string, c *oracleClaim) bool { return c.holder == l })
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
	lim := o.limit(key)
	if until <= now || until <= lim.closed {
		return
	}
	lim.closed = until
	for _, l := range o.lanes {
		if l.key == key && l.head != nil {
			l.from = map[string]int64{}
			o.endClaims(l)
		}
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
	// What was claimed at an instant to come is so no more: much may have happened.
	maps.DeleteFunc(o.claims, func(_ string, c *oracleClaim) bool { return c.made > o.tau })
	o.compete(now)
	decided, heading := o.tau, o.heading()
	for o.idle > 0 && !o.paused {
		best, soonest := o.best()
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
		if was := heading[l]; l.head != was.head {
			o.endClaims(l)
			was.from = map[string]int64{}
			l.oracleHead = was
		}
	}
	return nil, 0
}

// best is the lane that is to be taken at tau, nil if there is none, and the next
// instant at which there may be another.
func (o *oracle) best() (best *oracleLane, soonest int64) {
	soonest = int64(1) << 62
	var open []*oracleLane
	for _, l := range o.lanes {
		if l.head == nil {
			continue
		}
		if at := o.opens(l); at > o.tau {
			soonest = min(soonest, at)
		} else {
			open = append(open, l)
		}
	}
	slices.SortFunc(open, o.compare)
	for _, l := range open {
		until, kept := o.claimed(l)
		if !kept {
			return l, soonest
		}
		soonest = min(soonest, until)
	}
	return nil, soonest
}

func (o *oracle) compare(a, b *oracleLane) int {
	switch {
	case a == b:
		return 0
	case o.ranks(a, b):
		return -1
	}
	return 1
}

// overdue is when a head has been waiting for its limits for so long that the
// slowest of them could have served it four times.
func (o *oracle) overdue(l *oracleLane) int64 {
	var longest int64
	for _, lim := range l.head.limits {
		longest = max(longest, o.charge(lim))
	}
	return l.since + 4*longest
}

// charge is by how much a job moves the TAT of a limit.
func (o *oracle) charge(l backend.Limit) int64 {
	return int64(l.Units()) * int64(o.limit(l.Key).params.Interval())
}

// claimed reports whether a claim keeps a lane waiting whose limits are open, and
// until when it does at most. First come the claims that there are, then new ones.
func (o *oracle) claimed(l *oracleLane) (until int64, kept bool) {
	for _, lim := range l.head.limits {
		if c := o.claims[lim.Key]; c != nil && o.stands(c) {
			if until := o.until(c, lim); o.keeps(c, l, lim) && o.tau < until {
				return until, true
			}
		}
	}
	for _, lim := range l.head.limits {
		if c := o.claims[lim.Key]; c != nil && o.stands(c) {
			continue
		}
		c := o.newClaim(lim.Key)
		if c == nil || !o.keeps(c, l, lim) {
			continue
		}
		if until := o.until(c, lim); o.tau < until {
			c.made = o.tau
			o.claims[lim.Key] = c
			return until, true
		}
	}
	return 0, false
}

// stands reports whether the holder of a claim can still start when it says.
func (o *oracle) stands(c *oracleClaim) bool {
	return o.tau < c.start && o.opens(c.holder) <= c.start
}

// keeps reports whether a lane would put off a holder of higher rank.
func (o *oracle) keeps(c *oracleClaim, l *oracleLane, lim backend.Limit) bool {
	return c.holder != l && o.ranks(c.holder, l) && o.opensAfter(o.tau, c.holder, lim) > c.start
}

// opensAfter is when a limit opens for a lane if it is taken at an instant.
func (o *oracle) opensAfter(at int64, l *oracleLane, taken backend.Limit) int64 {
	is := *o.limit(taken.Key)
	is.state = is.state.Charge(at, is.params, taken.Units())
	lim := l.under(taken.Key)
	return is.state.Slot(0, is.params, lim.Units())
}

// under is the limit with a key that a lane's head is under.
func (l *oracleLane) under(key string) backend.Limit {
	for _, lim := range l.head.limits {
		if lim.Key == key {
			return lim
		}
	}
	return backend.Limit{}
}

// until is when a claim ends for who would take a limit: when the holder starts, or
// when the limit begins to be idle, if it may not be for so long.
func (o *oracle) until(c *oracleClaim, lim backend.Limit) int64 {
	idle := o.limit(lim.Key).state.TAT
	if c.start <= idle || c.idles && c.start-idle <= o.charge(lim)+c.slack {
		return c.start
	}
	return idle
}

// newClaim is the claim that the first head under a limit has, nil if it has none.
func (o *oracle) newClaim(key string) *oracleClaim {
	h := o.holder(key)
	if h == nil || o.overdue(h) > o.tau {
		return nil
	}
	start := o.opens(h)
	if dead := h.head.deadline; start <= o.tau || dead != 0 && start > dead || !o.startsAt(h, start) {
		return nil
	}
	c := &oracleClaim{holder: h, start: start}
	own := o.charge(h.under(key))
	// The slowest of the limits that open last: if the head's key is held, that is
	// like a limit that costs it nothing.
	slowest, debt := int64(-1), false
	if o.limit(h.key).closed == start && h.under(h.key).Key == "" {
		slowest = 0
	}
	for _, lim := range h.head.limits {
		if cost := o.charge(lim); o.open(lim) == start && cost > slowest {
			slowest = cost
			is := o.limit(lim.Key)
			debt = is.state.Slot(0, is.params, lim.Units()) == start
		}
		if cost := o.charge(lim); cost < own {
			c.slack += cost
		}
	}
	c.idles = debt && slowest <= own
	return c
}

// holder is the head that ranks first under a limit, of those that are not set
// aside there, and the one that may come back for longest.
func (o *oracle) holder(key string) *oracleLane { return o.holderAt(key, o.tau) }

// holderAt is the holder at an instant, if nothing happens before.
func (o *oracle) holderAt(key string, at int64) *oracleLane {
	heads := o.heads(key)
	isAside := func(l *oracleLane) bool { return l.from[key] > 0 }
	back := o.comeBack(key, at)
	heads = slices.DeleteFunc(heads, func(l *oracleLane) bool { return isAside(l) && (len(back) == 0 || back[0] != l) })
	if len(heads) == 0 {
		return nil
	}
	return slices.MinFunc(heads, o.compare)
}

// comeBack are the heads set aside under a limit that may come back at an instant, those
// that may for longest first.
func (o *oracle) comeBack(key string, at int64) []*oracleLane {
	aside := slices.DeleteFunc(o.heads(key), func(l *oracleLane) bool { return l.from[key] == 0 || l.from[key] > at })
	slices.SortFunc(aside, func(a, b *oracleLane) int {
		return cmp.Or(cmp.Compare(a.from[key], b.from[key]), cmp.Compare(a.head.arrives, b.head.arrives), cmp.Compare(a.head.seq, b.head.seq))
	})
	return aside
}

// startsAt reports whether nobody who is first under one of a head's limits is in
// its way at an instant.
func (o *oracle) startsAt(h *oracleLane, at int64) bool {
	for _, lim := range h.head.limits {
		for _, l := range []*oracleLane{o.holder(lim.Key), o.holderAt(lim.Key, at)} {
			if l == nil || l == h || o.ranks(h, l) {
				continue
			}
			opens := o.opens(l)
			if opens <= o.tau {
				continue
			}
			if opens <= at {
				if o.opensAfter(opens, h, l.under(lim.Key)) > at {
					return false
				}
			} else if o.overdue(l) <= at && o.opensAfter(at, l, lim) > opens {
				return false
			}
		}
	}
	return true
}

// pass sets aside the head that is first under a limit that another takes, if the
// limit does not matter to it now, and has two come back at most.
func (o *oracle) pass(by *oracleLane, lim backend.Limit) {
	key := lim.Key
	if l := o.holder(key); l != nil && o.ranks(l, by) {
		opens, dead := o.opens(l), l.head.deadline
		from := opens - o.charge(l.under(key))
		useless := opens <= o.tau || dead != 0 && opens > dead ||
			o.overdue(l) <= o.tau && !o.startsAt(l, opens)
		if from <= o.tau && useless {
			from = o.tau + o.charge(lim)
		}
		if from > o.tau {
			l.from[key] = from
		}
	}
	back := o.comeBack(key, o.tau)
	for _, l := range back[:min(2, len(back))] {
		l.from[key] = 0
	}
}

// slot is when a head can start.
func (o *oracle) slot(now int64, l *oracleLane) int64 {
	return max(now, o.floor(l), o.opens(l))
}

// floor is before when a head does not start, whatever its limits.
func (o *oracle) floor(l *oracleLane) int64 {
	at := max(l.lastSlot, l.head.notBefore)
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
	l.running++
	l.taken = true
	o.endClaims(l)
	for _, other := range o.lanes {
		if other != l && o.busy(other.key) {
			other.oracleHead = oracleHead{}
			o.endClaims(other)
		}
	}
	for _, lim := range j.limits {
		o.pass(l, lim)
	}
	for _, lim := range j.limits {
		is := o.limit(lim.Key)
		is.state = is.state.Charge(slot, is.params, lim.Units())
		delete(o.claims, lim.Key)
	}
	l.jobs = slices.DeleteFunc(l.jobs, func(o *oracleJob) bool { return o == j })
	j.held = false
	l.taken = false
	l.lastSlot = slot
	if j.back {
		l.ahead = slot
	}
	j.back = false
	o.idle--
	o.compete(now)
	return j, slot
}

// wake is when to look again: when the next head may be decided on, or a claim that
// keeps one waiting ends.
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
			for _, lim := range l.head.limits {
				look(o.limit(lim.Key).state.TAT - o.cfg.Horizon)
				if c := o.claims[lim.Key]; c != nil {
					look(c.start - o.cfg.Horizon)
				}
			}
		}
	}
	return soonest, ok
}
