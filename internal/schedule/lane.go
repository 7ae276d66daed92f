package schedule

import (
	"math"
)

// lane is the FIFO queue of the jobs of one key and priority. Its head is in one of three states:
// waiting in a cohort, asking the backend, or parked. It is parked while another job of the key
// goes first, while the key is paused, or until its date.
type lane struct {
	keyState *keyState
	rare     *rare // nil for most

	head, tail *Job
	lastSlot   int64 // the slot of the job that started last
	length     int32 // jobs that are there: those whose dates have come
	running    int32 // jobs of this lane that have started and not finished

	// Of the head, while it waits or asks.
	rank   rank
	since  int64 // since when nothing but its limits keeps it waiting
	cohort *cohort
	refs   []limitRef  // one for each of its limits; last, if its key is held, one for the hold
	one    [1]limitRef // the memory of refs, if one is enough
	pos    int32       // in cohort.lanes
	seen   uint32      // Scheduler.observers, if the latest of them has seen it
	gone   uint16      // jobs between head and tail that have been removed
	state  laneState

	declined bool // the head asks, and is not to start

	keeps int32 // jobs that keep the key: see keepkey.go
}

// rare has the fields that few lanes need.
type rare struct {
	keyLanes *keyLanes // nil if it is the only lane of its key
	aside    aside     // the jobs that are not between head and tail
	waitLog  *waitLog  // nil outside a forecast
	cut      *piece    // the latest jobs that have been cut off and not removed; nil: none
	keptSlot int64     // the slot of the latest job that has kept the key, 0 if there was none

	group     *serialGroup // nil if it is not among any
	groupPos  int32        // in serialGroup.lanes
	keeperPos int32        // in keyLanes.keepers
}

// ensureRare returns l.rare. If there is none it makes one.
func (l *lane) ensureRare() *rare {
	if l.rare == nil {
		l.rare = &rare{}
	}
	return l.rare
}

// tidy drops l.rare if there is nothing in it.
func (l *lane) tidy() {
	if r := l.rare; r != nil && r.keyLanes == nil && r.aside.empty() && r.waitLog == nil && r.cut == nil && r.keptSlot == 0 {
		l.rare = nil
	}
}

// keyLanes returns the lanes of the key, nil if this is the only one.
func (l *lane) keyLanes() *keyLanes {
	if l.rare == nil {
		return nil
	}
	return l.rare.keyLanes
}

// aside returns the jobs that are set aside, nil if there are none.
func (l *lane) aside() *aside {
	if l.rare == nil || l.rare.aside.empty() {
		return nil
	}
	return &l.rare.aside
}

// waitLog returns the log of the head's wait times, nil outside a forecast.
func (l *lane) waitLog() *waitLog {
	if l.rare == nil {
		return nil
	}
	return l.rare.waitLog
}

type laneState uint8

const (
	parked laneState = iota
	waiting
	asking
)

// opens returns the instant at which the last of the head's limits opens.
func (l *lane) opens() int64 {
	at := int64(0)
	for i := range l.refs {
		at = max(at, l.refs[i].gate.open())
	}
	return at
}

// slot returns the instant at which the head can start, not before now.
func (s *Scheduler) slot(now int64, l *lane) int64 { return max(now, s.earliest(l), l.slot()) }

// slot returns the earliest slot that the head's limits allow.
func (l *lane) slot() int64 {
	at := int64(0)
	for i := range l.refs {
		at = max(at, l.refs[i].gate.slot())
	}
	return at
}

// floor returns the instant before which the head must not start, whatever its limits: the latest
// of the slot of the job before it, its own date, and the hold of its key.
func (s *Scheduler) floor(l *lane) int64 {
	at := max(l.lastSlot, s.notBefore(l))
	if n := len(l.refs); n > 0 && l.refs[n-1].index < 0 {
		at = max(at, l.refs[n-1].limit().closed)
	}
	return at
}

// earliest returns the floor of a head that has not been taken.
func (s *Scheduler) earliest(l *lane) int64 { return l.behindKept(s.floor(l)) }

// enter makes the head of a lane compete, if there is one and it may. A fresh head has just become
// the head. A head that is not fresh comes back, and keeps its rank.
func (s *Scheduler) enter(now int64, l *lane, fresh bool) {
	s.lineUp(now, l, fresh)
	if len(s.changedGroups) == 0 {
		return
	}
	if fresh {
		l = nil
	}
	s.settleChangedGroups(now, l)
}

// lineUp is enter, but if the lane is in a serial group it only marks that as changed, for
// settleChangedGroups.
func (s *Scheduler) lineUp(now int64, l *lane, fresh bool) {
	if l.length == 0 || l.state != parked {
		return
	}
	if f := s.serialLanes(l.keyState); f != nil {
		s.markChanged(s.joinGroup(f, l))
	} else if s.mayCompete(l) {
		s.compete(now, l, fresh)
	}
}

// mayCompete reports whether the head of a lane waits for nothing but its limits and its group.
func (s *Scheduler) mayCompete(l *lane) bool {
	return !s.busy(l) && !s.kept(l) && !s.pausedKey(l.keyState.key) && s.blockedUntil(l) <= s.tau
}

// compete makes the head of a parked lane compete. It must be allowed to: see mayCompete.
func (s *Scheduler) compete(now int64, l *lane, fresh bool) {
	s.noteLane(l)
	s.acquire(now, l)
	l.state = waiting
	var ready int64
	if fresh {
		s.resetWaitLog(l, now)
		l.since = max(now, s.earliest(l))
		ready = max(l.since, l.slot())
	}
	s.rerankHead(l, ready, fresh)
	for i := range l.refs {
		if ref := &l.refs[i]; ref.index >= 0 {
			ref.limit().heads.Push(ref)
		}
	}
	s.joinCohort(l)
}

// withdraw ends the waiting of a lane: it competes no longer, but keeps its
// refs.
func (s *Scheduler) withdraw(l *lane) {
	if s.tau > s.decided {
		s.withdrawn = append(s.withdrawn, withdrawn{l, l.rank.by, l.since})
	}
	s.leaveCohort(l)
	for i := range l.refs {
		ref := &l.refs[i]
		if ref.index < 0 {
			continue
		}
		if lim := ref.limit(); lim.contest == nil {
			lim.heads.Remove(ref)
		} else {
			s.leaveContest(ref)
		}
	}
}

// park is the opposite of enter. The group of the lane is marked as changed.
func (s *Scheduler) park(l *lane) {
	s.leaveGroup(l)
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

// patience returns for how long a head waits for nothing but its limits before it may claim them:
// the time in which the slowest of them could have served it four times.
func (l *lane) patience() int64 {
	var longest int64
	for i := range l.refs {
		if ref := &l.refs[i]; ref.index >= 0 {
			longest = max(longest, ref.gate.charge())
		}
	}
	return 4 * min(longest, math.MaxInt64/16) // no sum of instants overflows
}
