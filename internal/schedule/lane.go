package schedule

import (
	"math"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
)

// Job is one job: the part of it that the scheduler needs, for the caller to put
// into a type of its own.
type Job struct {
	// Slot is the instant from which the job may start. It is set when the job
	// is taken, and for good when it starts.
	Slot int64

	// Arrival is the instant from which the job has its place in its lane. The
	// caller sets it to the instant of the submission; SubmitDated moves it to
	// Dates.NotBefore. An Arrival in the future counts as now, one before that of
	// the job submitted last as that.
	Arrival int64

	seq   uint64 // the number of the submission, and two bits: see dates.go
	terms *terms // nil if it has no limits
	lane  *lane
	next  *Job // behind it in the lane
}

// Key, Priority and Limits are those that were submitted. They may be called from
// other goroutines while the job is with the scheduler: what they read never
// changes, name.key, lane.rank.priority and terms.limits.

// Key returns the key of the job.
func (j *Job) Key() string { return j.lane.name.key }

// Run returns the job as one that runs.
func (j *Job) Run() Run { return Run{j.Key(), j.Priority(), j.Slot} }

// Priority returns the priority of the job.
func (j *Job) Priority() int { return j.lane.rank.priority }

// Timed reports whether the job has limits or dates: something to be on time for.
func (j *Job) Timed() bool { return j.terms != nil || j.hasDates() }

// Limits returns the limits of the job, never nil. They must not be changed.
func (j *Job) Limits() []backend.Limit {
	if j.terms == nil {
		return []backend.Limit{}
	}
	return j.terms.limits
}

// lane is the FIFO of the jobs of one key and priority. Its head is in one of
// three states: waiting in a cohort, asking the backend, or parked because another
// job of the key goes first.
type lane struct {
	name *name
	rare *rare // nil for most

	head, tail *Job
	lastSlot   int64 // the slot of the job that started last
	length     int32 // jobs that are there: those whose dates have come
	running    int32 // jobs of this lane that have started and not finished

	// Of the head, while it waits or asks.
	rank   rank
	since  int64 // since when nothing but its limits keeps it waiting
	cohort *cohort
	uses   []use  // its limits, the bare one last
	one    [1]use // the memory of uses, if they are no more
	pos    int32  // in cohort.lanes
	seen   uint32 // Scheduler.looks, if the looker has seen it
	gone   uint16 // jobs between head and tail that have been removed
	state  laneState

	declined bool // the head asks, and is not to start

	keeps int32 // jobs that keep the key: see keep.go
}

// rare is what few lanes have.
type rare struct {
	siblings *siblings // nil if it is the only lane of its key
	aside    aside     // the jobs that are not between head and tail
	stay     *stay     // nil but in a forecast
	cut      *piece    // the latest jobs that have been cut off and not removed; nil: none
	lead     int64     // the slot of the latest job that has kept the key, 0 if there was none

	peers     *peers // nil if it is not among any
	peerPos   int32  // in peers.lanes
	keeperPos int32  // in siblings.keepers
}

// more returns l.rare.
func (l *lane) more() *rare {
	if l.rare == nil {
		l.rare = &rare{}
	}
	return l.rare
}

// tidy gives up l.rare if there is nothing in it.
func (l *lane) tidy() {
	if r := l.rare; r != nil && r.siblings == nil && r.aside.empty() && r.stay == nil && r.cut == nil && r.lead == 0 {
		l.rare = nil
	}
}

// siblings is the lanes of the key, nil if there are no others.
func (l *lane) siblings() *siblings {
	if l.rare == nil {
		return nil
	}
	return l.rare.siblings
}

// aside is the jobs that are set aside, nil if there are none.
func (l *lane) aside() *aside {
	if l.rare == nil || l.rare.aside.empty() {
		return nil
	}
	return &l.rare.aside
}

// stay is nil but in a forecast.
func (l *lane) stay() *stay {
	if l.rare == nil {
		return nil
	}
	return l.rare.stay
}

type laneState uint8

const (
	parked laneState = iota
	waiting
	asking
)

// use is one limit that the head of a lane is under.
type use struct {
	lane  *lane
	gate  *gate
	pos   int32 // in limit.heads, while the lane waits and has not waived its place there
	index int32 // in terms.under; -1 for a bare use, which is not charged
}

func (u *use) limit() *limit { return u.gate.limit }

// before implements element, for the heads of a limit.
func (u *use) before(o *use) bool { return u.lane.before(o.lane) }
func (u *use) place() *int32      { return &u.pos }

// opens is the instant at which the last of the head's limits opens.
func (l *lane) opens() int64 {
	at := int64(0)
	for i := range l.uses {
		at = max(at, l.uses[i].gate.open())
	}
	return at
}

// slot is when the head can start, not before now.
func (s *Scheduler) slot(now int64, l *lane) int64 { return max(now, s.earliest(l), l.slot()) }

// slot is the earliest slot that the head's limits have.
func (l *lane) slot() int64 {
	at := int64(0)
	for i := range l.uses {
		at = max(at, l.uses[i].gate.slot())
	}
	return at
}

