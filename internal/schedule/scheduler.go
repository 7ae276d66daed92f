package schedule

import (
	"cmp"
	"slices"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/pqueue"
	"github.com/freqlimit/dispatcher/internal/table"
)

// Config is the configuration of a [Scheduler].
type Config struct {
	Workers int   // how many jobs may run at once, at least 1
	Horizon int64 // how far ahead of now a slot may be taken, nanoseconds
	Lead    int64 // how far ahead of now taking begins; at most Horizon, and the same if 0
	Order   Order
	Serial  bool // jobs of one key run one after another
	Shared  bool // other schedulers charge the limits too: see Speculative
	AskAll  bool // the backend is asked for jobs without limits too
}

// Scheduler is the state machine. Its methods are the events; each takes the
// instant now at which it happened, in nanoseconds, zero or later and never
// going back. It is not safe for concurrent use.
type Scheduler struct {
	cfg     Config
	tau     int64 // the clock of the decisions: from now to now + Horizon
	filling bool  // a job was taken since Next returned nil: others up to the horizon may go with it
	decided int64 // tau at the latest decision or at the latest call of Next
	idle    int   // workers that are free
	seq     uint64
	arrival int64 // when the last job was submitted
	jobs    int   // waiting jobs, those that ask included
	place   Place // of the job that got its slot last

	keys     table.Map[string, *keyState]
	recent   *keyState                      // the latest one that was looked up, if it is still there
	cohorts  table.Map[string, *cohort]     // those of several gates
	clears   uint32                         // calls of Clear
	clearing *table.Walk[string, *keyState] // goes through what was not cleared yet; nil if all is done
	debts    pqueue.Queue[*limit]           // limits not in use, by when to forget them
	outage   int64                          // jobs that have limits wait until then: the backend failed

	observer  observer // nil: none
	observers uint32   // how many there have been

	logWaits  bool // wait logs are kept: it is a forecast
	dated     table.Map[*Job, *dated]
	dates     pqueue.Queue[*byDate]     // jobs that wait for their dates
	cuts      []*Cut                    // of which there are jobs left
	tried     pqueue.Queue[*byDate]     // the same, for jobs that a lookahead has visited in vain
	ahead     []*dated                  // jobs that have arrived at an instant after decided
	withdrawn []withdrawn               // lanes whose heads no longer compete because of that
	came      int                       // how many jobs have come since Next was called
	lapsed    int                       // how many of those that it found can't meet their deadlines
	deadlines pqueue.Queue[*byDeadline] // jobs that wait and have one
	expired   []*Job                    // that Expired has not returned yet
	paused    bool
	pauses    table.Map[string, struct{}] // keys

	changedGroups []*serialGroup // of which another lane may have to compete

	meter     meter
	holds     pqueue.Queue[*hold] // by when they end
	waitTimes waitTimes

	costlySets    table.Map[*limitSet, *costlySet] // by limit set
	lowered       []*limit                         // limits under which impossible jobs may wait
	paramsChanged []*limit                         // for ChangedParams

	turns       pqueue.Queue[*turn]           // that are awaited
	unconfirmed table.Map[*limit, gcra.State] // limits that were invalidated, with the states expected of them
	holdsEnd    int64                         // when the last of all holds is over

	timed       pqueue.Queue[*timedGate] // closed gates with cohorts, by when they open
	ready       pqueue.Queue[*readyGate] // open gates with cohorts, by rank
	earlyClaims []earlyClaim             // what claims did at instants after decided
	free        gate                     // for lanes without limits
	unbound     gate                     // for lanes with limits that no gate keeps waiting
	charged     []*limit                 // if they are shared: those charged since Speculative returned nil
	gateID      uint64
	few         int // fewGates; the tests have other numbers too

	freeRefs [][]limitRef // memory of lanes that are gone
	shared   []*gate      // scratch of joinCohort and joinGroup
	gateKey  []byte       // scratch of sortedGateKey and leaveCohort
}

// New returns a scheduler without jobs.
func New(cfg Config) *Scheduler {
	s := &Scheduler{cfg: cfg, idle: cfg.Workers, few: fewGates}
	s.SetLookahead(cfg.Horizon, cmp.Or(cfg.Lead, cfg.Horizon))
	s.initGate(&s.free, nil, 0)
	s.initGate(&s.unbound, nil, 0)
	s.unbound.outage = &s.outage
	if cfg.AskAll {
		s.free.outage = &s.outage
	}
	return s
}

