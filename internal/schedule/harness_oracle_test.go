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
