package schedule

import (
	"iter"
	"slices"

	"github.com/freqlimit/dispatcher/internal/pqueue"
	"github.com/freqlimit/dispatcher/internal/table"
)

// keyLanes is the lanes of a key that has more than one: one lane for each priority. There
// may be very many.
type keyLanes struct {
	few  []*lane // while there are fewLanes at most, else nil
	many table.Map[int, *lane]

	// With Config.Serial.
	busy   *lane                           // the one that asked the backend last
	groups table.Map[string, *serialGroup] // by the gateKey of the gates that they wait for

	keepers    pqueue.Queue[*keeper] // the lanes with jobs that keep the key: see keepkey.go
	keptStarts []*lane               // lanes of which such a job has started, maybe at a slot to come
}

// fewLanes is up to how many lanes a key has a slice, which is searched, and no map.
const fewLanes = 8

// find returns the lane of a key and priority. If there is none it makes one.
func (s *Scheduler) find(key string, priority int) *lane {
	k := s.keyStateOf(key)
	first := k.lane
	switch {
	case first == nil:
		k.lane = s.newLane(k, priority)
		return k.lane
	case first.rank.priority == priority:
		return first
	case first.keyLanes() == nil:
		s.addKeyLanes(first)
	}
	l := first.rare.keyLanes.find(priority)
	if l == nil {
		l = s.newLane(k, priority)
		first.rare.keyLanes.add(l)
	}
	return l
}

func (s *Scheduler) newLane(k *keyState, priority int) *lane {
	return &lane{keyState: k, rank: rank{priority: priority}, seen: s.observers}
}

// addKeyLanes prepares the only lane of a key for others beside it.
func (s *Scheduler) addKeyLanes(l *lane) {
	f := &keyLanes{few: []*lane{l}, busy: l}
	l.ensureRare().keyLanes = f
	if l.keeps > 0 {
		f.keepers.Push((*keeper)(l))
	}
	if l.rare.keptSlot > 0 {
		f.keptStarts = append(f.keptStarts, l)
	}
	if s.cfg.Serial && l.length > 0 && l.state != asking {
		g := s.joinGroup(f, l)
		if l.state == waiting {
			g.competitor = l
		}
	}
}

func (f *keyLanes) find(priority int) *lane {
	for _, l := range f.few {
		if l.rank.priority == priority {
			return l
		}
	}
	l, _ := f.many.Get(priority)
	return l
}

func (f *keyLanes) add(l *lane) {
	l.ensureRare().keyLanes = f
	if f.few == nil {
		f.many.Set(l.rank.priority, l)
		return
	}
	if f.few = append(f.few, l); len(f.few) <= fewLanes {
		return
	}
	for _, l := range f.few {
		f.many.Set(l.rank.priority, l)
	}
	f.few = nil
}

// drop forgets a lane if it has no waiting or running jobs.
func (s *Scheduler) drop(l *lane) {
	if l.length > 0 || l.running > 0 || l.aside() != nil {
		return
	}
	if cap(l.refs) > len(l.one) && cap(l.refs) <= mostFreeCap && len(s.freeRefs) < mostFreeRefs {
		s.freeRefs = append(s.freeRefs, l.refs[:0])
		l.refs = nil
	}
	k := l.keyState
	if f := l.keyLanes(); f != nil {
		k.lane = f.remove(l, k.lane)
	} else {
		k.lane = nil
	}
	s.dropKeyState(k)
}

// remove takes out a lane. It returns a lane for keyState.lane: by, or another one if by is
// taken out.
func (f *keyLanes) remove(l, by *lane) *lane {
	l.rare.keyLanes = nil
	if f.busy == l {
		f.busy = nil
	}
	f.few = slices.DeleteFunc(f.few, func(o *lane) bool { return o == l })
	f.keptStarts = slices.DeleteFunc(f.keptStarts, func(o *lane) bool { return o == l })
	f.many.Delete(l.rank.priority)
	if by == l {
		for by = range f.all() {
			break
		}
	}
	if len(f.few)+f.many.Len() == 1 {
		by.rare.keyLanes = nil
		by.dissolveGroup()
		by.tidy()
	}
	return by
}

// all iterates over the lanes, in no particular order. Lanes that it has yielded may be
// removed meanwhile.
func (f *keyLanes) all() iter.Seq[*lane] {
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

// lanes iterates over the lanes of a key, in no particular order. Lanes that it has yielded
// may be removed meanwhile.
func (k *keyState) lanes() iter.Seq[*lane] {
	return func(yield func(*lane) bool) {
		switch l := k.lane; {
		case l == nil:
		case l.keyLanes() == nil:
			yield(l)
		default:
			l.rare.keyLanes.all()(yield)
		}
	}
}

// busy reports whether a lane must stay parked because a job of its serial key runs or asks.
func (s *Scheduler) busy(l *lane) bool {
	if !s.cfg.Serial {
		return false
	}
	if f := l.keyLanes(); f != nil && f.busy != nil && f.busy.isBusy() {
		return true
	}
	return l.isBusy()
}

func (l *lane) isBusy() bool { return l.running > 0 || l.state == asking }

// occupy is called when a job of a serial key is taken: from then on no other lane of the key
// competes.
func (s *Scheduler) occupy(now int64, l *lane) {
	if f := s.serialLanes(l.keyState); f != nil {
		f.busy = l
		s.leaveGroup(l)
		s.settleAllGroups(now, f, nil)
	}
}

// competing iterates over the lanes of a key that compete, in no particular order.
func (s *Scheduler) competing(k *keyState) iter.Seq[*lane] {
	return func(yield func(*lane) bool) {
		if f := s.serialLanes(k); f != nil {
			for _, g := range f.groups.All() {
				if g.competitor != nil && !yield(g.competitor) {
					return
				}
			}
			return
		}
		for l := range k.lanes() {
			if l.state == waiting && !yield(l) {
				return
			}
		}
	}
}
