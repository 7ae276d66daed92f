// Package turns defines how several dispatchers share the limits of a backend. Each limit has
// a line of members whose requests were refused, and they take its slots in turn. The package
// is the model for the scripts of package goredis, and for tests of fleets in virtual time.
//
// The first turn in a line begins a lead before the limit's next slot, and each further turn a
// step after the one before it. A member that has taken its share goes to the end. If a member
// misses its turn, the next one passes it a step later. Nobody waits for a member that was
// passed until it asks again, at any time. So nothing has to be undone when a process dies, and a
// slow process loses no turn. But the others wait for a member that saves up for a costly job,
// even if it has died.
//
// A turn covers the slots of one step. At a fast limit turns stay in place while they are
// used. At a slow limit a step may be shorter than an interval. A turn is one slot then, and
// the others are told when it is taken.
//
// A request under several limits waits in one line. That is the line of the member's busiest
// limit, if others wait there and what refused the request will be open by then: whichever job
// of the member is next can use a turn there. The request needs a turn at only one of its limits,
// since turns at two of them would hardly ever coincide. But it is refused if it would
// leave slots unused that others wait for.
//
// All times are integers of one unit.
package turns

import "slices"

// Rules are the constants of all lines.
type Rules struct {
	Step     int64 // the longest time between turns at a fast limit
	SlowStep int64 // the shortest time between turns at a slow limit
	Forget   int64 // how long a passed member is remembered, at least for two intervals
	Longest  int   // the most members in a line
}

// Slow reports whether a limit with that interval is slow: it has fewer than two slots in a
// step.
func (r Rules) Slow(interval int64) bool { return 2*interval > r.Step }

// step returns the time between turns in a line. At a slow limit it is long enough to learn that
// a turn was used before asking too: about the longest round trip in the line.
func (r Rules) step(l *Line, interval int64) int64 {
	if r.Slow(interval) {
		return max(r.SlowStep, l.Lead()*3/4)
	}
	return r.Step / interval * interval
}

// Limit is the state of a limit that its line depends on.
type Limit struct {
	TAT, Closed, Interval int64
}

// Open returns when the limit opens for a request that may start room before its TAT.
func (l Limit) Open(room int64) int64 { return max(l.TAT-room, l.Closed) }

// Line holds the members that wait for a limit, in order.
type Line struct {
	Waiters []Waiter
}

// Waiter is a member in a line.
type Waiter struct {
	Member     uint32
	Room       int64 // how long before the TAT the limit opens for the member's request
	MinHorizon int64 // see backend.Request.MinHorizon
	Told       int64 // when its turn begins, as it was told
	Passed     int64 // when another member took its turn; 0: none did
}

func (l *Line) find(member uint32) int {
	for i := range l.Waiters {
		if l.Waiters[i].Member == member {
			return i
		}
	}
	return len(l.Waiters)
}

// others counts the waiters that were not passed, without one member.
func (l *Line) others(member uint32) (n int64) {
	for i := range l.Waiters {
		if w := &l.Waiters[i]; w.Member != member && w.Passed == 0 {
			n++
		}
	}
	return n
}

// Contended reports whether others stand in line that were not passed.
func (l *Line) Contended(member uint32) bool {
	return l.others(member) > 0
}

// Lead returns how long before its slot a turn begins: half the largest MinHorizon in line.
func (l *Line) Lead() int64 {
	reach := int64(0)
	for i := range l.Waiters {
		reach = max(reach, l.Waiters[i].MinHorizon)
	}
	return reach / 2
}

// Turn returns the slot of a member's turn, for a request that may start room before the TAT.
// The turn begins a lead before it. Members further ahead may have requests that open
// later, and must not be overtaken because of that. A member that is not in line counts as the
// last.
func (r Rules) Turn(l *Line, lim Limit, member uint32, room int64) int64 {
	at := l.find(member)
	if at < len(l.Waiters) && l.Waiters[at].Passed > 0 {
		return lim.Open(room)
	}
	ahead := int64(0)
	for i := range l.Waiters[:at] {
		if w := &l.Waiters[i]; w.Passed == 0 {
			ahead++
			room = min(room, w.Room)
		}
	}
	return lim.Open(room) + ahead*r.step(l, lim.Interval)
}

// begins returns when a member's turn begins: a lead before its slot, and no sooner than a step after
// the turns of those ahead. They were told of theirs before others with a larger MinHorizon joined
// the line, and come no earlier.
func (r Rules) begins(l *Line, lim Limit, member uint32, room int64) int64 {
	begins := r.Turn(l, lim, member, room) - l.Lead()
	at := l.find(member)
	if at < len(l.Waiters) && l.Waiters[at].Passed > 0 {
		return begins
	}
	step := r.step(l, lim.Interval)
	ahead, reach := int64(0), int64(0)
	for i := range l.Waiters[:at] {
		w := &l.Waiters[i]
		reach = max(reach, w.MinHorizon)
		if w.Passed > 0 {
			continue
		}
		// If slots were given back since w was told, its turn may have moved up.
		room = min(room, w.Room)
		turn := lim.Open(room) + ahead*step
		begins = max(begins, min(w.Told, turn-reach/2)+step)
		ahead++
	}
	return begins
}

// due reports whether it is a member's turn.
func (r Rules) due(now int64, l *Line, lim Limit, member uint32, room int64) bool {
	at := l.find(member)
	if at < len(l.Waiters) && l.Waiters[at].Passed > 0 {
		return true
	}
	if !slices.ContainsFunc(l.Waiters[:at], func(w Waiter) bool { return w.Passed == 0 }) {
		return true
	}
	// Half a step too early is as good as on time.
	return now >= r.begins(l, lim, member, room)-r.step(l, lim.Interval)/2
}

// edge returns when the limit opens for a member and for all others in line.
func (l *Line) edge(lim Limit, member uint32, room int64) int64 {
	for i := range l.Waiters {
		if w := &l.Waiters[i]; w.Member != member && w.Passed == 0 {
			room = min(room, w.Room)
		}
	}
	return lim.Open(room)
}
