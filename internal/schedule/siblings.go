package schedule

import (
	"iter"
	"slices"

	"github.com/freqlimit/dispatcher/internal/table"
)

// siblings is the lanes of a key that has several: one for each priority, of which
// there may be very many.
type siblings struct {
	few  []*lane // fewSiblings at most; then nil
	many table.Map[int, *lane]

	// With Config.Serial.
	busy  *lane                     // the one that asked last
	peers table.Map[string, *peers] // by the names of the gates that they wait for

	keepers queue[*keeper] // those with jobs that keep the key
	leads   []*lane        // those of which such a job has started, and its slot may be to come
}

// fewSiblings is of how many lanes each is looked at, to find one.
const fewSiblings = 8

// find returns the lane of a key and priority, a new one if need be.
func (s *Scheduler) find(key string, priority int) *lane {
	n := s.nameOf(key)
	first := n.lane
	switch {
	case first == nil:
		n.lane = s.newLane(n, priority)
		return n.lane
	case first.rank.priority == priority:
		return first
	case first.siblings() == nil:
		s.addSiblings(first)
	}
	l := first.rare.siblings.find(priority)
	if l == nil {
		l = s.newLane(n, priority)
		first.rare.siblings.add(l)
	}
	return l
}

func (s *Scheduler) newLane(n *name, priority int) *lane {
	return &lane{name: n, rank: rank{priority: priority}, seen: s.looks}
}

// addSiblings lets a lane, the only one of its key, have others beside it.
func (s *Scheduler) addSiblings(l *lane) {
	f := &siblings{few: []*lane{l}, busy: l}
	l.more().siblings = f
	if l.keeps > 0 {
		f.keepers.push((*keeper)(l))
	}
	if l.rare.lead > 0 {
		f.leads = append(f.leads, l)
	}
	if s.cfg.Serial && l.length > 0 && l.state != asking {
		g := s.joinPeers(f, l)
		if l.state == waiting {
			g.turn = l
		}
	}
}

func (f *siblings) find(priority int) *lane {
	for _, l := range f.few {
		if l.rank.priority == priority {
			return l
		}
	}
	l, _ := f.many.Get(priority)
	return l
}

func (f *siblings) add(l *lane) {
	l.more().siblings = f
	if f.few == nil {
		f.many.Set(l.rank.priority, l)
		return
	}
	if f.few = append(f.few, l); len(f.few) <= fewSiblings {
		return
	}
	for _, l := range f.few {
		f.many.Set(l.rank.priority, l)
	}
	f.few = nil
}

// drop forgets a lane that has no jobs, neither waiting nor running.
func (s *Scheduler) drop(l *lane) {
	if l.length > 0 || l.running > 0 || l.aside() != nil {
		return
	}
	n := l.name
	if f := l.siblings(); f != nil {
		n.lane = f.remove(l, n.lane)
	} else {
		n.lane = nil
	}
	s.dropName(n)
}

// remove takes out a lane, and returns one to find the others by: as before, if that
// is not the one.
func (f *siblings) remove(l, by *lane) *lane {
	l.rare.siblings = nil
	if f.busy == l {
		f.busy = nil
	}
	f.few = slices.DeleteFunc(f.few, func(o *lane) bool { return o == l })
	f.leads = slices.DeleteFunc(f.leads, func(o *lane) bool { return o == l })
	f.many.Delete(l.rank.priority)
	if by == l {
		for by = range f.all() {
			break
		}
	}
	if len(f.few)+f.many.Len() == 1 {
		by.rare.siblings = nil
		by.disperse()
		by.tidy()
	}
	return by
}

// all iterates over the lanes, in no particular order. Those that it has come by may go.
func (f *siblings) all() iter.Seq[*lane] {
	return func(yield func(*lane) bool) {
		for _, l := range slices.Backward(f.few) {
			if !yield(l) {
				return
			}
		}
		for _, l := range f.many.All() {
			if !yield(l) {
				return
			}
		}
	}
}

// lanes iterates over the lanes of a key, in no particular order. Those that it has come
// by may go.
func (n *name) lanes() iter.Seq[*lane] {
	return func(yield func(*lane) bool) {
		switch l := n.lane; {
		case l == nil:
		case l.siblings() == nil:
			yield(l)
		default:
			l.rare.siblings.all()(yield)
		}
	}
}

// busy reports whether a lane must stay parked because of its key.
func (s *Scheduler) busy(l *lane) bool {
	if !s.cfg.Serial {
		return false
	}
	if f := l.siblings(); f != nil && f.busy != nil && f.busy.isBusy() {
		return true
	}
	return l.isBusy()
}

func (l *lane) isBusy() bool { return l.running > 0 || l.state == asking }

// occupy lets no other lane of a key compete, one of whose jobs is to run.
func (s *Scheduler) occupy(now int64, l *lane) {
	if f := s.serialSiblings(l.name); f != nil {
		f.busy = l
		s.leavePeers(l)
		s.settleAll(now, f, nil)
	}
}

// competing iterates over the lanes of a key that compete, in no particular order.
func (s *Scheduler) competing(n *name) iter.Seq[*lane] {
	return func(yield func(*lane) bool) {
		if f := s.serialSiblings(n); f != nil {
			for _, g := range f.peers.All() {
				if g.turn != nil && !yield(g.turn) {
					return
				}
			}
			return
		}
		for l := range n.lanes() {
			if l.state == waiting && !yield(l) {
				return
			}
		}
	}
}
