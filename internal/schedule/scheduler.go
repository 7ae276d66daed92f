package schedule

import (
	"cmp"
	"math"
	"slices"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/table"
)

// Config is what a [Scheduler] goes by.
type Config struct {
	Workers int   // how many jobs may run at once, at least 1
	Horizon int64 // how far ahead of now a slot may be taken, nanoseconds
	Lead    int64 // how far ahead of now taking begins; at most Horizon, and the same if 0
	Order   Order
	Serial  bool // jobs of one key run one after another
	Shared  bool // others charge the limits too: see Spare
}

// Scheduler is the state machine. Its methods are the events; each takes the
// instant now at which it happened, in nanoseconds, zero or later and never
// going back. It is not safe for concurrent use.
type Scheduler struct {
	cfg     Config
	tau     int64 // the clock of the decisions: from now to now + Horizon
	filling bool  // a job was taken: others up to the horizon go with it
	decided int64 // tau at the latest decision, or now
	idle    int   // workers that are free
	seq     uint64
	arrival int64 // when the last job was submitted
	jobs    int   // waiting jobs, those that ask included
	place   Place // of the job that got its slot last

	names    table.Map[string, *name]
	recent   *name                      // the one that was looked for last, if it is still there
	cohorts  table.Map[string, *cohort] // those of several gates
	clears   uint32                     // calls of Clear
	clearing *table.Walk[string, *name] // what has not heard of the last one; nil if all has
	debts    queue[*limit]              // limits not in use, by when to forget them
	outage   int64                      // jobs that have limits wait until then: the backend is away

	looker looker // nil: nobody looks
	looks  uint32 // how many have

	stays     bool // stays are noted: it is a forecast
	dated     table.Map[*Job, *dated]
	dates     queue[*byDate]     // jobs that wait for their dates
	cuts      []*Cut             // of which there are jobs left
	tried     queue[*byDate]     // the same, but looking ahead has not let them be taken
	ahead     []*dated           // jobs that have come, at an instant after decided
	withdrawn []withdrawn        // lanes whose heads no longer compete because of that
	came      int                // how many jobs have come since Next was called
	lapsed    int                // how many it has found that can't meet their deadlines
	deadlines queue[*byDeadline] // jobs that wait and have one
	expired   []*Job             // that Expired has not told
	paused    bool
	pauses    table.Map[string, struct{}] // keys

	stirred []*peers // that are to settle whose turn it is

	meter  meter
	holds  queue[*hold] // by when they end
	losses losses

	bills   table.Map[*terms, *bill] // of costly terms
	lowered []*limit                 // that may rule out jobs that wait
	renewed []*limit                 // whose params have changed, as Renewed is to tell

	doubted  table.Map[*limit, gcra.State] // what they were thought to be
	holdsEnd int64                         // when the last of all holds is over

	timed   queue[*timedGate] // closed gates with cohorts, by when they open
	ready   queue[*readyGate] // open gates with cohorts, by rank
	early   []early           // what claims did at instants after decided
	free    gate              // for lanes without limits
	unbound gate              // for lanes with limits that no gate keeps waiting
	charged []*limit          // if they are shared: those charged since Spare returned nil
	gateID  uint64
	few     int // fewGates; the tests have other numbers too

	shared     []*gate // scratch of settle and joinPeers
	cohortName []byte  // scratch of sortedName and unsettle
}

// New returns a scheduler without jobs.
func New(cfg Config) *Scheduler {
	s := &Scheduler{cfg: cfg, idle: cfg.Workers, few: fewGates}
	s.Reach(cfg.Horizon, cmp.Or(cfg.Lead, cfg.Horizon))
	s.initGate(&s.free, nil, 0)
	s.initGate(&s.unbound, nil, 0)
	s.unbound.outage = &s.outage
	return s
}

// Reach sets Config.Horizon and Config.Lead.
func (s *Scheduler) Reach(horizon, lead int64) { s.cfg.Horizon, s.cfg.Lead = horizon, lead }

// Waiting returns how many jobs have been submitted and not started.
func (s *Scheduler) Waiting() int { return s.jobs }

// Idle returns how many workers are free.
func (s *Scheduler) Idle() int { return s.idle }