// floor is before when the head must not start, whatever its limits: the slot of
// the job ahead of it, its own date, or the hold of its key.
func (s *Scheduler) floor(l *lane) int64 {
	at := max(l.lastSlot, s.notBefore(l))
	if n := len(l.uses); n > 0 && l.uses[n-1].index < 0 {
		at = max(at, l.uses[n-1].limit().closed)
	}
	return at
}

// earliest is the floor of a head that has not been taken.
func (s *Scheduler) earliest(l *lane) int64 { return l.behindLead(s.floor(l)) }

// enter makes the head of a lane that has one compete, if it is its turn. A fresh head
// has just become the head; else it comes back, and keeps its rank.
func (s *Scheduler) enter(now int64, l *lane, fresh bool) {
	s.lineUp(now, l, fresh)
	if len(s.stirred) == 0 {
		return
	}
	if fresh {
		l = nil
	}
	s.settleTurns(now, l)
}

// lineUp is enter, but a lane with peers only stirs them, for settleTurns.
func (s *Scheduler) lineUp(now int64, l *lane, fresh bool) {
	if l.length == 0 || l.state != parked {
		return
	}
	if f := s.serialSiblings(l.name); f != nil {
		s.stir(s.joinPeers(f, l))
	} else if s.mayCompete(l) {
		s.compete(now, l, fresh)
	}
}

// mayCompete reports whether nothing but its limits and its peers keeps the head of a
// lane waiting.
func (s *Scheduler) mayCompete(l *lane) bool {
	return !s.busy(l) && !s.kept(l) && !s.pausedKey(l.name.key) && s.heldUntil(l) <= s.tau
}

// compete makes the head of a parked lane compete, which may.
func (s *Scheduler) compete(now int64, l *lane, fresh bool) {
	s.touch(l)
	s.acquire(now, l)
	l.state = waiting
	var ready int64
	if fresh {
		s.beginStay(l, now)
		l.since = max(now, s.earliest(l))
		ready = max(l.since, l.slot())
	}
	s.rerankHead(l, ready, fresh)
	for i := range l.uses {
		if u := &l.uses[i]; u.index >= 0 {
			u.limit().heads.push(u)
		}
	}
	s.settle(l)
}

// withdraw ends the waiting of a lane: it competes no longer, but keeps its
// uses.
func (s *Scheduler) withdraw(l *lane) {
	if s.tau > s.decided {
		s.withdrawn = append(s.withdrawn, withdrawn{l, l.rank.by, l.since})
	}
	s.unsettle(l)
	for i := range l.uses {
		u := &l.uses[i]
		if u.index < 0 {
			continue
		}
		if lim := u.limit(); lim.contest == nil {
			lim.heads.remove(u)
		} else {
			s.retire(u)
		}
	}
}

// park is the opposite of enter. The peers of the lane are to settle whose turn it is.
func (s *Scheduler) park(l *lane) {
	s.leavePeers(l)
	s.suspend(l)
}

// suspend is the opposite of compete.
func (s *Scheduler) suspend(l *lane) {
	if l.state == waiting {
		s.withdraw(l)
	}
	s.release(l)
	l.state, l.declined = parked, false
}

// acquire fills in l.uses for the head, unless they are those of the job before it.
func (s *Scheduler) acquire(now int64, l *lane) {
	if len(l.uses) > 0 {
		return
	}
	uses := l.uses
	if uses == nil {
		uses = l.one[:0]
	}
	own := s.keyHold(now, l)
	if t := l.head.terms; t != nil {
		for i, lim := range t.under {
			uses = append(uses, use{lane: l, gate: s.gateOf(lim, t.limits[i].Units()), index: int32(i)})
			if lim == own {
				own = nil
			}
		}
	}
	if own != nil {
		uses = append(uses, use{lane: l, gate: s.gateOf(own, 0), index: -1})
	}
	for i := range uses {
		uses[i].limit().refs++
	}
	l.uses = uses
}

// keyHold returns the limit with the key of a lane if it is held, else nil.
func (s *Scheduler) keyHold(now int64, l *lane) *limit {
	if s.holdsEnd <= now {
		return nil
	}
	if own := l.name.limit; own != nil && own.closed > now {
		return own
	}
	return nil
}

// release gives up l.uses.
func (s *Scheduler) release(l *lane) {
	for i := range l.uses {
		lim := l.uses[i].limit()
		lim.refs--
		s.unused(lim)
	}
	clear(l.uses)
	l.uses = l.uses[:0]
}

// patience is for how long nothing but its limits may keep a head waiting before it
// may claim them: the time in which the slowest could have served it four times.
func (l *lane) patience() int64 {
	var longest int64
	for i := range l.uses {
		if u := &l.uses[i]; u.index >= 0 {
			longest = max(longest, u.gate.charge())
		}
	}
	return 4 * min(longest, math.MaxInt64/16) // no sum of instants overflows
}

// chargeOf is by how much one job of that cost moves a limit's TAT, at most by
// [gcra.MaxSpan]: it may have been taken under params with a larger Burst.
func chargeOf(p gcra.FreqLimitParams, cost int) int64 {
	if cost > p.Burst {
		return int64(gcra.MaxSpan)
	}
	return int64(cost) * int64(p.Interval())
}
