package schedule

import "github.com/freqlimit/dispatcher/internal/table"

// rounds goes through all names and their lanes, bit by bit, while they come and go. Of those
// that are there all the while it misses none.
type rounds struct {
	names *table.Walk[string, *name]
	few   []*lane                 // of the name that it is at, if they are few
	many  *table.Walk[int, *lane] // else; nil: none
}

func (s *Scheduler) newRounds() rounds { return rounds{names: s.names.Walk()} }

// next returns a name and no lane, or a lane of the name before. It is false at the end.
func (r *rounds) next() (n *name, l *lane, ok bool) {
	if last := len(r.few) - 1; last >= 0 {
		l, r.few[last] = r.few[last], nil
		r.few = r.few[:last]
		return nil, l, true
	}
	if r.many != nil {
		if l, ok = r.many.Next(); ok {
			return nil, l, true
		}
		r.many = nil
	}
	if n, ok = r.names.Next(); !ok {
		return nil, nil, false
	}
	l = n.lane
	if l == nil {
		return n, nil, true
	}
	switch f := l.siblings(); {
	case f == nil:
		r.few = append(r.few, l)
	case f.few != nil:
		r.few = append(r.few, f.few...)
	default:
		r.many = f.many.Walk()
	}
	return n, nil, true
}

// looker looks at everything that a scheduler has, bit by bit, and hears of what changes
// meanwhile. There is one at a time.
type looker interface {
	// touched is called before the jobs of a lane change.
	touched(l *lane)

	// left is called when a job that waited does so no longer, or comes back and waits again.
	left(j *Job, back bool)

	// started is called when a job has started, after left.
	started(j *Job)

	// cut is called when all jobs of a lane have been cut off but one that asks.
	cut(l *lane, seq uint64, asks *Job)

	// altered is called when the params or the hold of a limit have changed, or a slot was
	// given back.
	altered(lim *limit)
}

// look makes somebody the looker, for whom lanes have not been seen.
func (s *Scheduler) look(who looker) {
	if s.looker != nil {
		panic("schedule: somebody is looking already")
	}
	s.looker = who
	s.looks++
}

func (s *Scheduler) touch(l *lane) {
	if s.looker != nil {
		s.looker.touched(l)
	}
}

// touchKey is touch for all lanes of a key.
func (s *Scheduler) touchKey(key string) {
	if s.looker == nil {
		return
	}
	for l := range s.lookUp(key).lanes() {
		s.looker.touched(l)
	}
}

func (s *Scheduler) leaves(j *Job) {
	if s.looker != nil {
		s.looker.left(j, false)
	}
}

func (s *Scheduler) returns(j *Job) {
	if s.looker != nil {
		s.looker.left(j, true)
	}
}

func (s *Scheduler) starts(j *Job) {
	if s.looker != nil {
		s.looker.started(j)
	}
}

func (s *Scheduler) alters(lim *limit) {
	if s.looker != nil {
		s.looker.altered(lim)
	}
}