// Submit adds a job of a key and a priority, the higher the sooner, that is under
// these limits, which are valid and each of another key. A limit that others are
// under takes on the params given here. The slice is not kept.
func (s *Scheduler) Submit(now int64, j *Job, key string, priority int, limits []backend.Limit) {
	j.seq = 0
	s.number(now, j)
	l := s.find(key, priority)
	s.touch(l)
	j.terms = s.agree(now, limits, l.tail)
	s.admit(now, l, j)
	s.await(j)
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

// admit puts a job into its lane that is there as it is submitted.
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

// promote is called when a waiting lane may have another rank.
func (s *Scheduler) promote(l *lane) {
	s.rerankHead(l, 0, false)
	for i := range l.uses {
		if u := &l.uses[i]; u.index >= 0 && !u.hasWaived() {
			u.limit().heads.fix(u)
		}
	}
	l.cohort.lanes.fix(l)
	s.rerank(l.cohort)
}

// Finished says that a job which started is over. If again, it goes back to the
// front of its lane, and keeps its key: see keep.go.
func (s *Scheduler) Finished(now int64, j *Job, again bool) {
	s.tick(now)
	l := j.lane
	s.touch(l)
	l.running--
	s.idle++
	if again {
		s.returns(j)
		s.jobs++
		s.renumber(j)
		s.rejoin(l, j)
		s.keep(l, j)
		s.await(j)
		if j.hasDates() {
			s.press(s.datesOf(j))
		}
	} else {
		s.over(j)
	}
	s.next(now, l)
}

// next lets the lanes of a key go on after a job of lane l has ended.
func (s *Scheduler) next(now int64, l *lane) {
	s.drop(l)
	s.lineUp(now, l, true)
	if s.cfg.Serial {
		s.enterAll(now, l.name, nil)
	}
}

// enterAll makes the parked lanes of a key compete whose turn it is. All but old are fresh.
func (s *Scheduler) enterAll(now int64, n *name, old *lane) {
	if f := s.serialSiblings(n); f != nil {
		s.settleAll(now, f, old)
		return
	}
	for l := range n.lanes() {
		s.enter(now, l, l != old)
	}
}

// Hold closes a key until an instant, both as a limit and as the key of jobs.
// It only extends.
func (s *Scheduler) Hold(now int64, key string, until int64) {
	if until <= now {
		return
	}
	lim := s.limitOf(key)
	if lim.clears != s.clears {
		s.cleared(now, lim) // before this hold
	}
	if until <= lim.closed {
		return
	}
	s.tick(now)
	lim.closed = until
	s.startHold(lim)
	s.alters(lim)
	s.holdsEnd = max(s.holdsEnd, until)
	s.upset(lim)
	s.unused(lim)
	for l := range s.competing(lim.name) {
		s.reenter(now, l)
	}
}

// Abandon ends the waiting of all jobs. It calls f for each that waits or asks, or has
// expired and is not known to, in no particular order, and leaves the running ones.
func (s *Scheduler) Abandon(f func(*Job)) {
	for _, j := range s.expired {
		f(j)
	}
	s.expired = nil
	for len(s.cuts) > 0 {
		s.cuts[0].Remove(math.MaxInt, f)
	}
	for _, n := range s.names.All() {
		for l := range n.lanes() {
			if l.state == asking {
				s.idle++
			}
			s.park(l)
			for l.length > 0 {
				s.abandon(l.pop(), f)
			}
			for l.aside() != nil {
				d := l.rare.aside.asleep
				l.wake(d)
				s.abandon(d.job, f)
			}
			s.drop(l)
		}
	}
	s.settleTurns(0, nil) // there is none left
}

func (s *Scheduler) abandon(j *Job, f func(*Job)) {
	s.jobs--
	if j.hasDates() {
		s.leave(j)
	}
	s.over(j)
	f(j)
}

// Request appends to limits, from its start, the limits that the backend is to
// be asked for, for a job that was taken.
func (s *Scheduler) Request(j *Job, limits []backend.Limit) []backend.Limit {
	limits = limits[:0]
	if t := j.terms; t != nil {
		for i, lim := range t.under {
			limits = append(limits, backend.Limit{Key: t.limits[i].Key, Params: lim.params, Cost: t.limits[i].Units()})
		}
	}
	return limits
}

// IsLimit reports whether the key of a job is the key of one of its limits.
func (s *Scheduler) IsLimit(j *Job) bool {
	own := j.lane.name.limit
	return own != nil && j.terms != nil && slices.Contains(j.terms.under, own)
}

// NotBefore returns the instant before which a job that was taken must not
// start, whatever its limits.
func (s *Scheduler) NotBefore(j *Job) int64 { return s.earliest(j.lane) }
