package schedule

import "slices"

// A job that comes back to the front of its lane to run again keeps its key until it starts. Until
// then no job of the key with a lower priority starts, and in a serial key no other job at all:
// even if the job waits for its date or its limits while those of others are open. If the key is
// not serial, a job of a higher priority may go first, as it might have done the first time.

func (j *Job) keeps() bool { return j.seq&keepBit != 0 }

// keeper is a lane in keyLanes.keepers.
type keeper lane

func (l *keeper) Before(o *keeper) bool { return l.rank.priority > o.rank.priority }
func (l *keeper) Position() *int32      { return &l.rare.keeperPos }

// keep makes a job that has come back to a lane keep its key.
func (s *Scheduler) keep(l *lane, j *Job) {
	if j.keeps() {
		return
	}
	j.seq |= keepBit
	if l.keeps++; l.keeps > 1 || l.keyLanes() == nil {
		return
	}
	l.keyLanes().keepers.Push((*keeper)(l))
	if s.cfg.Serial {
		return // the key is busy: the groups are settled later
	}
	for o := range s.competing(l.keyState) {
		if s.kept(o) {
			s.suspend(o)
		}
	}
}

// unkeep is the opposite of keep. It reports whether other lanes may go on.
func (s *Scheduler) unkeep(l *lane, j *Job) bool {
	if !j.keeps() {
		return false
	}
	j.seq &^= keepBit
	return l.unkeep(1)
}

// unkeep is called when n jobs no longer keep the key.
func (l *lane) unkeep(n int32) bool {
	if n == 0 {
		return false
	}
	if l.keeps -= n; l.keeps > 0 || l.keyLanes() == nil {
		return false
	}
	l.keyLanes().keepers.Remove((*keeper)(l))
	return true
}

// kept reports whether a job of another lane keeps the key of this one from it.
func (s *Scheduler) kept(l *lane) bool {
	f := l.keyLanes()
	if f == nil || f.keepers.Len() == 0 {
		return false
	}
	first := (*lane)(f.keepers.Top())
	return first.rank.priority > l.rank.priority || s.cfg.Serial && l.keeps == 0
}

// noteKeptStart notes that a job which has kept its key starts at a slot. Jobs of a lower priority get
// no slot before that.
func (s *Scheduler) noteKeptStart(now int64, l *lane, slot int64) {
	l.ensureRare().keptSlot = slot
	if f := l.keyLanes(); f != nil {
		f.keptStarts = slices.DeleteFunc(f.keptStarts, func(o *lane) bool { return o == l || o.rare.keptSlot <= now })
		f.keptStarts = append(f.keptStarts, l)
	}
}

// behindKept returns at, or the latest slot of the jobs that have kept the key from this lane if
// that is later.
func (l *lane) behindKept(at int64) int64 {
	if f := l.keyLanes(); f != nil {
		for _, o := range f.keptStarts {
			if o.rank.priority > l.rank.priority {
				at = max(at, o.rare.keptSlot)
			}
		}
	}
	return at
}
