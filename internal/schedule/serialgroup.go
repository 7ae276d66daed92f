package schedule

import "github.com/freqlimit/dispatcher/internal/pqueue"

// serialGroup is the lanes of a serial key whose heads wait for the same gates. Whatever lets
// one of them start lets the one of the highest priority start, and then the others wait for
// it to end. So only that lane competes. The others wait behind it, as the jobs of a lane wait
// behind the head: a start takes as long with a million lanes as with two.
//
// A lane is in a group while it has a head that does not ask, even if its key is busy, kept or
// paused. Then no lane of the group competes, or only the one that keeps the key.
type serialGroup struct {
	keyLanes   *keyLanes
	gateKey    string // in keyLanes.groups
	lanes      pqueue.Queue[*groupMember]
	competitor *lane // the lane that competes; nil: none

	changed bool // in Scheduler.changedGroups
}

// groupMember is a lane in serialGroup.lanes.
type groupMember lane

func (l *groupMember) Before(o *groupMember) bool { return l.rank.priority > o.rank.priority }
func (l *groupMember) Position() *int32           { return &l.rare.groupPos }

// group returns the serial group of a lane, nil if it is in none.
func (l *lane) group() *serialGroup {
	if l.rare == nil {
		return nil
	}
	return l.rare.group
}

// serialLanes returns the lanes of a key if there are several and their jobs are serial,
// else nil.
func (s *Scheduler) serialLanes(k *keyState) *keyLanes {
	if !s.cfg.Serial || k.lane == nil {
		return nil
	}
	return k.lane.keyLanes()
}

// joinGroup puts a lane into the group of its gates, if it is in none yet.
func (s *Scheduler) joinGroup(f *keyLanes, l *lane) *serialGroup {
	if l.rare.group != nil {
		return l.rare.group
	}
	gates := s.shared[:0]
	if t := l.head.set; t != nil {
		for i, lim := range t.under {
			gates = append(gates, s.gateOf(lim, t.limits[i].Units()))
		}
	}
	s.shared = gates
	key := s.sortedGateKey(gates)
	g, ok := f.groups.Get(string(key))
	if !ok {
		g = &serialGroup{keyLanes: f, gateKey: string(key)}
		f.groups.Set(g.gateKey, g)
	}
	l.rare.group = g
	g.lanes.Push((*groupMember)(l))
	return g
}

// leaveGroup is the opposite of joinGroup. The group is marked as changed.
func (s *Scheduler) leaveGroup(l *lane) {
	g := l.group()
	if g == nil {
		return
	}
	l.rare.group = nil
	g.lanes.Remove((*groupMember)(l))
	if g.competitor == l {
		g.competitor = nil
	}
	if g.lanes.Len() == 0 {
		g.keyLanes.groups.Delete(g.gateKey)
		return
	}
	s.markChanged(g)
}

// markChanged notes that another lane of the group may have to compete.
func (s *Scheduler) markChanged(g *serialGroup) {
	if !g.changed {
		g.changed = true
		s.changedGroups = append(s.changedGroups, g)
	}
}

// settleChangedGroups settles the groups that are marked. Heads of lanes other than old are fresh.
func (s *Scheduler) settleChangedGroups(now int64, old *lane) {
	if len(s.changedGroups) == 0 {
		return
	}
	for _, g := range s.changedGroups {
		g.changed = false
		s.settleGroup(now, g, old)
	}
	clear(s.changedGroups)
	s.changedGroups = s.changedGroups[:0]
}

// settleAllGroups settles all groups of a serial key, and those that are marked.
func (s *Scheduler) settleAllGroups(now int64, f *keyLanes, old *lane) {
	for _, g := range f.groups.All() {
		s.settleGroup(now, g, old)
	}
	s.settleChangedGroups(now, old)
}

// settleGroup makes the right lane of a group compete, and no other: the one that keeps the key,
// else the one of the highest priority, if it may.
func (s *Scheduler) settleGroup(now int64, g *serialGroup, old *lane) {
	if g.lanes.Len() == 0 {
		return
	}
	l := (*lane)(g.lanes.Top())
	if q := &g.keyLanes.keepers; q.Len() > 0 && (*lane)(q.Top()).group() == g {
		l = (*lane)(q.Top())
	}
	if !s.mayCompete(l) {
		l = nil
	}
	if l == g.competitor {
		return
	}
	if g.competitor != nil {
		s.suspend(g.competitor)
	}
	if g.competitor = l; l != nil {
		s.compete(now, l, l != old)
	}
}

// dissolveGroup ends the group of a lane that is the only one left of its key.
func (l *lane) dissolveGroup() {
	if g := l.rare.group; g != nil {
		l.rare.group = nil
		*g = serialGroup{changed: g.changed}
	}
}