// SetLookahead sets Config.Horizon and Config.Lead.
func (s *Scheduler) SetLookahead(horizon, lead int64) { s.cfg.Horizon, s.cfg.Lead = horizon, lead }

// Waiting returns how many jobs have been submitted and not started.
func (s *Scheduler) Waiting() int { return s.jobs }

// Idle returns how many workers are free.
func (s *Scheduler) Idle() int { return s.idle }

// Submit adds a job of a key and a priority: a higher priority goes first. The limits must be valid,
// and no two may have the same key. Each limit takes on the params given here, also for other jobs
// that are under it. Submit keeps the slice, unless the job shares the slice of another: see [Job.Keeps].
func (s *Scheduler) Submit(now int64, j *Job, key string, priority int, limits []backend.Limit) {
	j.seq &= stateBits
	s.number(now, j)
	l := s.find(key, priority)
	s.noteLane(l)
	j.set = s.intern(now, limits, l.tail)
	s.admit(now, l, j)
	s.startWaiting(j)
}

// number makes a job the one that was submitted last.
func (s *Scheduler) number(now int64, j *Job) {
	s.tick(now)
	s.seq += seqStep
	j.seq |= s.seq
	s.arrival = min(now, max(s.arrival, j.Arrival))
	j.Arrival = s.arrival
	s.jobs++
}

// admit puts a job that arrives as it is submitted into its lane.
func (s *Scheduler) admit(now int64, l *lane, j *Job) {
	if l.tail != nil && !l.tail.before(j) {
		s.arrive(now, l, j)
		return
	}
	l.append(j)
	if l.length == 1 {
		s.enter(now, l, true)
	} else if s.cfg.Order == Backlog && l.state == waiting {
		s.promote(l)
	}
}

// promote is called when the rank of a waiting lane may have changed.
func (s *Scheduler) promote(l *lane) {
	s.rerankHead(l, 0, false)
	for i := range l.refs {
		if ref := &l.refs[i]; ref.index >= 0 && !ref.hasWaived() {
			ref.limit().heads.Fix(ref)
		}
	}
	l.cohort.lanes.Fix(l)
	s.rerank(l.cohort)
}

// Finished says that a job which started is over. With again, it goes back to the front of its lane
// and keeps its key: see keepkey.go.
func (s *Scheduler) Finished(now int64, j *Job, again bool) {
	s.tick(now)
	l := j.lane
	s.noteLane(l)
	l.running--
	s.idle++
	if again {
		s.noteReturned(j)
		s.jobs++
		s.renumber(j)
		s.rejoin(l, j)
		s.keep(l, j)
		s.startWaiting(j)
		if j.hasDates() {
			s.watchDeadline(s.datesOf(j))
		}
	} else {
		s.releaseSet(j)
	}
	s.advance(now, l)
}

// advance lets the lanes of a key go on after a job of lane l has ended.
func (s *Scheduler) advance(now int64, l *lane) {
	if l.length == 0 {
		s.drop(l)
	} else {
		s.lineUp(now, l, true)
	}
	if s.cfg.Serial {
		s.enterAll(now, l.keyState, nil)
	}
}

// enterAll makes those of the parked lanes of a key compete that may. Heads of lanes other than old
// are fresh.
func (s *Scheduler) enterAll(now int64, k *keyState, old *lane) {
	if f := s.serialLanes(k); f != nil {
		s.settleAllGroups(now, f, old)
		return
	}
	for l := range k.lanes() {
		s.enter(now, l, l != old)
	}
}

// Request returns the limits for which to ask the backend, for a job that was taken. It reuses the
// memory of limits.
func (s *Scheduler) Request(j *Job, limits []backend.Limit) []backend.Limit {
	limits = limits[:0]
	if t := j.set; t != nil {
		for i, lim := range t.under {
			limits = append(limits, backend.Limit{Key: t.limits[i].Key, Params: lim.params, Cost: t.limits[i].Units()})
		}
	}
	return limits
}

// IsLimit reports whether the key of a job is the key of one of its limits.
func (s *Scheduler) IsLimit(j *Job) bool {
	own := j.lane.keyState.limit
	return own != nil && j.set != nil && slices.Contains(j.set.under, own)
}

// NotBefore returns the instant before which a job that was taken must not start, whatever its
// limits.
func (s *Scheduler) NotBefore(j *Job) int64 { return s.earliest(j.lane) }
