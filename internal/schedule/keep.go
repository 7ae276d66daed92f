package schedule

import "slices"

// A job that comes back to the front of its lane, because it is to run again, keeps its
// key until it starts: no job of the key and a lower priority starts before, and in a
// serial key none at all. It may wait for its date, or for its limits, while theirs are
// open. One of a higher priority goes before it where jobs are not serial: so it would
// have done the first time.

func (j *Job) keeps() bool { return j.seq&keepBit != 0 }

// keeper is a lane in siblings.keepers.
type keeper lane

func (l *keeper) before(o *keeper) bool { return l.rank.priority > o.rank.priority }
func (l *keeper) place() *int32         { return &l.rare.keeperPos }

// keep makes a job keep its key that has come back to a lane.
func (s *Scheduler) keep(l *lane, j *Job) {
	if j.keeps() {
		return
	}
	j.seq |= keepBit
	if l.keeps++; l.keeps > 1 || l.siblings() == nil {
		return
	}
	l.siblings().keepers.push((*keeper)(l))
	if s.cfg.Serial {
		return // the key is busy: whose turn it is will be settled
	}
	for o := range s.competing(l.name) {
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

// unkeep is called when so many jobs no longer keep the key.
func (l *lane) unkeep(n int32) bool {
	if n == 0 {
		return false
	}
	if l.keeps -= n; l.keeps > 0 || l.siblings() == nil {
		return false
	}
	l.siblings().keepers.remove((*keeper)(l))
	return true
}

// kept reports whether a job of another lane keeps the key of this one from it.
func (s *Scheduler) kept(l *lane) bool {
	f := l.siblings()
	if f == nil || f.keepers.len() == 0 {
		return false
	}
	first := (*lane)(f.keepers.top())
	return first.rank.priority > l.rank.priority || s.cfg.Serial && l.keeps == 0
}

// lead notes that a job which has kept its key starts at a slot: until then, jobs of a
// lower priority get none before it.
func (s *Scheduler) lead(now int64, l *lane, slot int64) {
	l.more().lead = slot
	if f := l.siblings(); f != nil {
		f.leads = slices.DeleteFunc(f.leads, func(o *lane) bool { return o == l || o.rare.lead <= now })
		f.leads = append(f.leads, l)
	}
}

// behindLead returns the latest slot of the jobs that have kept a lane's key from it, or
// at if that is later.
func (l *lane) behindLead(at int64) int64 {
	if f := l.siblings(); f != nil {
		for _, o := range f.leads {
			if o.rank.priority > l.rank.priority {
				at = max(at, o.rare.lead)
			}
		}
	}
	return at
}
